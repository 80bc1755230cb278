"""The stages of one search in order: BM25 and dense vectors, fused; then late interaction over all or the best."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from index.config import FusionConfig, IndexConfig
from index.encoder import Encoding, TextEncoder
from index.errors import ConfigInvalid
from index.fusion import reciprocal_rank_fusion
from index.late import TokenVectors
from index.passages import embedded_text
from index.schema import Chunk, Hit, Signal
from index.snapshot import Snapshot
from index.tokenizer import Tokenizer
from ingest.language import language_of
from service.answering.config import NO_MODEL, AnsweringConfig
from service.answering.exchange import ChunkFilter, SearchMode
from service.answering.rerank import LANGUAGE_MODEL, LATE, NO_RERANKER, Reranker
from service.answering.spans import section_spans

HYDE = "hyde"
RERANK = "rerank"

Ranking = list[tuple[int, float]]
"""(row, score), best first."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A passage that might answer a question (hyde.py), its vector, (d,) float32, and its weight beside the question.

    The weight counts twice: in rank fusion, and as that of its z-score where late interaction orders.
    """

    text: str
    vector: np.ndarray
    weight: float


@dataclass(frozen=True, slots=True)
class Query:
    """A question as the index sees it: its vectors and its terms, and a hypothetical answer where there is one."""

    text: str
    encoding: Encoding
    terms: tuple[str, ...]

    language: str
    hypothesis: Hypothesis | None = None

    @property
    def tokens(self) -> TokenVectors:
        """The question's token vectors, as late interaction takes them."""
        return TokenVectors(self.encoding.token_vectors, self.encoding.token_ids, self.language.split("-")[0])


@dataclass(slots=True)
class Timings:
    """Milliseconds by stage."""

    stages: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.stages[stage] = round(self.stages.get(stage, 0.0) + milliseconds_since(started), 3)


def milliseconds_since(started: float) -> float:
    """Milliseconds since a reading of ``time.perf_counter``, to the microsecond."""
    return round((time.perf_counter() - started) * 1000, 3)


def understand(question: str, encoder: TextEncoder, tokenizer: Tokenizer, language: str | None = None) -> Query:
    """Encode and segment a question, which is to be read and answered in its own language unless another is given."""
    return Query(
        text=question,
        encoding=encoder.encode_query(question),
        terms=tuple(tokenizer.terms(question)),
        language=language or language_of(question),
    )


def choose_reranker(requested: str | None, mode: SearchMode, snapshot: Snapshot, config: AnsweringConfig) -> str:
    """The reranker's name: what was asked for, else the configured one for a hybrid search.

    A request may name what needs no further model, the language model where one is configured, and the configured
    reranker: no request makes the service load a model of its choice. Raises ConfigInvalid for any other name.
    """
    built = [NO_RERANKER] if snapshot.late is None else [NO_RERANKER, LATE]
    known = list(dict.fromkeys([*built, *_model_rerankers(config)]))
    if requested is None:
        wanted = config.reranker if config.reranker in known else built[-1]
        return wanted if mode == "hybrid" else NO_RERANKER
    if requested not in known:
        raise ConfigInvalid(f"There is no reranker {requested!r} here.", hint=f"Choose one of: {', '.join(known)}.")
    return requested


def _model_rerankers(config: AnsweringConfig) -> list[str]:
    named = [] if config.reranker in {LATE, NO_RERANKER, LANGUAGE_MODEL} else [config.reranker]
    return named if config.model == NO_MODEL else [*named, LANGUAGE_MODEL]


@dataclass(slots=True)
class CandidateReading:
    """A model that reads the best ``candidates`` of a search, until ``stop()`` is true.

    ``complete`` says afterwards whether it read them all; ``retrieve`` sets it.
    """

    reranker: Reranker
    candidates: int
    stop: Callable[[], bool]
    complete: bool = False


