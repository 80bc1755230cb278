"""What a search makes of a question's variants and parts, of hits that say the same, and of what it leaves out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index.config import FusionConfig, IndexConfig, LateConfig
from index.schema import Chunk
from index.snapshot import Snapshot
from index.tokenizer import Tokenizer
from service.answering.exchange import ChunkFilter, SearchMode
from service.answering.explanation import Dropped
from service.answering.query import Query, Variant
from service.answering.rerank import never
from service.answering.retriever import CandidateReading, Retrieved
from tests.service.answering.plain_fusion import mean_of_z_scores
from tests.service.answering.small_indexes import asked, chunk, find, retrieved, snapshot_of

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


def worked_out(query: Query, snapshot: Snapshot) -> dict[str, float]:
    """What every chunk scores for a question and its variants, in plain code from the two indexes' own scores."""
    assert snapshot.late is not None
    known = {term for each in snapshot.chunks for term in Tokenizer().terms(each.text)}
    ways = [(query, 1.0), *((variant.query, variant.weight) for variant in query.variants)]
    total = np.zeros(len(snapshot.chunks))
    for way, weight in ways:
        bm25 = snapshot.lexical.scores(way.terms).astype(float)
        z = (bm25 - bm25.mean()) / bm25.std() if bm25.std() else 0 * bm25
        share = len(known & set(way.terms)) / len(set(way.terms))
        total += weight * (snapshot.late.scores(way.tokens) / snapshot.late.spread + 0.25 * share**2 * z)
    scores = total / sum(weight for _, weight in ways)
    return {each.id: float(score) for each, score in zip(snapshot.chunks, scores, strict=True)}


