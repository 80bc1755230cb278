"""The hypothetical answer: what is searched with, and what is not fit for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from index.config import FusionConfig, IndexConfig, LateConfig
from index.schema import Hit
from index.tokenizer import Tokenizer
from service.answering.config import AnsweringConfig
from service.answering.drafting import Drafts
from service.answering.exchange import ChunkFilter, SearchMode
from service.answering.explanation import Rejected
from service.answering.hyde import MAX_TOKENS, accepted, distinct_share, is_wanted, write_hypothesis
from service.answering.query import Hypothesis
from tests.service.answering.small_indexes import asked, chunk, retrieved, snapshot_of
from tests.service.answering.toy_language_model import ToyLanguageModel
from tests.toys import ToyEncoder

QUESTION = "训练时为什么要丢掉神经元"
FIT = "训练时为什么要丢掉神经元？网络更稳。"
ANSWER = "训练时丢掉神经元，网络就不会依赖其中几个。"
CONFIG = AnsweringConfig(hyde_min_similarity=0.3, hyde_weight=0.3)
CHUNKS = [
    chunk("训练时学习率先升后降。", note="rate.md"),
    chunk("网络就不会依赖其中几个。", note="dropout.md"),
    chunk("量化把权重变成整数。", note="quantise.md"),
    chunk("BM25 counts words.", note="bm25.md", language="en"),
]
CANDIDATES_ONLY = IndexConfig(late=LateConfig(exhaustive_tokens=0, candidates=2))


def judged(text: str, *, question: str = QUESTION, config: AnsweringConfig = CONFIG) -> Hypothesis | Rejected:
    return accepted(text, asked(question), ToyEncoder(), Tokenizer(), config)


class TestWriting:
    @pytest.mark.parametrize(
        ("question", "phrase"),
        [(QUESTION, "针对问题"), ("為什麼訓練時要丟掉神經元呢", "繁體中文"), ("Why drop neurons?", "in English")],
    )
    def test_the_model_is_asked_in_the_questions_language_without_the_notes(self, question: str, phrase: str) -> None:
        model = ToyLanguageModel(["好"] * 99)
        assert write_hypothesis(asked(question), model, Drafts(), stop=lambda: False) == "好" * MAX_TOKENS
        (prompt,) = model.prompts
        assert phrase in prompt.instruction
        assert prompt.request == question

    @pytest.mark.parametrize(
        ("requested", "configured", "wanted"),
        [(None, False, False), (None, True, True), (True, False, True), (False, True, False)],
    )
    def test_a_request_outweighs_the_config(self, requested: bool | None, configured: bool, wanted: bool) -> None:
        assert is_wanted(requested, AnsweringConfig(hyde=configured)) is wanted


class TestJudging:
    def test_a_fit_one_is_encoded_as_a_passage(self) -> None:
        encoder = ToyEncoder()
        found = accepted(FIT, asked(QUESTION), encoder, Tokenizer(), CONFIG)
        assert isinstance(found, Hypothesis)
        assert (found.text, found.weight, encoder.encoded) == (FIT, 0.3, [FIT])
        assert found.vector.tolist() == encoder.encode_query(FIT).vector.tolist()

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "empty"),
            ("。", "empty"),
            ("笔记里没有提到这个问题。", "refuses"),
            ("训练时丢掉神经元。", "repeats the question"),
            ("神经元被丢掉，网络更稳。" * 6, "repeats itself"),
            ("红茶应当趁热喝才香。", "drifted"),
        ],
    )
    def test_an_unfit_one_is_not_searched_with_and_says_why(self, text: str, reason: str) -> None:
        found = judged(text)
        assert isinstance(found, Rejected)
        assert (found.stage, found.text) == ("hyde", text)
        assert found.reason.startswith(reason)

    @pytest.mark.parametrize(
        ("terms", "share"),
        [([], 1.0), (["a", "b"], 1.0), (["a", "b", "c"], 1.0), (["a"] * 5, 1 / 3), (list("abcabcabc"), 3 / 7)],
    )
    def test_repetition_is_the_share_of_different_runs_of_three_terms(self, terms: list[str], share: float) -> None:
        assert distinct_share(terms) == pytest.approx(share)


class TestSearching:
    @staticmethod
    def find(
        folder: Path,
        *,
        weight: float | None,
        mode: SearchMode = "hybrid",
        rerank: str | None = None,
        config: IndexConfig = CANDIDATES_ONLY,
        chunk_filter: ChunkFilter | None = None,
    ) -> list[Hit]:
        query = asked(QUESTION)
        if weight is not None:
            query = replace(query, hypothesis=Hypothesis(ANSWER, ToyEncoder().encode_query(ANSWER).vector, weight))
        snapshot = snapshot_of(CHUNKS, folder, config)
        return retrieved(query, snapshot, config=config, mode=mode, rerank=rerank, chunk_filter=chunk_filter).hits

    def test_it_is_a_ranking_of_its_own_in_rank_fusion(self, tmp_path: Path) -> None:
        config = IndexConfig(fusion=FusionConfig(method="rrf", lexical_weight=1.0))
        hits = self.find(tmp_path, weight=0.5, rerank="none", config=config)
        ranked = {hit.chunk.note: hit.signals["hyde"].rank for hit in hits}
        assert ranked["dropout.md"] == 1
        for hit in hits:
            weights = {"lexical": (1 / 3) ** 2, "dense": 1.0, "hyde": 0.5}  # BM25 knows a third of its terms
            expected = sum(weights[name] / (60 + signal.rank) for name, signal in hit.signals.items())
            assert hit.score == pytest.approx(expected)

    def test_the_questions_own_rankings_stay_as_they_are(self, tmp_path: Path) -> None:
        without = {hit.chunk.id: dict(hit.signals) for hit in self.find(tmp_path, weight=None, rerank="none")}
        for hit in self.find(tmp_path, weight=0.5, rerank="none"):
            assert {name: signal for name, signal in hit.signals.items() if name != "hyde"} == without[hit.chunk.id]

    def test_a_dense_search_is_fused_with_it(self, tmp_path: Path) -> None:
        hits = self.find(tmp_path, weight=10.0, mode="dense")
        assert hits[0].chunk.note == "dropout.md"
        assert [hit.signals.keys() for hit in hits] == [{"dense", "hyde"}] * len(CHUNKS)

    def test_a_lexical_search_knows_nothing_of_it(self, tmp_path: Path) -> None:
        hits = self.find(tmp_path, weight=10.0, mode="lexical")
        assert hits
        assert all(hit.signals.keys() == {"lexical"} for hit in hits)

    @pytest.mark.parametrize("config", [IndexConfig(), CANDIDATES_ONLY], ids=["exhaustive", "candidates"])
    def test_with_late_interaction_its_cosine_counts_beside_it(self, tmp_path: Path, config: IndexConfig) -> None:
        assert self.find(tmp_path, weight=None, config=config)[0].chunk.note == "rate.md"
        light = self.find(tmp_path, weight=0.01, config=config)
        heavy = self.find(tmp_path, weight=10.0, config=config)
        assert light[0].chunk.note == "rate.md"
        assert heavy[0].chunk.note == "dropout.md"
        assert all("late" in hit.signals for hit in heavy[:2])

    @pytest.mark.parametrize("config", [IndexConfig(), CANDIDATES_ONLY], ids=["exhaustive", "candidates"])
    def test_a_filter_holds_for_it_too(self, tmp_path: Path, config: IndexConfig) -> None:
        hits = self.find(tmp_path, weight=10.0, config=config, chunk_filter=ChunkFilter(path="rate.md"))
        assert [hit.chunk.note for hit in hits] == ["rate.md"]
        assert hits[0].signals["hyde"].rank == 1
        assert self.find(tmp_path, weight=10.0, config=config, chunk_filter=ChunkFilter(path="nowhere/")) == []
