"""The two scores that are trained, as functions that gradients go through, and the loss over them.

Late interaction as index/late.py computes it, without its windows: the best cosine of each question token among the
passage's, of centred token vectors, weighted by idf. InfoNCE after van den Oord, Li & Vinyals, "Representation Learning
with Contrastive Predictive Coding" (2018).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

_NO_TOKEN = -1.0  # the score of a passage without tokens


@dataclass(frozen=True, slots=True)
class TokenWeights:
    """What each token of a question counts, by the number of ``passages`` that it occurs in; LateIndex.token_weights.

    ``frequencies`` (vocabulary,) counts those; ``power`` is index.late.idf_power.
    """

    frequencies: np.ndarray
    passages: int
    power: float

    @classmethod
    def of(cls, passages: Iterable[np.ndarray], *, vocabulary: int, power: float) -> TokenWeights:
        """Count in how many passages, each the ids of its own tokens, a token occurs."""
        frequencies = np.zeros(vocabulary, dtype=np.float64)
        count = 0
        for ids in passages:
            frequencies[np.unique(ids)] += 1
            count += 1
        return cls(frequencies, count, power)

    def weights(self, ids: Sequence[np.ndarray], own: torch.Tensor) -> torch.Tensor:
        """Weights of questions' own tokens at their places in ``own`` (A, L) bool: (A, L), each row adds up to 1."""
        placed = torch.zeros(own.shape)
        for row, tokens in enumerate(ids):
            frequency = self.frequencies[tokens]
            idf = np.log1p((self.passages - frequency + 0.5) / (frequency + 0.5)) ** self.power
            placed[row, own[row]] = torch.from_numpy((idf / idf.sum()).astype(np.float32))
        return placed


def centred(vectors: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """Token vectors (…, d) made length 1, less a mean that broadcasts to them, made length 1 again."""
    return functional.normalize(functional.normalize(vectors, dim=-1) - mean, dim=-1)


def maxsim(
    questions: torch.Tensor, weights: torch.Tensor, passages: torch.Tensor, passages_own: torch.Tensor
) -> torch.Tensor:
    """Score each question against each passage: (A, B) in [-1, 1].

    ``questions`` (A, L, d) and ``passages`` (B, M, d) are centred token vectors, ``weights`` (A, L) what each token of
    a question counts, 0 where there is none, and ``passages_own`` (B, M) bool where a passage has a token of its own.
    """
    cosines = torch.einsum("ald,bmd->ablm", questions, passages)
    best = cosines.masked_fill(~passages_own[None, :, None, :], _NO_TOKEN).amax(dim=-1)
    return (best * weights[:, None, :]).sum(dim=-1)


def contrastive_loss(
    scores: torch.Tensor, targets: torch.Tensor, excluded: torch.Tensor, *, temperature: float
) -> torch.Tensor:
    """InfoNCE: the mean over questions of -log softmax(scores / temperature) at their passage.

    ``scores`` (A, B), ``targets`` (A,) int64, ``excluded`` (A, B) bool: passages that are no negatives of a question.
    """
    return functional.cross_entropy((scores / temperature).masked_fill(excluded, float("-inf")), targets)