class TestVariants:
    """Another way to ask beside the question: what the hits say of it, and what it counts."""

    WAYS = (("keywords", "words"), ("glossary", "注意力"), ("keywords", "dropout zyzzyva"))
    NAMES = ("keywords", "glossary", "keywords-2")
    WEIGHTS = (0.5, 0.25, 0.75)

    def query(self) -> Query:
        variants = [
            Variant(stage, asked(text), weight) for (stage, text), weight in zip(self.WAYS, self.WEIGHTS, strict=True)
        ]
        return replace(asked("BM25 words"), variants=tuple(variants))

    def weights(self) -> dict[str, float]:
        return {"": 1.0, **dict(zip(self.NAMES, self.WEIGHTS, strict=True))}

    def test_a_hit_says_what_each_stage_thought_of_it_for_each_way_to_ask(self, snapshot: Snapshot) -> None:
        hits = {hit.chunk.id: hit.signals for hit in retrieved(self.query(), snapshot).hits}
        for name, (_, text) in zip(self.NAMES, self.WAYS, strict=True):
            for mode, stage in STAGE_OF.items():
                alone = {hit.chunk.id: hit.signals[stage] for hit in find(text, snapshot, mode=mode)}
                said = {each: signals[f"{stage}:{name}"] for each, signals in hits.items() if each in alone}
                assert said == alone, (name, stage)
        assert set().union(*hits.values()) == {
            f"{stage}{way}" for stage in ("lexical", "dense", "late") for way in ("", *(f":{n}" for n in self.NAMES))
        }

    @pytest.mark.parametrize("mode", MODES)
    def test_by_rank_the_fused_score_is_the_sum_of_weight_over_sixty_and_rank(
        self, snapshot: Snapshot, mode: SearchMode
    ) -> None:
        weights = self.weights()
        heard = {"lexical:keywords-2": 0.5**2} if mode == "hybrid" else {}  # beside vectors: half of it is known
        for hit in retrieved(self.query(), snapshot, config=BY_RANK, mode=mode, rerank="none").hits:
            parts = [
                weights[name.partition(":")[2]] * heard.get(name, 1.0) / (60 + own.rank)
                for name, own in hit.signals.items()
            ]
            assert hit.score == pytest.approx(sum(parts))

    @pytest.mark.parametrize("mode", MODES)
    def test_the_fused_score_is_the_weighted_mean_of_z_scores(self, snapshot: Snapshot, mode: SearchMode) -> None:
        hits = retrieved(self.query(), snapshot, mode=mode, rerank="none").hits
        found: dict[str, dict[str, float]] = {}
        for hit in hits:
            for name, own in hit.signals.items():
                found.setdefault(name, {})[hit.chunk.id] = own.score
        ways = {way and f":{way}": weight for way, weight in self.weights().items()}
        weights = {f"{stage}{way}": weight for stage in ("lexical", "dense") for way, weight in ways.items()}
        if mode == "hybrid":
            heard = {"lexical:keywords-2": 0.5**2}  # half of it is known
            weights |= {n: 1.5 * heard.get(n, 1.0) * w for n, w in weights.items() if n.startswith("lexical")}
        expected = mean_of_z_scores(found, {name: weights[name] for name in found})
        assert {hit.chunk.id: hit.score for hit in hits} == pytest.approx(expected)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)

    def test_the_last_score_is_the_weighted_mean_over_the_ways_of_late_interaction_and_bm25(
        self, snapshot: Snapshot
    ) -> None:
        expected = worked_out(self.query(), snapshot)
        hits = retrieved(self.query(), snapshot).hits
        assert {hit.chunk.id: hit.score for hit in hits} == pytest.approx(expected, abs=1e-4)
        assert [hit.chunk.id for hit in hits] == sorted(expected, key=lambda each: -expected[each])

    def test_so_it_is_for_the_candidates_alone_in_a_large_collection(self, tmp_path: Path) -> None:
        snapshot = snapshot_of(CHUNKS, tmp_path, CANDIDATES_ONLY)
        expected = worked_out(self.query(), snapshot)
        fused = retrieved(self.query(), snapshot, config=CANDIDATES_ONLY, rerank="none").hits
        hits = retrieved(self.query(), snapshot, config=CANDIDATES_ONLY).hits
        best = {hit.chunk.id: expected[hit.chunk.id] for hit in fused[:2]}
        assert {hit.chunk.id: hit.score for hit in hits[:2]} == pytest.approx(best, abs=1e-4)
        assert [hit.chunk.id for hit in hits[2:]] == [hit.chunk.id for hit in fused[2:]]
        lowest = min(best.values())
        assert [hit.score for hit in hits[2:]] == pytest.approx([lowest - 1, lowest - 2, lowest - 3], abs=1e-4)

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("config", [IndexConfig(), CANDIDATES_ONLY], ids=["exhaustive", "candidates"])
    def test_a_filter_holds_for_every_way_to_ask(self, tmp_path: Path, mode: SearchMode, config: IndexConfig) -> None:
        snapshot = snapshot_of(CHUNKS, tmp_path, config)
        chosen = ChunkFilter(path="search/", language="en")
        found = retrieved(self.query(), snapshot, config=config, mode=mode, rerank="late", chunk_filter=chosen)
        assert {hit.chunk.note for hit in found.hits} == {"search/bm25.md", "search/idf.md"}
        assert all(signal.rank <= 2 for hit in found.hits for signal in hit.signals.values())
        assert (found.dropped, found.filtered_out) == ((), 3)


