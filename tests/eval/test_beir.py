"""Reading BEIR folders, ranking documents by their best chunk, and scoring the run again by other means."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest

from eval.beir import read_beir
from eval.corpus import evaluate_corpus, write_run
from eval.gold import GoldInvalid
from eval.results import ALL
from eval.systems import choose_systems
from index.progress import Unheard
from ingest.config import ChunkerConfig, IngestConfig
from service.settings import Settings
from tests.eval.small_notes import SECTIONS, read_lines, toy_encoder, write_lines

DOCUMENTS = [{"_id": f"d{n}", "title": title, "text": text} for n, (title, text) in enumerate(SECTIONS.items())]
QUERIES = [
    {"_id": "q1", "text": "绿茶用八十度的水"},
    {"_id": "q2", "text": "茶叶保存"},
    {"_id": "q3", "text": "没有人判断过"},
]
JUDGED = [("q1", "d0", 1), ("q2", "d8", 2), ("q2", "d1", 1), ("q2", "d2", 0)]


def folder_of(
    root: Path,
    *,
    documents: list[dict[str, Any]] = DOCUMENTS,
    queries: list[dict[str, Any]] = QUERIES,
    judged: list[tuple[Any, ...]] = JUDGED,
    split: str = "test",
) -> Path:
    (root / "qrels").mkdir(parents=True)
    write_lines(root / "corpus.jsonl", documents)
    write_lines(root / "queries.jsonl", queries)
    rows = [("query-id", "corpus-id", "score"), *judged]
    text = "".join("\t".join(str(cell) for cell in row) + "\n" for row in rows)
    (root / "qrels" / f"{split}.tsv").write_text(text, encoding="utf-8")
    return root


class TestReading:
    def test_queries_without_a_relevant_document_are_counted_and_not_asked(self, tmp_path: Path) -> None:
        collection = read_beir(folder_of(tmp_path / "set"))
        assert [one.id for one in collection.gold.questions] == ["q1", "q2"]
        assert collection.gold.questions[1].relevant == {"d8": 2, "d1": 1}
        assert collection.unjudged == 1
        assert len(collection.documents) == 12

    def test_numbers_as_ids_are_texts(self, tmp_path: Path) -> None:
        documents = [{"_id": 7, "text": "a"}]
        folder = folder_of(
            tmp_path / "set", documents=documents, queries=[{"_id": 1, "text": "b"}], judged=[("1", "7", 1)]
        )
        assert read_beir(folder).gold.questions[0].relevant == {"7": 1}

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"documents": [*DOCUMENTS, DOCUMENTS[0]]}, "corpus.jsonl:13: the id 'd0' is there twice"),
            ({"queries": [*QUERIES, QUERIES[1]]}, "queries.jsonl:4: the id 'q2' is there twice"),
            ({"judged": [("q9", "d0", 1)]}, "test.tsv:2: queries.jsonl has no 'q9'"),
            ({"judged": [("q1", "d99", 1)]}, "test.tsv:2: corpus.jsonl has no 'd99'"),
            ({"judged": [("q1", "d0", 1), ("q1", "d0", 1)]}, "test.tsv:3: 'd0' is judged twice"),
            ({"judged": [("q1", "d0", "much")]}, "test.tsv:2: the score 'much' is no whole number"),
            ({"judged": [("q1", "d0")]}, "test.tsv:2: has 2 columns, not 3"),
            ({"judged": [("q1", "d0", 0)]}, "judges no query as having a relevant document"),
            ({"documents": [{"_id": "d0"}]}, "corpus.jsonl:1: has no 'text' text"),
            ({"queries": [{"_id": "q1", "text": " "}]}, "queries.jsonl:1: the query 'q1' is empty"),
            ({"documents": []}, "holds no document"),
            ({"queries": []}, "holds no query"),
        ],
    )
    def test_files_that_do_not_agree(self, tmp_path: Path, changed: dict[str, Any], said: str) -> None:
        with pytest.raises(GoldInvalid) as caught:
            read_beir(folder_of(tmp_path / "set", **changed))
        assert said in caught.value.message
        assert caught.value.hint

    def test_the_only_judgements_are_taken_and_of_several_one_must_be_named(self, tmp_path: Path) -> None:
        folder = folder_of(tmp_path / "set", split="dev")
        assert read_beir(folder).gold.questions[0].type == "dev"
        (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n", encoding="utf-8")
        assert len(read_beir(folder, "train").gold.questions) == 1
        with pytest.raises(GoldInvalid, match="it has dev, train"):
            read_beir(folder)
        with pytest.raises(GoldInvalid, match="there are none"):
            read_beir(empty(tmp_path / "empty"))


def empty(root: Path) -> Path:
    folder_of(root)
    (root / "qrels" / "test.tsv").unlink()
    return root


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr("eval.indexes.open_encoder", toy_encoder)
    chunker = ChunkerConfig(target_tokens=16, max_tokens=32, min_tokens=4)
    return Settings(data=tmp_path / "data", ingest=IngestConfig(chunker=chunker))


class TestRanking:
    def test_the_saved_run_scored_by_other_code_gives_the_same_figures(
        self, tmp_path: Path, settings: Settings
    ) -> None:
        collection = read_beir(folder_of(tmp_path / "set"))
        found = evaluate_corpus(
            collection, choose_systems(["lexical", "hybrid", "default"]), settings, listener=Unheard()
        )
        for system in found.results.systems:
            path = tmp_path / "run.jsonl"
            write_run(path, found.rankings[system.name])
            values = [rescored(row, collection.gold.questions[n].relevant) for n, row in enumerate(read_lines(path))]
            for measure in ("hit@1", "hit@5", "mrr@10", "recall@5", "ndcg@10"):
                assert system.figures[ALL][measure].mean == pytest.approx(
                    sum(value[measure] for value in values) / len(values), abs=1e-12
                )

    def test_a_document_is_ranked_once_by_its_best_chunk_and_scores_fall_strictly(
        self, tmp_path: Path, settings: Settings
    ) -> None:
        long = {"_id": "long", "title": "", "text": "\n\n".join(SECTIONS.values())}
        folder = folder_of(tmp_path / "set", documents=[*DOCUMENTS, long], judged=[*JUDGED, ("q1", "long", 1)])
        found = evaluate_corpus(read_beir(folder), choose_systems(["default"]), settings, listener=Unheard())
        for ranked in found.rankings["default"].values():
            assert len(ranked) == len({document.id for document in ranked}) == 13
            scores = [document.score for document in ranked]
            assert all(a > b for a, b in itertools.pairwise(scores))

    def test_ten_documents_are_ranked_though_the_depth_finds_one_long_one(
        self, tmp_path: Path, settings: Settings
    ) -> None:
        long = {
            "_id": "long",
            "title": "绿茶",
            "text": "\n\n".join(f"绿茶用八十度的水，第{n}遍。" * 3 for n in range(20)),
        }
        shallow = settings.model_copy(
            update={
                "index": settings.index.model_copy(
                    update={"fusion": settings.index.fusion.model_copy(update={"depth": 5})}
                )
            }
        )
        folder = folder_of(tmp_path / "set", documents=[*DOCUMENTS, long])
        found = evaluate_corpus(read_beir(folder), choose_systems(["dense"]), shallow, listener=Unheard())
        assert all(len(ranked) >= 10 for ranked in found.rankings["dense"].values())

    def test_a_document_that_cleaning_empties_can_still_be_found(self, tmp_path: Path, settings: Settings) -> None:
        bare = {"_id": "bare", "title": "", "text": "# 只有标题"}
        folder = folder_of(tmp_path / "set", documents=[*DOCUMENTS, bare], judged=[("q1", "bare", 1)])
        found = evaluate_corpus(read_beir(folder), choose_systems(["dense"]), settings, listener=Unheard())
        assert "bare" in {document.id for document in found.rankings["dense"]["q1"]}
        assert "Cleaning left nothing of 1 documents: they were indexed as they are." in found.results.notices

    def test_fewer_than_ten_documents_are_no_corpus(self, tmp_path: Path, settings: Settings) -> None:
        folder = folder_of(tmp_path / "set", documents=DOCUMENTS[:9])
        with pytest.raises(GoldInvalid, match="has 9 documents"):
            evaluate_corpus(read_beir(folder), choose_systems(["dense"]), settings, listener=Unheard())


def rescored(row: dict[str, Any], relevant: Any) -> dict[str, float]:
    """Score one line of a run without any library."""
    ranked = [hit["doc_id"] for hit in sorted(row["hits"], key=lambda hit: -hit["score"])]
    gains = [relevant.get(document, 0) for document in ranked[:10]]
    ideal = sorted(relevant.values(), reverse=True)
    found = [rank for rank, gain in enumerate(gains, start=1) if gain]
    return {
        "hit@1": float(gains[0] > 0),
        "hit@5": float(any(gains[:5])),
        "mrr@10": 1 / found[0] if found else 0.0,
        "recall@5": sum(gain > 0 for gain in gains[:5]) / len(relevant),
        "ndcg@10": discounted(gains) / discounted(ideal),
    }


def discounted(gains: list[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def test_a_run_is_one_json_line_a_query(tmp_path: Path, settings: Settings) -> None:
    collection = read_beir(folder_of(tmp_path / "set"))
    found = evaluate_corpus(collection, choose_systems(["default"]), settings, listener=Unheard())
    write_run(tmp_path / "run.jsonl", found.rankings["default"])
    first = json.loads((tmp_path / "run.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first["id"] == "q1"
    assert set(first["hits"][0]) == {"doc_id", "score"}
    assert len(first["hits"]) >= 10
