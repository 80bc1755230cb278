"""The stages of a search: each says its own rank and score, and a filter holds in all of them."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from index.config import FusionConfig, IndexConfig, LateConfig
from index.errors import ConfigInvalid
from index.schema import Chunk
from index.snapshot import Snapshot
from index.tokenizer import Tokenizer
from service.answering.config import AnsweringConfig
from service.answering.exchange import ChunkFilter, SearchMode
from service.answering.filters import allowed_rows
from service.answering.retriever import choose_reranker
from service.answering.timings import Timings
from tests.service.answering.small_indexes import asked, chunk, find, snapshot_of

CHUNKS = [
    chunk("BM25 counts words.", note="search/bm25.md", tags=("search", "old"), date="2024-01-31", language="en"),
    chunk("Dropout silences words at random.", note="training/dropout.md", tags=("training",), language="en"),
    chunk("注意力让每个词看见其他词。", note="search/注意力.md", tags=("search",), date="2024-02-01"),
    chunk("量化把权重变成整数。", note="量化.md", date="2024-02-01T09:30:00"),
    chunk("Rare words count more in BM25.", note="search/idf.md", tags=("search",), date="2024-03-05", language="en"),
]
MODES: list[SearchMode] = ["lexical", "dense", "hybrid"]
STAGE_OF: dict[SearchMode, str] = {"lexical": "lexical", "dense": "dense", "hybrid": "late"}
WITHOUT_LATE = IndexConfig(late=LateConfig(enabled=False))
CANDIDATES_ONLY = IndexConfig(late=LateConfig(exhaustive_tokens=0, candidates=2))
BY_RANK = IndexConfig(fusion=FusionConfig(method="rrf", lexical_weight=1.0))


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    return snapshot_of(CHUNKS, tmp_path)


def names(chunks: list[Chunk]) -> list[str]:
    return [each.note for each in chunks]


class TestModes:
    def test_lexical_search_returns_what_bm25_found_in_its_order_and_nothing_else(self, snapshot: Snapshot) -> None:
        hits = find("BM25 words", snapshot, mode="lexical")
        expected = snapshot.lexical.search(Tokenizer().terms("BM25 words"), 10)
        assert [(snapshot.rows_by_id[hit.chunk.id], hit.score) for hit in hits] == expected
        assert {row for row, _ in expected} == {0, 1, 4}
        assert [hit.signals.keys() for hit in hits] == [{"lexical"}] * 3
        assert [(hit.signals["lexical"].rank, hit.signals["lexical"].score) for hit in hits] == [
            (rank, hit.score) for rank, hit in enumerate(hits, 1)
        ]

    def test_dense_search_returns_every_chunk_by_its_cosine(self, snapshot: Snapshot) -> None:
        hits = find("量化把权重变成整数。", snapshot, mode="dense")
        assert len(hits) == len(CHUNKS)
        assert hits[0].chunk == CHUNKS[3]
        assert hits[0].score == pytest.approx(1.0, abs=1e-5)
        assert [hit.signals.keys() for hit in hits] == [{"dense"}] * len(CHUNKS)
        assert [hit.signals["dense"].rank for hit in hits] == [1, 2, 3, 4, 5]
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)

    def test_hybrid_search_by_rank_adds_one_over_sixty_and_the_rank_in_each_list(self, snapshot: Snapshot) -> None:
        hits = find("BM25 words", snapshot, config=BY_RANK, rerank="none")
        for hit in hits:
            assert set(hit.signals) <= {"lexical", "dense"}
            assert hit.score == pytest.approx(sum(1 / (60 + signal.rank) for signal in hit.signals.values()))
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)

    def test_late_interaction_scores_every_chunk_and_says_its_own_rank(self, snapshot: Snapshot) -> None:
        hits = find("BM25 words", snapshot)
        assert snapshot.late is not None
        scores = snapshot.late.scores(asked("BM25 words").tokens)
        ranks = {row: rank for rank, row in enumerate(sorted(range(5), key=lambda row: -scores[row]), 1)}
        assert len(hits) == len(CHUNKS)
        for hit in hits:
            row = snapshot.rows_by_id[hit.chunk.id]
            assert hit.signals["late"].rank == ranks[row]
            assert hit.signals["late"].score == pytest.approx(float(scores[row]), abs=1e-5)

    def test_bm25_moves_chunks_that_late_interaction_alone_would_order_otherwise(self, tmp_path: Path) -> None:
        heavy = IndexConfig(late=LateConfig(lexical_weight=10.0))
        alone = IndexConfig(late=LateConfig(lexical_weight=0.0))
        snapshot = snapshot_of(CHUNKS, tmp_path)
        lexical = names([hit.chunk for hit in find("BM25 words", snapshot, mode="lexical")])
        by_late = sorted(find("BM25 words", snapshot, config=alone), key=lambda hit: hit.signals["late"].rank)
        assert names([hit.chunk for hit in find("BM25 words", snapshot, config=alone)]) == names(
            [hit.chunk for hit in by_late]
        )
        assert names([hit.chunk for hit in find("BM25 words", snapshot, config=heavy)])[:3] == lexical

    def test_no_more_than_top_k_come_back(self, snapshot: Snapshot) -> None:
        assert [hit.chunk for hit in find("BM25", snapshot, top_k=2)] == [
            hit.chunk for hit in find("BM25", snapshot, top_k=5)[:2]
        ]


class TestLateInteraction:
    def test_beyond_the_limit_only_the_candidates_are_scored(self, tmp_path: Path) -> None:
        snapshot = snapshot_of(CHUNKS, tmp_path, CANDIDATES_ONLY)
        fused = find("BM25 words", snapshot, config=CANDIDATES_ONLY, rerank="none")
        hits = find("BM25 words", snapshot, config=CANDIDATES_ONLY)
        assert {hit.chunk.id for hit in hits[:2]} == {hit.chunk.id for hit in fused[:2]}
        assert [hit.chunk.id for hit in hits[2:]] == [hit.chunk.id for hit in fused[2:]]
        assert ["late" in hit.signals for hit in hits] == [True] * 2 + [False] * (len(fused) - 2)
        assert all(a.score > b.score for a, b in itertools.pairwise(hits))

    def test_a_chunk_is_worth_the_same_however_few_are_scored(self, tmp_path: Path) -> None:
        every = {hit.chunk.id: hit.score for hit in find("BM25 words", snapshot_of(CHUNKS, tmp_path))}
        few = find("BM25 words", snapshot_of(CHUNKS, tmp_path, CANDIDATES_ONLY), config=CANDIDATES_ONLY)
        for hit in few[:2]:
            assert hit.score == pytest.approx(every[hit.chunk.id], abs=1e-5)

    def test_reranking_a_lexical_search_reranks_what_bm25_found(self, snapshot: Snapshot) -> None:
        hits = find("BM25 words", snapshot, mode="lexical", rerank="late")
        assert {hit.chunk.note for hit in hits} == {"search/bm25.md", "training/dropout.md", "search/idf.md"}
        assert [hit.signals.keys() for hit in hits] == [{"lexical", "late"}] * 3

    @pytest.mark.parametrize(("mode", "chosen"), [("hybrid", "late"), ("lexical", "none"), ("dense", "none")])
    def test_it_is_what_a_hybrid_search_does_unless_told_otherwise(
        self, snapshot: Snapshot, mode: SearchMode, chosen: str
    ) -> None:
        assert choose_reranker(None, mode, snapshot, AnsweringConfig()) == chosen

    def test_a_reranker_that_is_not_known_is_refused_with_those_that_are(self, snapshot: Snapshot) -> None:
        with pytest.raises(ConfigInvalid, match="'colbert'") as refused:
            find("BM25", snapshot, rerank="colbert")
        assert refused.value.hint == "Choose one of: none, late, lm, lm-likelihood."

    def test_late_interaction_that_was_not_built_cannot_be_asked_for(self, tmp_path: Path) -> None:
        snapshot = snapshot_of(CHUNKS, tmp_path, WITHOUT_LATE)
        assert [hit.signals.keys() <= {"lexical", "dense"} for hit in find("BM25", snapshot, config=WITHOUT_LATE)]
        with pytest.raises(ConfigInvalid) as refused:
            find("BM25", snapshot, config=WITHOUT_LATE, rerank="late")
        assert refused.value.hint == "Choose one of: none, lm, lm-likelihood."

    def test_a_request_can_name_a_model_only_where_the_settings_do(self, snapshot: Snapshot) -> None:
        named = AnsweringConfig(reranker="some/cross-encoder", model="none")
        assert choose_reranker("some/cross-encoder", "lexical", snapshot, named) == "some/cross-encoder"
        assert choose_reranker(None, "hybrid", snapshot, named) == "some/cross-encoder"
        assert choose_reranker(None, "dense", snapshot, named) == "none"
        for other in ("another/cross-encoder", "lm"):
            with pytest.raises(ConfigInvalid, match=other):
                choose_reranker(other, "hybrid", snapshot, named)


class TestUnknownWords:
    def test_bm25_finds_nothing(self, snapshot: Snapshot) -> None:
        assert find("zyzzyva", snapshot, mode="lexical") == []

    def test_bm25_has_no_say_in_a_hybrid_search(self, snapshot: Snapshot) -> None:
        hits = find("zyzzyva", snapshot)
        assert [hit.signals["late"].rank for hit in hits] == [1, 2, 3, 4, 5]
        assert not any("lexical" in hit.signals for hit in hits)

    def test_a_chunk_without_any_of_the_words_has_no_lexical_rank(self, snapshot: Snapshot) -> None:
        signals = {hit.chunk.note: hit.signals for hit in find("BM25", snapshot)}
        assert {note for note, own in signals.items() if "lexical" in own} == {"search/bm25.md", "search/idf.md"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rerank", ["none", "late"])
def test_equal_chunks_come_in_the_order_of_the_notes(tmp_path: Path, mode: SearchMode, rerank: str) -> None:
    same = [chunk("词频会饱和。", note=f"{name}.md") for name in "dbca"]
    hits = find("词频 饱和", snapshot_of(same, tmp_path), mode=mode, rerank=rerank)
    assert [hit.chunk for hit in hits] == same


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_index_gives_no_hits(tmp_path: Path, mode: SearchMode) -> None:
    assert find("注意力", snapshot_of([], tmp_path), mode=mode) == []


class TestFilter:
    @pytest.mark.parametrize(
        ("chunk_filter", "rows"),
        [
            (ChunkFilter(), [0, 1, 2, 3, 4]),
            (ChunkFilter(path="search/"), [0, 2, 4]),
            (ChunkFilter(path="search/bm25.md"), [0]),
            (ChunkFilter(tags=("search",)), [0, 2, 4]),
            (ChunkFilter(tags=("search", "old")), [0]),
            (ChunkFilter(language="zh"), [2, 3]),
            (ChunkFilter(date_from="2024-02-01"), [2, 3, 4]),
            (ChunkFilter(date_to="2024-02-01"), [0, 2, 3]),
            (ChunkFilter(date_to="2024-01"), [0]),
            (ChunkFilter(date_from="2024-02-01", date_to="2024-02-29"), [2, 3]),
            (ChunkFilter(path="search/", language="en", date_from="2024-02-01"), [4]),
            (ChunkFilter(path="nowhere/"), []),
        ],
    )
    def test_every_condition_must_hold(self, chunk_filter: ChunkFilter, rows: list[int]) -> None:
        mask = allowed_rows(CHUNKS, chunk_filter)
        assert mask is not None
        assert mask.nonzero()[0].tolist() == rows

    def test_without_a_filter_nothing_is_masked(self) -> None:
        assert allowed_rows(CHUNKS, None) is None

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("rerank", ["none", "late"])
    @pytest.mark.parametrize("config", [IndexConfig(), CANDIDATES_ONLY], ids=["exhaustive", "candidates"])
    def test_no_stage_sees_a_chunk_outside_of_it(
        self, tmp_path: Path, mode: SearchMode, rerank: str, config: IndexConfig
    ) -> None:
        snapshot = snapshot_of(CHUNKS, tmp_path, config)
        chosen = ChunkFilter(path="search/", language="en")
        hits = find("BM25 words", snapshot, config=config, mode=mode, rerank=rerank, chunk_filter=chosen)
        assert {hit.chunk.note for hit in hits} == {"search/bm25.md", "search/idf.md"}
        for stage in hits[0].signals:
            assert sorted(hit.signals[stage].rank for hit in hits) == [1, 2], stage

    def test_nothing_allowed_is_nothing_found(self, snapshot: Snapshot) -> None:
        assert find("BM25", snapshot, chunk_filter=ChunkFilter(path="nowhere/")) == []


def test_a_stage_that_runs_twice_adds_up_its_time() -> None:
    timings = Timings()
    for _ in range(2):
        with timings.measure("lexical"):
            pass
    assert list(timings.stages) == ["lexical"]
    assert timings.stages["lexical"] >= 0


def test_a_question_is_read_in_its_own_language() -> None:
    assert asked("什么是注意力？").tokens.language == "zh"
    assert asked("什麼是詞頻飽和，為什麼要這樣？").tokens.language == "zh"
    assert asked("What is attention?").tokens.language == "en"
