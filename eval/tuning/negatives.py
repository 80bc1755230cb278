"""Hard negatives: passages that the encoder now ranks high for a question that they do not answer.

A passage that scores about as well as the one that answers may well answer too, so it is no negative: its score must
be below 95 % of the positive's (de Souza P. Moreira et al., "NV-Retriever: Improving text embedding models with
effective hard-negative mining", 2024, section 4: TopK-PercPos).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.indexes import PreparedIndex
from eval.run import search_with
from eval.systems import System
from eval.tuning.pairs import Pair
from index.late import TokenVectors
from index.progress import ProgressListener
from ingest.language import language_of

FIRST_RANK, LAST_RANK = 2, 30
SHARE_OF_POSITIVE = 0.95


@dataclass(frozen=True, slots=True)
class MinedPair:
    """A pair with ids of its hard negatives, hardest first, and of what answers it or may well do.

    No passage of ``doubtful`` may stand as a negative for this question, not even by chance in a batch.
    """

    pair: Pair
    negatives: tuple[str, ...]
    doubtful: frozenset[str]


def mine_negatives(
    pairs: Sequence[Pair], index: PreparedIndex, system: System, *, hidden: frozenset[str], listener: ProgressListener
) -> list[MinedPair]:
    """Search every question in ``index`` and keep what stands at ranks 2 to 30 and scores below the positive.

    Passages of ``hidden`` are what is held out, and are never trained on. Scores are late interaction's, in [-1, 1].
    """
    listener.start("mining negatives", len(pairs))
    mined = []
    for pair in pairs:
        mined.append(_mined(pair, index, system, hidden))
        listener.advance(1)
    listener.finish()
    return mined


def _mined(pair: Pair, index: PreparedIndex, system: System, hidden: frozenset[str]) -> MinedPair:
    hits, _ = search_with(system, index, pair.question, LAST_RANK)
    ranked = [hit.chunk.id for hit in hits]
    scores = dict(zip(ranked, _late_scores(pair.question, ranked, index), strict=True))
    (positive,) = _late_scores(pair.question, [pair.passage], index)
    alike = {passage for passage, score in scores.items() if score >= most_allowed(positive)}
    doubtful = pair.answers | alike
    kept = [passage for passage in ranked[FIRST_RANK - 1 :] if passage not in doubtful | hidden]
    return MinedPair(pair, tuple(kept), frozenset(doubtful))


def most_allowed(positive: float) -> float:
    """The bound on a negative's score: 95 % of the positive's, or where that is below 0, as far below it."""
    return positive - (1 - SHARE_OF_POSITIVE) * abs(positive)


def _late_scores(question: str, passages: Sequence[str], index: PreparedIndex) -> list[float]:
    snapshot = index.tools.snapshot
    if snapshot.late is None:
        raise ValueError("an index without token vectors has nothing to compare by")
    encoded = index.encoder.encode_query(question)
    tokens = TokenVectors.of(encoded, language_of(question).split("-")[0])
    rows = np.array([snapshot.rows_by_id[passage] for passage in passages], dtype=np.int64)
    scores: list[float] = snapshot.late.scores(tokens, rows).tolist()
    return scores