def retrieve(
    query: Query,
    snapshot: Snapshot,
    config: IndexConfig,
    *,
    mode: SearchMode,
    reranker: str,
    top_k: int,
    chunk_filter: ChunkFilter | None,
    timings: Timings,
    span_chars: int = 0,
    reading: CandidateReading | None = None,
) -> list[Hit]:
    """The ``top_k`` best chunks with every stage's rank and score; a chunk outside of the filter is in no stage.

    With ``span_chars`` a hit takes its neighbours of the same section with it, up to so many characters together
    (spans.py); what was taken is no hit of its own. ``reading`` orders the best candidates anew.
    """
    with timings.measure("filter"):
        allowed = allowed_rows(snapshot.chunks, chunk_filter)
    rankings = _first_stage(query, snapshot, config.fusion, mode=mode, allowed=allowed, timings=timings)
    with timings.measure("fusion"):
        order = _fused(rankings, query, config.fusion)
    by_late = reranker == LATE or (reranker != NO_RERANKER and mode == "hybrid")
    if by_late and snapshot.late is not None:
        with timings.measure(LATE):
            rows = _late_candidates(order, snapshot, config, mode=mode, allowed=allowed)
            scores = snapshot.late.scores(query.tokens, rows)
            rankings[LATE] = _ranking(rows, scores)
            combined = _with_lexical(scores, rows, query, snapshot, config)
            reranked = _ranking(rows, combined + _hypothesis_term(rows, query, snapshot))
            order = reranked + _below(reranked, order)
    if reading is not None:
        with timings.measure(RERANK):
            rankings[reading.reranker.name] = read = _read(order, query, snapshot, reading)
            order = read + _below(read, order)
    if not span_chars:
        return _hits(order[:top_k], rankings, snapshot)
    with timings.measure("spans"):
        spans = section_spans(order, snapshot.chunks, top_k=top_k, limit=span_chars, allowed=allowed)
    hits = _hits([(span.row, span.score) for span in spans], rankings, snapshot)
    return [
        replace(hit, span=tuple(snapshot.chunks[span.first : span.last + 1])) if span.first < span.last else hit
        for hit, span in zip(hits, spans, strict=True)
    ]


def allowed_rows(chunks: Sequence[Chunk], chunk_filter: ChunkFilter | None) -> np.ndarray | None:
    """Boolean mask (rows,) of what may be found, None for everything."""
    if chunk_filter is None:
        return None
    return np.fromiter((_passes(chunk, chunk_filter) for chunk in chunks), dtype=bool, count=len(chunks))


def _passes(chunk: Chunk, chunk_filter: ChunkFilter) -> bool:
    if chunk_filter.path is not None and not chunk.note.startswith(chunk_filter.path):
        return False
    if not set(chunk_filter.tags) <= set(chunk.tags):
        return False
    if chunk_filter.language is not None and chunk.language != chunk_filter.language:
        return False
    return _in_dates(chunk.date, chunk_filter.date_from, chunk_filter.date_to)


def _in_dates(date: str | None, first: str | None, last: str | None) -> bool:
    if first is None and last is None:
        return True
    if date is None:
        return False
    # ISO dates compare as text; a bound without a time covers the whole day.
    return (first is None or date >= first) and (last is None or date[: len(last)] <= last)


def _first_stage(
    query: Query,
    snapshot: Snapshot,
    fusion: FusionConfig,
    *,
    mode: SearchMode,
    allowed: np.ndarray | None,
    timings: Timings,
) -> dict[str, Ranking]:
    rankings: dict[str, Ranking] = {}
    if mode in ("lexical", "hybrid"):
        with timings.measure("lexical"):
            rankings["lexical"] = snapshot.lexical.search(query.terms, fusion.depth, allowed=allowed)
    if mode in ("dense", "hybrid"):
        with timings.measure("dense"):
            rows, scores = snapshot.dense.search(query.encoding.vector, fusion.depth, allowed=allowed)
            rankings["dense"] = list(zip(rows.tolist(), scores.tolist(), strict=True))
        if query.hypothesis is not None:
            with timings.measure(HYDE):
                rows, scores = snapshot.dense.search(query.hypothesis.vector, fusion.depth, allowed=allowed)
                rankings[HYDE] = list(zip(rows.tolist(), scores.tolist(), strict=True))
    return rankings


