"""Passages in batches: which are read, what the empty ones get, and where a stop leaves off."""

from __future__ import annotations

import numpy as np
import pytest

from index.errors import WeightsCorrupt
from service.answering.reranking.passage_reading import finite, never, scores_in_batches, with_empty


def lengths(batch: list[str]) -> np.ndarray:
    return np.array([len(passage) for passage in batch], dtype=np.float32)


def test_batches_are_as_long_as_they_may_be_and_without_empty_passages() -> None:
    read: list[list[str]] = []

    def reading(batch: list[str]) -> np.ndarray:
        read.append(batch)
        return lengths(batch)

    scores = scores_in_batches(["a", "", "bbb", "cc", " \n"], reading, batch_size=2, stop=never)
    assert read == [["a", "bbb"], ["cc"]]
    assert scores.tolist() == [1.0, 0.0, 3.0, 2.0, 0.0]
    assert scores.dtype == np.float32


@pytest.mark.parametrize(("batches", "scores"), [(0, [0.0]), (1, [0.0, 1.0, 3.0, 0.0]), (2, [0.0, 1.0, 3.0, 0.0, 2.0])])
def test_a_stop_is_asked_before_every_batch(batches: int, scores: list[float]) -> None:
    calls = iter(range(9))
    passages = ["", "a", "bbb", "", "cc"]
    found = scores_in_batches(passages, lengths, batch_size=2, stop=lambda: next(calls) >= batches)
    assert found.tolist() == scores


def test_nothing_but_empty_passages_needs_no_reading() -> None:
    assert scores_in_batches(["", " "], lengths, batch_size=4, stop=never).tolist() == [0.0, 0.0]
    assert with_empty([], [], 0).shape == (0,)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_refused(wrong: float) -> None:
    assert finite(np.array([1.0, 2.0]), "it").dtype == np.float32
    with pytest.raises(WeightsCorrupt, match="'it' computes scores that are no numbers"):
        finite(np.array([1.0, wrong]), "it")
