"""A folder of small notes with gold questions, searched with the toy encoder."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from index.encoder import SentenceEncoder
from ingest.config import ChunkerConfig, IngestConfig
from ingest.pipeline import index_notes
from service.answering.config import AnsweringConfig
from service.settings import Settings
from tests.toys import ToyEncoder

SHARED = Path(__file__).resolve().parents[3] / "shared"

SECTIONS = {
    "绿茶": "绿茶用八十度的水冲泡两分钟，水太烫会把嫩叶烫熟，茶汤发黄发苦，香气也会散掉很多。",
    "红茶": "红茶是全发酵的茶叶，用刚烧开的水冲泡三分钟左右，可以加牛奶和方糖一起喝，味道更加柔和。",
    "乌龙": "乌龙茶是半发酵茶，第一泡要快出汤，后面每一泡比前一泡多等十秒，可以连续泡七次以上。",
    "白茶": "白茶不炒不揉，只经过萎凋和干燥两道工序，存放多年以后药香明显，老白茶适合煮着喝。",
    "普洱": "普洱分生茶和熟茶，熟茶经过渥堆发酵，喝之前先用开水洗一遍茶饼，再正式冲泡饮用。",
    "花茶": "茉莉花茶用绿茶做茶坯，让茶叶反复吸收鲜花的香气，一共要窨制七次才算上等的好茶。",
    "水质": "泡茶的水以软水为好，硬水里的钙镁离子会和茶多酚结合，让茶汤变得浑浊，滋味也变淡。",
    "茶具": "紫砂壶透气性好，适合泡乌龙和普洱；玻璃杯能看见叶子舒展，适合泡绿茶和各种花草茶。",
    "保存": "茶叶要密封避光存放，绿茶放在冰箱冷藏可以保鲜一年，普洱则要通风存放让它慢慢转化。",
    "咖啡因": "茶里的咖啡因大约八成在第一泡就溶出来了，睡前想喝茶的人可以倒掉第一泡的茶汤再喝。",
    "茶道": "日本茶道用竹筅把抹茶打出细密的泡沫，客人要转动茶碗两次再喝，以避开碗的正面花纹。",
    "下午茶": "英国人在下午四点喝红茶配司康饼，先涂果酱还是先涂奶油，各地的习惯完全不同。",
}


def question(number: int, text: str, *quotes: str, **other: Any) -> dict[str, Any]:
    """A gold line; each quote is a group of its own."""
    return {
        "id": f"T{number}",
        "question": text,
        "lang": "zh",
        "type": "colloquial",
        "answerable": bool(quotes),
        "evidence": [{"source": "tea.md", "quote": quote, "group": group} for group, quote in enumerate(quotes)],
        "answer": "",
        "key_facts": [],
        **other,
    }


QUESTIONS = [
    question(1, "绿茶用多少度的水？", "绿茶用八十度的水冲泡两分钟"),
    question(2, "红茶和乌龙茶的发酵程度？", "红茶是全发酵的茶叶", "乌龙茶是半发酵茶", type="multi"),
    question(3, "紫砂壶", "紫砂壶透气性好，适合泡乌龙和普洱", type="keyword"),
    question(4, "睡不着的人怎么喝茶？", "可以倒掉第一泡的茶汤再喝"),
    question(5, "茶叶在火星上怎么种？"),
]


def write_lines(path: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


@dataclass
class TeaNotes:
    """The notes, their gold and a data folder in which they are indexed."""

    root: Path

    @property
    def gold(self) -> Path:
        return self.root / "gold.jsonl"

    @property
    def notes(self) -> Path:
        return self.root / "notes"

    @property
    def settings(self) -> Settings:
        chunker = ChunkerConfig(target_tokens=40, max_tokens=80)
        alone = AnsweringConfig(span_chars=0)  # with neighbours, one hit would hold half of so small a note
        return Settings(data=self.root / "data", ingest=IngestConfig(chunker=chunker), answering=alone)

    def write(self) -> None:
        """Write notes and gold anew."""
        self.notes.mkdir(exist_ok=True)
        body = "\n\n".join(f"## {title}\n\n{text}" for title, text in SECTIONS.items())
        (self.notes / "tea.md").write_text(f"# 茶\n\n{body}\n", encoding="utf-8")
        write_lines(self.gold, QUESTIONS)

    def index(self) -> None:
        """Publish what is written."""
        settings = self.settings
        index_notes([self.notes], settings.data, settings.index, settings.ingest, encoder=ToyEncoder())


@pytest.fixture
def tea(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TeaNotes:
    """The notes, written and indexed; whatever opens an encoder gets the toy."""
    monkeypatch.setattr("eval.indexes.open_encoder", toy_encoder)
    notes = TeaNotes(tmp_path)
    notes.write()
    notes.index()
    return notes


def toy_encoder(config: object, *, cache: Path) -> SentenceEncoder:
    """Stands for open_encoder."""
    return ToyEncoder()  # type: ignore[return-value]  # it has what a TextEncoder has


def reference_scorer() -> ModuleType:
    """The scorer that comes with the shared questions."""
    path = SHARED / "eval" / "score.py"
    if not path.is_file():
        pytest.skip(f"the reference scorer is not at {path}")
    spec = importlib.util.spec_from_file_location("reference_score", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