class TestParts:
    """A question of two: each part is searched on its own, and its best passage is kept."""

    WHOLE, FIRST, SECOND = "BM25 words 量化 权重", "BM25 words", "量化 权重"

    def query(self) -> Query:
        return replace(asked(self.WHOLE), parts=(asked(self.FIRST), asked(self.SECOND)))

    def test_below_the_first_two_the_best_of_each_part_come_first(self, snapshot: Snapshot) -> None:
        whole, *parts = (
            [hit.chunk.id for hit in find(text, snapshot)] for text in (self.WHOLE, self.FIRST, self.SECOND)
        )
        turns = itertools.chain.from_iterable(zip(*parts, strict=True))
        expected = list(dict.fromkeys([*whole[:2], *turns]))
        hits = retrieved(self.query(), snapshot).hits
        assert [hit.chunk.id for hit in hits] == expected
        assert {"search/bm25.md", "量化.md"} <= {hit.chunk.note for hit in hits[:3]}
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)

    def test_a_hit_says_its_place_in_each_part_that_has_it_among_its_best(self, snapshot: Snapshot) -> None:
        best = {
            name: {hit.chunk.id: (rank, hit.score) for rank, hit in enumerate(find(text, snapshot, top_k=2), start=1)}
            for name, text in (("part-1", self.FIRST), ("part-2", self.SECOND))
        }
        hits = retrieved(self.query(), snapshot, top_k=2).hits
        for name, ranks in best.items():
            said = {hit.chunk.id: hit.signals[name] for hit in hits if name in hit.signals}
            kept = {each: place for each, place in ranks.items() if each in {hit.chunk.id for hit in hits}}
            assert {each: (signal.rank, signal.score) for each, signal in said.items()} == kept
            assert kept, name

    def test_what_the_stages_say_is_of_the_whole_question(self, snapshot: Snapshot) -> None:
        whole = {hit.chunk.id: hit.signals for hit in find(self.WHOLE, snapshot)}
        for hit in retrieved(self.query(), snapshot).hits:
            assert {name: own for name, own in hit.signals.items() if "part" not in name} == whole[hit.chunk.id]

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("config", [IndexConfig(), CANDIDATES_ONLY], ids=["exhaustive", "candidates"])
    def test_a_filter_holds_for_each(self, tmp_path: Path, mode: SearchMode, config: IndexConfig) -> None:
        snapshot = snapshot_of(CHUNKS, tmp_path, config)
        chosen = ChunkFilter(language="en")
        found = retrieved(self.query(), snapshot, config=config, mode=mode, rerank="late", chunk_filter=chosen)
        assert {hit.chunk.note for hit in found.hits} == {"search/bm25.md", "training/dropout.md", "search/idf.md"}
        assert {dropped.note for dropped in found.dropped} <= {"training/dropout.md"}
        assert found.filtered_out == 2

    def test_what_is_left_out_scores_no_more_than_the_last_hit(self, snapshot: Snapshot) -> None:
        found = retrieved(self.query(), snapshot, top_k=2)
        assert [dropped.reason for dropped in found.dropped] == ["rank"] * 2
        assert all(dropped.score <= found.hits[-1].score for dropped in found.dropped)


class TestFolding:
    RULE = "学习率先升后降：开头几百步从零慢慢升到最大值，然后按余弦曲线慢慢降下来，这样训练更稳，最后也收敛得更好。"
    CHUNKS = (
        chunk(RULE, note="warmup.md"),
        chunk(RULE.replace("开头", "最初"), note="cosine.md"),
        chunk("学习率太大会发散，太小又学得慢，所以要先试几个数量级，再在其中最好的附近细调。", note="choose.md"),
        chunk("量化把权重变成整数。", note="quantise.md"),
    )

    def found(self, folder: Path, *, similarity: float = 0.6, top_k: int = 10) -> Retrieved:
        snapshot = snapshot_of(self.CHUNKS, folder)
        return retrieved(asked("学习率开头几百步"), snapshot, top_k=top_k, fold_similarity=similarity)

    def test_a_hit_has_what_says_the_same_with_it(self, tmp_path: Path) -> None:
        hits = self.found(tmp_path).hits
        assert hits[0].chunk.note == "warmup.md"
        assert [names(list(hit.alike)) for hit in hits] == [["cosine.md"], [], []]
        assert "cosine.md" not in names([hit.chunk for hit in hits])

    def test_and_it_is_said_to_be_left_out_for_it(self, tmp_path: Path) -> None:
        apart = {hit.chunk.note: hit.score for hit in self.found(tmp_path, similarity=1.0).hits}
        (dropped,) = self.found(tmp_path).dropped
        assert dropped == Dropped(self.CHUNKS[1].id, "cosine.md", (3, 3), apart["cosine.md"], reason="alike", hit=1)

    def test_as_many_hits_as_were_asked_for_are_left(self, tmp_path: Path) -> None:
        assert names([hit.chunk for hit in self.found(tmp_path, top_k=2, similarity=1.0).hits]) == [
            "warmup.md", "cosine.md"
        ]  # fmt: skip
        found = self.found(tmp_path, top_k=2)
        assert names([hit.chunk for hit in found.hits]) == ["warmup.md", "choose.md"]
        assert [(dropped.note, dropped.reason, dropped.hit) for dropped in found.dropped] == [
            ("cosine.md", "alike", 1), ("quantise.md", "rank", None)
        ]  # fmt: skip


