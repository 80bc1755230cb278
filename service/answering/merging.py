"""Orders into one: every part of a question keeps its passage, and passages that say the same become one hit."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from index.schema import Chunk
from ingest.config import DuplicateConfig
from ingest.dedupe import are_duplicates
from service.answering.rankings import Ranking

NEVER_ALIKE = 1.0
"""The similarity at which nothing is folded: what is wholly alike was folded at indexing."""

_KEPT = 2
_LEAST_SHARED = 0.35  # of the character pairs of two texts that may say the same


def with_every_part(order: Ranking, parts: Sequence[Ranking]) -> Ranking:
    """Let the parts and the whole question take turns below the question's first two: the best of each, then the next.

    A row stands once, where it comes first; its score is that of ``order``, brought down where needed so that scores
    fall, or that of the row before it where ``order`` does not have it. Measured on questions made of two
    (docs/benchmarks.md): both have their evidence among the first five more often than by the whole question alone, by
    sums or by maxima of scores; the first two stay because most questions of two clauses ask for one passage.
    """
    known = dict(order)
    head, rest = order[:_KEPT], order[_KEPT:]
    turns = itertools.zip_longest(*([row for row, _ in ranking] for ranking in (*parts, rest)))
    rows = dict.fromkeys([*(row for row, _ in head), *(row for turn in turns for row in turn if row is not None)])
    merged: Ranking = []
    for row in rows:
        last = merged[-1][1] if merged else known.get(row, 0.0)
        merged.append((row, min(last, known.get(row, last))))
    return merged


def fold_alike(
    order: Ranking, chunks: Sequence[Chunk], *, top_k: int, similarity: float
) -> tuple[Ranking, dict[int, int]]:
    """Leave out of the ``top_k`` best what says the same as a better one, and say which: {left out: kept}.

    The same is what would be a duplicate at indexing (ingest/dedupe.py) if its shingles were alike by this Jaccard
    ``similarity``: a number, a name or a negation that differs keeps two passages apart.
    """
    if similarity >= NEVER_ALIKE:
        return order, {}
    # A copy, since the least threshold of the config is that of MinHash, which nothing is searched with here.
    config = DuplicateConfig().model_copy(update={"threshold": similarity})
    kept: list[tuple[int, frozenset[str]]] = []
    folded: dict[int, int] = {}
    for row, _ in order:
        if len(kept) == top_k:
            break
        pairs = _character_pairs(chunks[row].text)
        same = (
            other
            for other, others in kept
            if len(pairs & others) >= _LEAST_SHARED * len(pairs | others)
            and are_duplicates(chunks[other], chunks[row], config)
        )
        home = next(same, None)
        if home is None:
            kept.append((row, pairs))
        else:
            folded[row] = home
    return [(row, score) for row, score in order if row not in folded], folded


def _character_pairs(text: str) -> frozenset[str]:
    return frozenset(map("".join, itertools.pairwise(text)))
