"""Concepts from a file of one's own to a hit: indexed, found over HTTP and on the command line, switched off again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from index.errors import IndexIncompatible
from ingest.pipeline import index_notes
from service.answering.engine import open_engine
from service.cli import app
from service.http.app import create_app
from service.settings import Settings, load_settings
from tests.service.http.conftest import ToyIndexer, serving
from tests.toys import ToyEncoder

NOTES = {
    "residual": "# 网络\n\n## 残差连接\n\n残差连接缓解梯度消失，几十层的网络因此学得动。\n",
    "warmup": "# 训练\n\n## 预热\n\n预热把学习率从零升上去，开头的更新才不会太猛。\n",
    "tea": "# 茶\n\n## 红茶\n\n红茶是全发酵的茶叶，用刚烧开的水冲泡三分钟左右。\n",
}
LINES = [
    {"names": ["残差连接", "residual connection"], "descriptions": ["给信号加一条近路", "太深传不到前面"]},
    {"names": ["预热", "warmup"], "descriptions": ["刚起步时步子迈小点"]},
]
QUESTION = "怎么给信号加一条近路"
SAID = "残差连接 / residual connection ← 给信号加一条近路"


class OpenedEncoder(ToyEncoder):
    """The toy as open_encoder returns it."""

    backend = "toy"


@dataclass(frozen=True)
class Project:
    """Notes that are indexed with what ``config`` says, and a file of concepts that it names."""

    config: Path
    concepts: Path

    @property
    def settings(self) -> Settings:
        return load_settings(self.config)

    def run(self, *arguments: str) -> str:
        result = CliRunner().invoke(app, ["search", QUESTION, *arguments, "--config", str(self.config)])
        assert result.exit_code == 0, result.output
        return result.stdout


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr("service.answering.engine.open_encoder", lambda config, cache: OpenedEncoder())
    notes = tmp_path / "notes"
    notes.mkdir()
    for name, text in NOTES.items():
        (notes / f"{name}.md").write_text(text, encoding="utf-8")
    made = Project(tmp_path / "asknotes.toml", tmp_path / "own.jsonl")
    made.concepts.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in LINES), encoding="utf-8")
    made.config.write_text(
        f'data = "{tmp_path / "data"}"\n[answering]\nmodel = "none"\n'
        f'[index.concepts]\nbuilt_in = false\nleast_named = 0.5\nfiles = ["{made.concepts}"]\n',
        encoding="utf-8",
    )
    settings = made.settings
    index_notes([notes], settings.data, settings.index, settings.ingest, encoder=ToyEncoder())
    return made


@pytest.fixture
def client(project: Project) -> Iterator[TestClient]:
    settings = project.settings
    with serving(create_app(lambda: open_engine(settings, settings.data), settings, indexer=ToyIndexer())) as ready:
        yield ready


def concepts_asked(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [asked for asked in body["explanation"]["asked"] if asked["stage"] == "concepts"]


def naming(body: dict[str, Any]) -> list[str]:
    """The notes of the hits that name what is described."""
    return [hit["note"] for hit in body["hits"] if "concepts" in hit["signals"]]


class TestHttp:
    def test_a_described_concept_leads_to_what_names_it_and_is_explained(self, client: TestClient) -> None:
        body = client.post("/v1/search", json={"question": QUESTION, "explain": True}).json()
        assert body["hits"][0]["note"] == "residual.md"
        assert body["hits"][0]["signals"]["concepts"]["rank"] == 1
        assert 0 < body["hits"][0]["signals"]["concepts"]["score"] <= 1
        assert naming(body) == ["residual.md"]
        assert concepts_asked(body) == [
            {"stage": "concepts", "text": SAID, "weight": pytest.approx(4.0), "terms": [], "known": []}
        ]
        assert "concepts" in body["timings"]

    def test_switched_off_there_is_no_word_of_it(self, client: TestClient) -> None:
        request = {"question": QUESTION, "explain": True, "stages": {"concepts": False}}
        body = client.post("/v1/search", json=request).json()
        assert len(body["hits"]) == 3
        assert (naming(body), concepts_asked(body)) == ([], [])
        assert "concepts" not in body["timings"]

    def test_an_answer_is_searched_for_with_it_and_without(self, client: TestClient) -> None:
        on = client.post("/v1/ask", json={"question": QUESTION}).json()
        off = client.post("/v1/ask", json={"question": QUESTION, "stages": {"concepts": False}}).json()
        assert (naming(on), naming(off)) == (["residual.md"], [])
        assert on["stages_skipped"] == off["stages_skipped"]


class TestCommand:
    def test_explain_shows_the_concept_and_every_hits_signal(self, project: Project) -> None:
        lines = [line.strip() for line in project.run("--explain").splitlines()]
        assert f"concepts {SAID}  × 4" in lines
        assert [line for line in lines if line.startswith("1. residual.md")]
        assert len([line for line in lines if "concepts 1. (" in line]) == 1

    def test_without_concepts_there_is_no_word_of_it(self, project: Project) -> None:
        out = project.run("--explain", "--without", "concepts")
        assert "residual.md" in out
        assert "concepts" not in out

    def test_with_concepts_they_are_used_though_the_config_has_them_off(self, project: Project) -> None:
        project.config.write_text(
            project.config.read_text(encoding="utf-8").replace("[answering]", "[answering]\nconcepts = false"),
            encoding="utf-8",
        )
        assert naming(json.loads(project.run("--json"))) == []
        assert naming(json.loads(project.run("--json", "--with", "concepts"))) == ["residual.md"]


class TestIndex:
    def test_other_concepts_are_another_index(self, project: Project) -> None:
        with project.concepts.open("a", encoding="utf-8") as file:
            file.write('{"names": ["红茶"], "descriptions": ["全发酵的那种"]}\n')
        settings = project.settings
        with pytest.raises(IndexIncompatible):
            open_engine(settings, settings.data)
