"""A hit with its neighbours: what a person needs around the passage that was found.

A chunk is cut to be found; what answers often goes on in the next one of its section. Each hit takes adjacent chunks
of its section with it, the better-scored first, while all of them together stay within a limit. Measured on two sets
(docs/benchmarks.md): more questions have their evidence in the first passage, at half as much text again. So it is a
gain in what is returned, not in ranking, and is only ever compared at similar length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from index.schema import Chunk

_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class RowSpan:
    """The rows ``first`` to ``last`` that are returned for the hit ``row``, which is one of them."""

    row: int
    score: float
    first: int
    last: int


def section_spans(
    order: Sequence[tuple[int, float]],
    chunks: Sequence[Chunk],
    *,
    top_k: int,
    limit: int,
    allowed: np.ndarray | None = None,
) -> list[RowSpan]:
    """Return the ``top_k`` best hits of ``order`` (row, score; best first) with their neighbours, best first.

    ``limit`` bounds the characters of a span; a longer chunk stands alone. A row is in one span only, so a hit that an
    earlier span has taken comes no more. ``allowed``, bool (rows,), keeps neighbours out that the filter does not let
    through. Cost: a few comparisons a hit.
    """
    scores = dict(order)
    taken: set[int] = set()
    spans: list[RowSpan] = []
    for row, score in order:
        if len(spans) == top_k:
            break
        if row in taken:
            continue
        first = last = row
        taken.add(row)
        length = len(chunks[row].text)
        while candidates := [
            neighbour
            for neighbour in (first - 1, last + 1)
            if 0 <= neighbour < len(chunks)
            and neighbour not in taken
            and (allowed is None or allowed[neighbour])
            and same_section(chunks[row], chunks[neighbour])
            and length + len(chunks[neighbour].text) <= limit
        ]:
            better = max(candidates, key=lambda neighbour: scores.get(neighbour, _NEVER))
            taken.add(better)
            length += len(chunks[better].text)
            first, last = min(first, better), max(last, better)
        spans.append(RowSpan(row, score, first, last))
    return spans


def same_section(one: Chunk, other: Chunk) -> bool:
    """Whether two chunks of a note stand under the same heading, one below the other's, or side by side under one."""
    if one.note != other.note or not one.heading or not other.heading:
        return False
    depth = min(len(one.heading), len(other.heading))
    below = one.heading[:depth] == other.heading[:depth]
    beside = len(one.heading) > 1 and len(other.heading) > 1 and one.heading[:-1] == other.heading[:-1]
    return below or beside
