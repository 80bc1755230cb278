"""Systems with concepts and without them: over notes, and over a collection that is in memory only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from eval.beir import read_beir
from eval.corpus import evaluate_corpus
from eval.gold import read_gold
from eval.results import ALL
from eval.retrieval import evaluate_retrieval
from eval.systems import System
from index.progress import Unheard
from service.settings import Settings
from tests.eval.small_notes import SECTIONS, TeaNotes, question, toy_encoder, write_lines

CONCEPTS = [
    {"names": ["咖啡因"], "descriptions": ["半夜翻来覆去的元凶", "提神靠它"]},
    {"names": ["紫砂壶"], "descriptions": ["宜兴人捏的器皿"]},
]
DESCRIBING = "半夜翻来覆去的元凶"


@pytest.fixture
def systems(tmp_path: Path) -> list[System]:
    """The same index, searched with concepts and without."""
    settings: Mapping[str, Any] = {
        "index.concepts.built_in": False,
        "index.concepts.files": [str(write_lines(tmp_path / "concepts.jsonl", CONCEPTS))],
        "index.concepts.least_named": 0.0,
    }
    return [
        System("described", settings=settings),
        System("as asked", settings={**settings, "answering.concepts": False}),
    ]


def test_systems_over_notes_differ_by_what_a_question_describes(tea: TeaNotes, systems: list[System]) -> None:
    write_lines(tea.gold, [question(1, DESCRIBING, "茶里的咖啡因大约八成在第一泡就溶出来了")])
    found, runs = evaluate_retrieval(read_gold(tea.gold), systems, tea.settings, notes=(), listener=Unheard())
    described, as_asked = (run.hits["T1"] for run in runs)
    assert "咖啡因" in described[0].text
    assert described[0].signals["concepts"].rank == 1
    assert not [hit for hit in as_asked if "concepts" in hit.signals]
    with_them, without = found.systems
    assert with_them.figures[ALL]["hit@1"].mean == 1
    assert with_them.fingerprints == without.fingerprints


def test_a_collection_in_memory_has_them_too(
    tmp_path: Path, systems: list[System], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eval.indexes.open_encoder", toy_encoder)
    folder = tmp_path / "set"
    (folder / "qrels").mkdir(parents=True)
    documents = [{"_id": title, "title": title, "text": text} for title, text in SECTIONS.items()]
    write_lines(folder / "corpus.jsonl", documents)
    write_lines(folder / "queries.jsonl", [{"_id": "q1", "text": DESCRIBING}])
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\t咖啡因\t1\n", encoding="utf-8")
    found = evaluate_corpus(read_beir(folder), systems, Settings(data=tmp_path / "data"), listener=Unheard())
    scores = {name: {each.id: each.score for each in ranked["q1"]} for name, ranked in found.rankings.items()}
    assert found.rankings["described"]["q1"][0].id == "咖啡因"
    assert scores["described"]["咖啡因"] > scores["as asked"]["咖啡因"] + 1
    assert scores["described"]["绿茶"] == pytest.approx(scores["as asked"]["绿茶"])
