"""A search whose best candidates a model reads: its order, what it leaves alone, and what happens where it fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.config import IndexConfig
from index.errors import GenerationFailed, WeightsMissing
from index.passages import embedded_text
from index.tokenizer import Tokenizer
from service.answering.answer import search
from service.answering.config import AnsweringConfig
from service.answering.exchange import SearchRequest, SearchResult
from service.answering.rerank import Reranker, never
from service.answering.tools import Tools
from tests.service.answering.small_indexes import chunk, snapshot_of
from tests.toys import ToyEncoder

CHUNKS = [chunk(f"BM25 的第{number}段", heading=("检索", str(number))) for number in "一二三四五六"]
NAME = "folder/of-a-cross-encoder"


class LastFirst:
    """A reranker that likes what stands later in the notes, and reads no more than it is let."""

    @property
    def name(self) -> str:
        return NAME

    def __init__(self, most: int = 100) -> None:
        self.most = most
        self.read: list[str] = []

    def scores(self, question: str, passages: Sequence[str], *, stop: Callable[[], bool] = never) -> np.ndarray:
        self.read = list(passages[: self.most])
        texts = [embedded_text(each) for each in CHUNKS]
        return np.array([texts.index(passage) for passage in self.read], dtype=np.float32)


def searched(
    tmp_path: Path, opener: Callable[[str], Reranker] | None, *, rerank: str | None = None, **answering: Any
) -> SearchResult:
    config = AnsweringConfig(reranker=NAME, span_chars=0, model="none", **answering)
    tools = Tools(
        snapshot=snapshot_of(CHUNKS, tmp_path),
        encoder=ToyEncoder(),
        tokenizer=Tokenizer(),
        language_model=None,
        index=IndexConfig(),
        answering=config,
        reranker=opener,
    )
    return search(SearchRequest("BM25 第三段", rerank=rerank), tools)


def rows(result: SearchResult) -> list[int]:
    return [CHUNKS.index(hit.chunk) for hit in result.hits]


def test_the_best_candidates_come_in_the_models_order_and_the_rest_below_in_their_own(tmp_path: Path) -> None:
    before = rows(searched(tmp_path, None, rerank="late"))
    model = LastFirst()
    result = searched(tmp_path, lambda _: model, rerank_candidates=3)
    assert rows(result) == sorted(before[:3], reverse=True) + before[3:]
    assert len(model.read) == 3
    assert [NAME in hit.signals for hit in result.hits] == [True] * 3 + [False] * 3
    assert "rerank" in result.timings
    assert result.stages_skipped == ()
    scores = [hit.score for hit in result.hits]
    assert scores == sorted(scores, reverse=True)


def test_what_it_had_no_time_for_keeps_its_place_below(tmp_path: Path) -> None:
    before = rows(searched(tmp_path, None, rerank="late"))
    result = searched(tmp_path, lambda _: LastFirst(most=2), rerank_candidates=4)
    assert rows(result) == sorted(before[:2], reverse=True) + before[2:]
    assert result.stages_skipped == ("rerank",)


def test_a_model_that_fails_while_it_reads_leaves_the_order_before_it_and_is_said(tmp_path: Path) -> None:
    class Breaks(LastFirst):
        def scores(self, question: str, passages: Sequence[str], *, stop: Callable[[], bool] = never) -> np.ndarray:
            raise GenerationFailed("it broke", hint="look")

    result = searched(tmp_path, lambda _: Breaks())
    assert rows(result) == rows(searched(tmp_path, None, rerank="late"))
    assert result.stages_skipped == ("rerank",)


def test_a_model_that_cannot_be_opened_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    def opener(name: str) -> Reranker:
        raise WeightsMissing("it is not there", hint="fetch it")

    with pytest.raises(WeightsMissing, match="it is not there"):
        searched(tmp_path, opener)
    with pytest.raises(WeightsMissing, match="is not open"):
        searched(tmp_path, None)
