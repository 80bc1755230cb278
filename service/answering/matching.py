"""The lines of a passage that a question's words stand in."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from index.lexical import LexicalIndex
from index.tokenizer import Tokenizer
from service.answering.query import Query

_LEAST_SHARE = 0.2  # of the rarity of the question's terms
_MOST_LINES = 3


def matching_lines(text: str, query: Query, lexical: LexicalIndex, tokenizer: Tokenizer) -> tuple[str, ...]:
    """Return up to three lines of ``text``, as they stand there and in their order, that hold most of the question.

    A line counts by the idf of the terms that it shares with the question, or with the variant or part that it shares
    most with, found by the tokenizer of the index; one with less than a fifth of all of it is no match. None where
    question and passage share no words.
    """
    ways = [query, *(variant.query for variant in query.variants), *query.parts]
    rarities = [_rarity(way.terms, lexical) for way in ways]
    lines = [line for line in text.splitlines() if line.strip()]
    shares = np.array([_best_share(tokenizer.terms(line), rarities) for line in lines])
    best = np.argsort(-shares, kind="stable")[:_MOST_LINES]
    return tuple(lines[i] for i in sorted(best.tolist()) if shares[i] >= _LEAST_SHARE)


def _rarity(terms: Sequence[str], lexical: LexicalIndex) -> dict[str, float]:
    distinct = list(dict.fromkeys(terms))
    return dict(zip(distinct, lexical.idf(distinct).tolist(), strict=True))


def _best_share(terms: Sequence[str], rarities: Sequence[dict[str, float]]) -> float:
    return max(_share(terms, rarity) for rarity in rarities)


def _share(terms: Sequence[str], rarity: dict[str, float]) -> float:
    # Summed exactly: the order of a set is another in every process, and equal lines would be told apart by it.
    return math.fsum(rarity.get(term, 0.0) for term in set(terms)) / max(math.fsum(rarity.values()), 1e-9)
