"""The trained scores are those that the index ranks by, and the loss is InfoNCE."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from eval.tuning.maxsim import TokenWeights, centred, contrastive_loss, maxsim
from index.config import LateConfig
from index.late import LateIndex, TokenVectors, mean_token_vector
from index.token_codes import Selection
from index.vectors import unit

DIMENSION, VOCABULARY = 384, 50


def texts(count: int, longest: int, seed: int) -> list[TokenVectors]:
    """Vectors that share a direction, as an encoder's do."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        length = int(random.integers(1, longest + 1))
        vectors = unit(random.normal(size=(length, DIMENSION)) + 2.0)
        made.append(TokenVectors(vectors, random.integers(0, VOCABULARY, length).astype(np.int32), "zh"))
    return made


def padded(made: list[TokenVectors]) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(len(one.ids) for one in made)
    vectors, own = torch.zeros(len(made), longest, DIMENSION), torch.zeros(len(made), longest, dtype=torch.bool)
    for row, one in enumerate(made):
        vectors[row, : len(one.ids)] = torch.from_numpy(one.vectors)
        own[row, : len(one.ids)] = True
    return vectors, own


@dataclass(frozen=True)
class ExactCodes:
    """Stands for ByteCodes, and keeps the vectors as they are."""

    vectors: np.ndarray

    @classmethod
    def encode(cls, chunks: Iterable[np.ndarray], tokens: int, dimension: int) -> ExactCodes:
        return cls(np.concatenate(list(chunks)).reshape(tokens, dimension))

    def cosines(self, asked: np.ndarray, chosen: Selection) -> np.ndarray:
        return np.asarray(asked @ self.vectors[chosen.tokens].T)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_scores_equal_those_of_the_index_without_windows(power: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.late.ByteCodes", ExactCodes)
    questions, passages = texts(6, 9, seed=1), texts(20, 30, seed=2)
    means = {"zh": mean_token_vector(questions)}
    index = LateIndex.build(passages, LateConfig(window_weight=0.0, idf_power=power), means)

    asked, asked_own = padded(questions)
    read, read_own = padded(passages)
    weights = TokenWeights.of((one.ids for one in passages), vocabulary=VOCABULARY, power=power)
    scores = maxsim(
        centred(asked, torch.from_numpy(means["zh"])),
        weights.weights([one.ids for one in questions], asked_own),
        centred(read, torch.from_numpy(mean_token_vector(passages))),
        read_own,
    )
    np.testing.assert_allclose(scores.numpy(), np.stack([index.scores(question) for question in questions]), atol=1e-4)


def test_padding_of_questions_and_passages_counts_nothing() -> None:
    (question,), (passage,) = texts(1, 9, seed=3), texts(1, 9, seed=4)
    weights = TokenWeights.of([passage.ids], vocabulary=VOCABULARY, power=0.5)
    alone = _score([question], [passage], weights)[0, 0]
    among = _score([question, *texts(3, 30, seed=5)], [passage, *texts(3, 30, seed=6)], weights)[0, 0]
    assert among.item() == pytest.approx(alone.item(), abs=1e-6)


def _score(questions: list[TokenVectors], passages: list[TokenVectors], weights: TokenWeights) -> torch.Tensor:
    asked, asked_own = padded(questions)
    read, read_own = padded(passages)
    zero = torch.zeros(DIMENSION)
    placed = weights.weights([one.ids for one in questions], asked_own)
    return maxsim(centred(asked, zero), placed, centred(read, zero), read_own)


def test_the_loss_is_minus_the_log_of_the_share_of_the_right_passage() -> None:
    scores = torch.tensor([[0.5, 0.3, 0.9]])
    none, right = torch.zeros(1, 3, dtype=torch.bool), torch.tensor([0])
    shares = [math.exp(score / 0.1) for score in (0.5, 0.3, 0.9)]
    loss = contrastive_loss(scores, right, none, temperature=0.1)
    assert loss.item() == pytest.approx(-math.log(shares[0] / sum(shares)), abs=1e-5)


def test_an_excluded_passage_is_no_negative() -> None:
    scores = torch.tensor([[0.5, 0.3, 0.9]])
    excluded = torch.tensor([[False, False, True]])
    without = contrastive_loss(scores[:, :2], torch.tensor([0]), excluded[:, :2], temperature=0.1)
    assert contrastive_loss(scores, torch.tensor([0]), excluded, temperature=0.1).item() == without.item()