class TestLeftOut:
    SECTION = tuple(chunk(f"第{number}段讲词频。", heading=("词频",)) for number in "一二三四五六")

    def test_a_neighbour_that_came_with_a_hit(self, tmp_path: Path) -> None:
        found = retrieved(asked("第三段"), snapshot_of(self.SECTION, tmp_path), top_k=1, span_chars=20)
        (hit,) = found.hits
        assert hit.chunk == self.SECTION[2]
        (neighbour,) = (each for each in hit.span if each != hit.chunk)
        assert [(dropped.chunk_id, dropped.hit) for dropped in found.dropped if dropped.reason == "neighbour"] == [
            (neighbour.id, 1)
        ]

    @pytest.mark.parametrize(("top_k", "below"), [(1, 1), (2, 2), (3, 3), (4, 2), (5, 1), (6, 0)])
    def test_as_many_below_the_last_as_there_are_hits(self, tmp_path: Path, top_k: int, below: int) -> None:
        snapshot = snapshot_of(self.SECTION, tmp_path)
        every = find("第三段", snapshot)
        found = retrieved(asked("第三段"), snapshot, top_k=top_k)
        assert [(dropped.chunk_id, dropped.score, dropped.reason, dropped.hit) for dropped in found.dropped] == [
            (hit.chunk.id, hit.score, "rank", None) for hit in every[top_k : top_k + below]
        ]

    def test_after_a_model_has_read_the_best_its_order_says_what_stands_below(self, tmp_path: Path) -> None:
        class LikesTheLast:
            name = "likes-the-last"

            def scores(self, question: str, passages: Sequence[str], *, stop: Callable[[], bool] = never) -> np.ndarray:
                return np.arange(len(passages), dtype=np.float32) - 100

        reading = CandidateReading(LikesTheLast(), 3, never)
        snapshot = snapshot_of(self.SECTION, tmp_path)
        before = [hit.chunk.id for hit in find("第三段", snapshot)]
        found = retrieved(asked("第三段"), snapshot, top_k=2, reading=reading)
        assert [hit.chunk.id for hit in found.hits] == [before[2], before[1]]
        assert [(dropped.chunk_id, dropped.score) for dropped in found.dropped] == [
            (before[0], -100.0), (before[3], -101.0)
        ]  # fmt: skip

    @pytest.mark.parametrize(("path", "kept_out"), [(None, 0), ("search/", 2), ("nowhere/", 5)])
    def test_what_the_filter_keeps_out_is_counted_and_not_named(
        self, snapshot: Snapshot, path: str | None, kept_out: int
    ) -> None:
        chosen = None if path is None else ChunkFilter(path=path)
        found = retrieved(asked("BM25 words"), snapshot, top_k=1, chunk_filter=chosen)
        assert found.filtered_out == kept_out
        assert all(dropped.note.startswith(path or "") for dropped in found.dropped)