def _fused(rankings: Mapping[str, Ranking], query: Query, fusion: FusionConfig) -> Ranking:
    if len(rankings) == 1:
        return list(next(iter(rankings.values())))
    weights = {"lexical": fusion.lexical_weight, "dense": fusion.dense_weight}
    if query.hypothesis is not None:
        weights[HYDE] = query.hypothesis.weight
    rows = {name: [row for row, _ in ranking] for name, ranking in rankings.items()}
    return reciprocal_rank_fusion(rows, weights=weights, k=fusion.rrf_k)


def _late_candidates(
    order: Ranking, snapshot: Snapshot, config: IndexConfig, *, mode: SearchMode, allowed: np.ndarray | None
) -> np.ndarray:
    if mode == "hybrid" and snapshot.late is not None and snapshot.late.is_exhaustive:
        return np.arange(len(snapshot.chunks)) if allowed is None else np.flatnonzero(allowed)
    return np.array([row for row, _ in order[: config.late.candidates]], dtype=np.int64)


def _below(reranked: Ranking, order: Ranking) -> Ranking:
    """What the first stage found and was not reranked, in its order, under everything that was."""
    done = {row for row, _ in reranked}
    lowest = min((score for _, score in reranked), default=0.0)
    rest = [row for row, _ in order if row not in done]
    return [(row, lowest - position) for position, row in enumerate(rest, start=1)]


def _read(order: Ranking, query: Query, snapshot: Snapshot, reading: CandidateReading) -> Ranking:
    rows = np.array([row for row, _ in order[: reading.candidates]], dtype=np.int64)
    passages = [embedded_text(snapshot.chunks[row]) for row in rows]
    scores = reading.reranker.scores(query.text, passages, stop=reading.stop)
    reading.complete = len(scores) == len(rows)
    return _ranking(rows[: len(scores)], scores)


def _with_lexical(
    scores: np.ndarray, rows: np.ndarray, query: Query, snapshot: Snapshot, config: IndexConfig
) -> np.ndarray:
    """Weighted sum of late interaction and BM25, each divided by its spread over the whole collection.

    Convex combination after Bruch, Gai & Ingber (TOIS 2023). The spreads are those of the collection, not of the
    candidates: among these BM25 differs less, and the same weight would mean less of it. BM25 counts by the square of
    the share of the question's terms that the notes use at all: where a question shares few words with the notes, as
    one in another language does, what BM25 finds is noise.
    """
    known = snapshot.lexical.known_share(query.terms)
    spread = snapshot.late.spread if snapshot.late is not None else 0.0
    matched = scores / spread if spread > 0 else _standardised(scores)
    weight = config.late.lexical_weight * known**2
    return np.asarray(matched + weight * _standardised(snapshot.lexical.scores(query.terms))[rows])


def _hypothesis_term(rows: np.ndarray, query: Query, snapshot: Snapshot) -> np.ndarray:
    """Weighted z-score of the hypothetical answer's cosine over the whole collection, (rows,); 0 where there is none.

    An approximate index may not reach every chunk; one that it does not reach counts like the farthest that it does.
    """
    if query.hypothesis is None:
        return np.zeros(len(rows), dtype=np.float32)
    found, scores = snapshot.dense.search(query.hypothesis.vector, len(snapshot.chunks))
    cosines = np.full(len(snapshot.chunks), scores.min(initial=1.0), dtype=np.float32)
    cosines[found] = scores
    return np.asarray(query.hypothesis.weight * _standardised(cosines)[rows])


def _standardised(scores: np.ndarray) -> np.ndarray:
    deviation = float(scores.std()) if len(scores) else 0.0
    return np.asarray((scores - scores.mean()) / deviation if deviation > 0 else np.zeros_like(scores))


def _ranking(rows: np.ndarray, scores: np.ndarray) -> Ranking:
    order = np.lexsort((rows, -scores))
    return list(zip(rows[order].tolist(), scores[order].tolist(), strict=True))


def _hits(order: Ranking, rankings: Mapping[str, Ranking], snapshot: Snapshot) -> list[Hit]:
    wanted = {row for row, _ in order}
    signals: dict[int, dict[str, Signal]] = {row: {} for row in wanted}
    for name, ranking in rankings.items():
        for rank, (row, score) in enumerate(ranking, 1):
            if row in wanted:
                signals[row][name] = Signal(rank=rank, score=score)
    return [Hit(chunk=snapshot.chunks[row], score=score, signals=signals[row]) for row, score in order]
