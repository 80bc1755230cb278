"""One question's ranking of the chunks: BM25 and dense vectors, fused; then late interaction over all or the best.

Each way to ask the question (query.Variant) is a ranking of its own in each stage, called ``stage:variant`` among the
signals, and counts by its weight beside the question itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from index.config import IndexConfig
from index.fusion import convex_combination, reciprocal_rank_fusion
from index.late import LateIndex
from index.lexical import LexicalScores
from index.snapshot import Snapshot
from service.answering.exchange import SearchMode
from service.answering.query import Query
from service.answering.timings import Timings

LEXICAL = "lexical"
DENSE = "dense"
HYDE = "hyde"
CONCEPTS = "concepts"
LATE = "late"

Ranking = list[tuple[int, float]]
"""(row, score), best first."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a search looks at: ``allowed``, bool (rows,), is what its filter lets through, None for everything."""

    snapshot: Snapshot
    config: IndexConfig
    mode: SearchMode
    allowed: np.ndarray | None
    timings: Timings


@dataclass(frozen=True, slots=True)
class Ranked:
    """``order`` is the last word; ``rankings`` are the stages' own, by signal."""

    order: Ranking
    rankings: dict[str, Ranking]


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to ask: what its signals end in, its weight, its vectors and terms."""

    suffix: str
    weight: float
    query: Query

    def signal(self, stage: str) -> str:
        return stage + self.suffix


def ranked(query: Query, scope: Scope, *, by_late: bool) -> Ranked:
    """Rank every chunk that a stage finds; ``by_late`` has late interaction order them where the index has it."""
    ways = list(_ways(query))
    rankings, lexical = _first_stage(query, ways, scope)
    with scope.timings.measure("fusion"):
        order = _fused(rankings, query, ways, scope)
    late = scope.snapshot.late
    if by_late and late is not None:
        with scope.timings.measure(LATE):
            rows = _late_candidates(order, late, scope)
            scores = _late_scores(rows, late, ways, scope, rankings, lexical=lexical)
            scores = scores + _hypothesis_term(rows, query, scope) + _concepts_term(rows, query, scope)
            reranked = ranking_of(rows, scores)
            order = reranked + below(reranked, order)
    return Ranked(order, rankings)


def ranking_of(rows: np.ndarray, scores: np.ndarray) -> Ranking:
    """Return rows with their scores, best first, ties by row."""
    order = np.lexsort((rows, -scores))
    return list(zip(rows[order].tolist(), scores[order].tolist(), strict=True))


def below(reranked: Ranking, order: Ranking) -> Ranking:
    """Return what of ``order`` was not reranked, in its order, under everything that was."""
    done = {row for row, _ in reranked}
    lowest = min((score for _, score in reranked), default=0.0)
    rest = [row for row, _ in order if row not in done]
    return [(row, lowest - position) for position, row in enumerate(rest, start=1)]


def _ways(query: Query) -> Iterator[_Way]:
    yield _Way("", 1.0, query)
    seen: dict[str, int] = {}
    for variant in query.variants:
        seen[variant.stage] = number = seen.get(variant.stage, 0) + 1
        yield _Way(f":{variant.stage}" + (f"-{number}" if number > 1 else ""), variant.weight, variant.query)


def _first_stage(query: Query, ways: list[_Way], scope: Scope) -> tuple[dict[str, Ranking], dict[str, LexicalScores]]:
    snapshot, depth = scope.snapshot, scope.config.fusion.depth
    rankings: dict[str, Ranking] = {}
    lexical: dict[str, LexicalScores] = {}
    for way in ways:
        if scope.mode in ("lexical", "hybrid"):
            with scope.timings.measure(LEXICAL):
                lexical[way.suffix] = scored = snapshot.lexical.scored(way.query.terms)
                rankings[way.signal(LEXICAL)] = scored.best(depth, allowed=scope.allowed)
        if scope.mode in ("dense", "hybrid"):
            with scope.timings.measure(DENSE):
                rankings[way.signal(DENSE)] = _nearest(way.query.encoding.vector, scope)
    if query.hypothesis is not None and scope.mode != "lexical":
        with scope.timings.measure(HYDE):
            rankings[HYDE] = _nearest(query.hypothesis.vector, scope)
    if query.described is not None and scope.snapshot.concepts is not None and scope.mode == "hybrid":
        with scope.timings.measure(CONCEPTS):
            rankings[CONCEPTS] = _about(scope.snapshot.concepts.relevance(query.described.matches), scope)
    return rankings, lexical


def _nearest(vector: np.ndarray, scope: Scope) -> Ranking:
    rows, scores = scope.snapshot.dense.search(vector, scope.config.fusion.depth, allowed=scope.allowed)
    return list(zip(rows.tolist(), scores.tolist(), strict=True))


def _about(relevance: np.ndarray, scope: Scope) -> Ranking:
    if scope.allowed is not None:
        relevance = np.where(scope.allowed, relevance, 0)
    rows = np.flatnonzero(relevance)
    return ranking_of(rows, relevance[rows])[: scope.config.fusion.depth]


def _fused(rankings: Mapping[str, Ranking], query: Query, ways: list[_Way], scope: Scope) -> Ranking:
    if len(rankings) == 1:
        return list(next(iter(rankings.values())))
    fusion = scope.config.fusion
    # Weights of BM25 and vectors beside each other: in a search by one of them alone there is nothing to weigh.
    lexical, dense = (fusion.lexical_weight, fusion.dense_weight) if scope.mode == "hybrid" else (1.0, 1.0)
    weights = {way.signal(LEXICAL): way.weight * lexical * _heard(way, scope) for way in ways}
    weights |= {way.signal(DENSE): way.weight * dense for way in ways}
    if query.hypothesis is not None:
        weights[HYDE] = query.hypothesis.weight
    signals = {name: ranking for name, ranking in rankings.items() if weights.get(name, 0) > 0}
    if fusion.method == "rrf":
        rows = {name: [row for row, _ in ranking] for name, ranking in signals.items()}
        return reciprocal_rank_fusion(rows, weights=weights, k=fusion.rrf_k)
    # What BM25 did not find shares no word with the question and has 0 of it, while a vector has no zero. Without the
    # zeros a word in one note alone would tell that note from nothing.
    absent = {name: 0.0 for name in signals if name.partition(":")[0] == LEXICAL}
    scores = {name: dict(ranking) for name, ranking in signals.items()}
    fused = convex_combination(scores, weights, normaliser="z-score", absent=absent)
    return _with_described(fused, rankings.get(CONCEPTS, []), query)


def _with_described(fused: Ranking, about: Ranking, query: Query) -> Ranking:
    """Add what the described concepts count for; a row that only they name starts where the lowest stands."""
    if query.described is None or not about:
        return fused
    lowest = min((score for _, score in fused), default=0.0)
    totals = dict(fused)
    for row, relevance in about:
        totals[row] = totals.get(row, lowest) + query.described.weight * relevance
    return sorted(totals.items(), key=lambda entry: (-entry[1], entry[0]))


def _heard(way: _Way, scope: Scope) -> float:
    return _known(way.query, scope) if scope.mode == "hybrid" else 1.0


def _late_candidates(order: Ranking, late: LateIndex, scope: Scope) -> np.ndarray:
    if scope.mode == "hybrid" and late.is_exhaustive:
        return np.arange(len(scope.snapshot.chunks)) if scope.allowed is None else np.flatnonzero(scope.allowed)
    return np.array([row for row, _ in order[: scope.config.late.candidates]], dtype=np.int64)


def _late_scores(
    rows: np.ndarray,
    late: LateIndex,
    ways: list[_Way],
    scope: Scope,
    rankings: dict[str, Ranking],
    *,
    lexical: Mapping[str, LexicalScores],
) -> np.ndarray:
    """Weighted mean over the ways to ask of late interaction with BM25, (rows,)."""
    total: np.ndarray = np.zeros(len(rows), dtype=np.float32)
    for way in ways:
        scores = late.scores(way.query.tokens, rows)
        rankings[way.signal(LATE)] = ranking_of(rows, scores)
        scored = lexical.get(way.suffix) or scope.snapshot.lexical.scored(way.query.terms)
        matched = scores / late.spread if late.spread > 0 else _standardised(scores)
        total = total + way.weight * _with_lexical(matched, rows, way.query, scored, scope)
    return np.asarray(total / sum(way.weight for way in ways))


def _with_lexical(
    matched: np.ndarray, rows: np.ndarray, query: Query, lexical: LexicalScores, scope: Scope
) -> np.ndarray:
    """Weighted sum of late interaction (``matched``) and BM25, each divided by its spread over the whole collection.

    Convex combination after Bruch, Gai & Ingber (TOIS 2023). The spreads are those of the collection, not of the
    candidates: among these BM25 differs less, and the same weight would mean less of it.
    """
    weight = scope.config.late.lexical_weight * _known(query, scope)
    return np.asarray(matched + weight * lexical.standardised(rows))


def _known(query: Query, scope: Scope) -> float:
    """What BM25 counts for a question, 0 to 1: the square of the share of its terms that the notes use at all.

    Where a question shares few words with the notes, as one in another language does, what BM25 finds is noise.
    """
    return scope.snapshot.lexical.known_share(query.terms) ** 2


def _hypothesis_term(rows: np.ndarray, query: Query, scope: Scope) -> np.ndarray:
    """Weighted z-score of the hypothetical answer's cosine over the whole collection, (rows,); 0 where there is none.

    An approximate index may not reach every chunk; one that it does not reach counts like the farthest that it does.
    """
    if query.hypothesis is None:
        return np.zeros(len(rows), dtype=np.float32)
    snapshot = scope.snapshot
    found, scores = snapshot.dense.search(query.hypothesis.vector, len(snapshot.chunks))
    cosines = np.full(len(snapshot.chunks), scores.min(initial=1.0), dtype=np.float32)
    cosines[found] = scores
    return np.asarray(query.hypothesis.weight * _standardised(cosines)[rows])


def _concepts_term(rows: np.ndarray, query: Query, scope: Scope) -> np.ndarray:
    """What the described concepts count for, (rows,): nothing for a chunk that names none of them."""
    concepts = scope.snapshot.concepts
    if query.described is None or concepts is None or scope.mode != "hybrid":
        return np.zeros(len(rows), dtype=np.float32)
    return np.asarray(query.described.weight * concepts.relevance(query.described.matches)[rows])


def _standardised(scores: np.ndarray) -> np.ndarray:
    deviation = float(scores.std()) if len(scores) else 0.0
    return np.asarray((scores - scores.mean()) / deviation if deviation > 0 else np.zeros_like(scores))
