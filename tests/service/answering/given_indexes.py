"""Indexes whose scores are given, so that what a search makes of them can be worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from index.concept_index import ConceptMatch
from index.config import IndexConfig
from index.encoder import Encoding
from index.late import TokenVectors
from index.lexical import LexicalScores
from index.snapshot import Snapshot
from service.answering.exchange import SearchMode
from service.answering.query import Described, Hypothesis, Query, Variant
from service.answering.rankings import Scope
from service.answering.timings import Timings

ROWS = 5
Table = Mapping[int, Sequence[float]]
"""By the number of a question, what every row scores."""


@dataclass(frozen=True)
class GivenLexical:
    """A question is one term, its number; ``known`` is the share of its terms that the notes have."""

    table: Table
    known: Mapping[int, float]

    def scored(self, terms: Sequence[str]) -> LexicalScores:
        (term,) = terms
        return LexicalScores(np.array(self.table[int(term)], dtype=np.float32))

    def known_share(self, terms: Sequence[str]) -> float:
        (term,) = terms
        return self.known[int(term)]


@dataclass(frozen=True)
class GivenDense:
    """A question's vector is its number; rows that are not ``reached`` are never found, as by an approximate index."""

    table: Table
    reached: frozenset[int] = frozenset(range(ROWS))

    def search(self, vector: np.ndarray, k: int, *, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        scores = np.array(self.table[int(vector[0])], dtype=np.float32)
        found = [row for row in range(ROWS) if row in self.reached and (allowed is None or allowed[row])]
        best = np.array(sorted(found, key=lambda row: (-scores[row], row))[:k], dtype=np.int64)
        return best, scores[best]


@dataclass(frozen=True)
class GivenLate:
    """A question's only token is its number; ``scored`` keeps which rows were scored, question by question."""

    table: Table
    spread: float
    is_exhaustive: bool
    scored: list[tuple[int, list[int]]] = field(default_factory=list)

    def scores(self, query: TokenVectors, rows: np.ndarray) -> np.ndarray:
        number = int(query.ids[0])
        self.scored.append((number, rows.tolist()))
        return np.asarray(np.array(self.table[number], dtype=np.float32)[rows])


@dataclass(frozen=True)
class GivenConcepts:
    """``table`` has, by the number of a concept, how salient it is in every row."""

    table: Table

    def relevance(self, matches: Sequence[ConceptMatch]) -> np.ndarray:
        salient = [match.strength * np.array(self.table[match.number], dtype=np.float32) for match in matches]
        return np.asarray(np.max(salient, axis=0), dtype=np.float32)


@dataclass(frozen=True)
class GivenSnapshot:
    lexical: GivenLexical
    dense: GivenDense
    late: GivenLate | None
    concepts: GivenConcepts | None = None
    chunks: range = range(ROWS)


def question(
    number: int, *variants: Variant, hypothesis: Hypothesis | None = None, described: Described | None = None
) -> Query:
    return Query(
        text=str(number),
        encoding=Encoding(vector_of(number), np.ones((1, 1), dtype=np.float32), np.array([number], dtype=np.int32)),
        terms=(str(number),),
        language="zh",
        hypothesis=hypothesis,
        described=described,
        variants=variants,
    )


def vector_of(number: int) -> np.ndarray:
    return np.array([number], dtype=np.float32)


def scope_of(
    snapshot: GivenSnapshot,
    *,
    mode: SearchMode = "hybrid",
    allowed: Sequence[int] | None = None,
    config: IndexConfig | None = None,
) -> Scope:
    mask = None if allowed is None else np.isin(np.arange(ROWS), list(allowed))
    return Scope(cast("Snapshot", snapshot), config or IndexConfig(), mode, mask, Timings())
