"""Scores in both directions against a slow hand-written reference; two indexes side by side in one folder."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from index.config import LateConfig
from index.errors import IndexCorrupt
from index.late import LateIndex, TokenVectors
from tests.index.small_token_vectors import random_chunks, random_tokens, tokens

SETTINGS = [LateConfig(centre=centre, idf_power=power) for centre in (False, True) for power in (0.0, 0.5, 1.0)]
PLAIN = LateConfig(centre=False, idf_power=0.0)
NOTHING = TokenVectors(np.zeros((0, 8), np.float32), np.zeros(0, np.int32))


def reference(
    texts: list[TokenVectors], query: TokenVectors, config: LateConfig, query_means: Mapping[str, np.ndarray]
) -> list[float]:
    """The mean of MaxSim in both directions, a token at a time."""
    nothing = np.zeros(query.vectors.shape[1])
    everything = [vector.astype(float) for text in texts for vector in text.vectors]
    mean = sum(everything, nothing) / len(everything) if config.centre and everything else nothing
    asked_mean = query_means.get(query.language or "", mean) if config.centre else nothing

    def cosine(asked: np.ndarray, own: np.ndarray) -> float:
        one, other = asked - asked_mean, own - mean
        return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))

    def weight(token: int) -> float:
        holding = sum(token in text.ids for text in texts)
        return float(math.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5)) ** config.idf_power)

    weights = [weight(token) for token in query.ids.tolist()]
    scores = []
    for text in texts:
        if not len(text.ids):
            scores.append(-1.0)
            continue
        there = sum(
            w * max(cosine(asked, own) for own in text.vectors) for w, asked in zip(weights, query.vectors, strict=True)
        )
        back = sum(max(cosine(asked, own) for asked in query.vectors) for own in text.vectors)
        scores.append((there / sum(weights) + back / len(text.ids)) / 2)
    return scores


def test_a_case_worked_by_hand() -> None:
    texts = [tokens([[1, 0]], [7]), tokens([[1, 0], [0, 1]], [7, 8]), tokens([[3, 4]], [9])]
    # All of the question is in the second text, half of that in the question; (0, 1) and (3, 4) have cosine 0.8.
    mutual = LateIndex.build(texts, PLAIN).mutual_scores(tokens([[1, 0]], [7]), np.arange(3))
    assert mutual.tolist() == pytest.approx([1, 0.75, 0.6], abs=3e-3)


@given(
    counts=st.lists(st.integers(0, 6), min_size=1, max_size=6),
    asked=st.integers(1, 4),
    config=st.sampled_from(SETTINGS),
    language=st.sampled_from([None, "zh", "en"]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_mutual_scores_are_those_of_the_slow_reference(
    counts: list[int], asked: int, config: LateConfig, language: str | None, seed: int
) -> None:
    assume(sum(counts) != 1 or not config.centre)  # one token is its own mean: nothing is left of it
    random = np.random.default_rng(seed)
    texts = [random_tokens(random, count) for count in counts]
    query = dataclasses.replace(random_tokens(random, asked), language=language)
    query_means = {"zh": random.normal(0, 0.1, 8).astype(np.float32)}
    index = LateIndex.build(texts, config, query_means)
    rows = random.permutation(len(texts))
    scores = index.mutual_scores(query, rows)
    assert scores.dtype == np.float32
    expected = np.array(reference(texts, query, config, query_means))[rows]
    np.testing.assert_allclose(scores, expected, atol=0.01)


def test_a_text_or_a_question_without_tokens_is_like_nothing() -> None:
    index = LateIndex.build([NOTHING, *random_chunks([3]), NOTHING], LateConfig())
    query = random_chunks([2], seed=5)[0]
    scores = index.mutual_scores(query, np.array([2, 1, 0]))
    assert scores[[0, 2]].tolist() == [-1, -1]
    assert scores[1] > -1
    assert index.mutual_scores(query, np.array([0, 2])).tolist() == [-1, -1]
    assert index.mutual_scores(NOTHING, np.arange(3)).tolist() == [-1, -1, -1]
    assert index.mutual_scores(query, np.zeros(0, dtype=np.int64)).shape == (0,)


def test_two_indexes_in_one_folder_keep_apart(tmp_path: Path) -> None:
    query, rows = random_chunks([3], seed=9)[0], np.arange(2)
    means = {"zh": np.full(8, 0.1, np.float32)}
    passages = LateIndex.build(random_chunks([5, 7]), LateConfig(), means)
    others = LateIndex.build(random_chunks([4, 2], seed=1), LateConfig(), means)
    passages.save(tmp_path)
    alone = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    others.save(tmp_path, "others")
    assert {name: (tmp_path / name).read_bytes() for name in alone} == alone
    assert all(path.name in alone or path.name.startswith("others") for path in tmp_path.iterdir())
    read = LateIndex.load(tmp_path, LateConfig()), LateIndex.load(tmp_path, LateConfig(), "others")
    for one, built in zip(read, (passages, others), strict=True):
        assert one.mutual_scores(query, rows).tolist() == built.mutual_scores(query, rows).tolist()
    assert read[0].tokens != read[1].tokens


def test_what_is_missing_under_one_name_is_not_taken_from_another(tmp_path: Path) -> None:
    LateIndex.build(random_chunks([5, 7]), LateConfig()).save(tmp_path)
    with pytest.raises(IndexCorrupt, match="token vectors"):
        LateIndex.load(tmp_path, LateConfig(), "others")
