"""The way of one search: rank, have a model read the best, keep every part's passage, fold, and take neighbours in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from index.config import IndexConfig
from index.errors import ConfigInvalid
from index.passages import embedded_text
from index.schema import Chunk, Hit, Signal
from index.snapshot import Snapshot
from service.answering.config import NO_MODEL, AnsweringConfig
from service.answering.exchange import ChunkFilter, SearchMode
from service.answering.explanation import Dropped, DropReason
from service.answering.filters import allowed_rows
from service.answering.merging import NEVER_ALIKE, fold_alike, with_every_part
from service.answering.query import Query
from service.answering.rankings import Ranking, Scope, below, ranked, ranking_of
from service.answering.rerank import LANGUAGE_MODEL_RERANKERS, LATE, NO_RERANKER, WITHOUT_MODEL, Reranker
from service.answering.reranking.calibration import Calibration, probability_of
from service.answering.spans import RowSpan, section_spans
from service.answering.timings import Timings

RERANK = "rerank"
_FOLDED = 3
PROBABILITY = "probability"
"""Signal of a calibrated reranker: how likely the passage is to answer."""


def choose_reranker(requested: str | None, mode: SearchMode, snapshot: Snapshot, config: AnsweringConfig) -> str:
    """The reranker's name: what was asked for, else the configured one for a hybrid search.

    A request may name what needs no further model, the language model where one is configured, and the configured
    reranker: no request makes the service load a model of its choice. Raises ConfigInvalid for any other name.
    """
    built = [NO_RERANKER] if snapshot.late is None else [NO_RERANKER, LATE]
    known = list(dict.fromkeys([*built, *_model_rerankers(config)]))
    if requested is None:
        wanted = NO_RERANKER if config.reranker == LATE and snapshot.late is None else config.reranker
        return wanted if mode == "hybrid" else NO_RERANKER
    if requested not in known:
        raise ConfigInvalid(f"There is no reranker {requested!r} here.", hint=f"Choose one of: {', '.join(known)}.")
    return requested


def _model_rerankers(config: AnsweringConfig) -> list[str]:
    named = [] if config.reranker in WITHOUT_MODEL | LANGUAGE_MODEL_RERANKERS else [config.reranker]
    return named if config.model == NO_MODEL else [*named, *sorted(LANGUAGE_MODEL_RERANKERS)]


@dataclass(slots=True)
class CandidateReading:
    """A model that reads the best ``candidates`` of a search, until ``stop()`` is true.

    ``complete`` says afterwards whether it read them all; ``retrieve`` sets it.
    """

    reranker: Reranker
    candidates: int
    stop: Callable[[], bool]
    calibration: Calibration | None = None
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What was found, best first, and what a stage named that is no hit of its own, with why."""

    hits: list[Hit]
    dropped: tuple[Dropped, ...]
    filtered_out: int


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
    fold_similarity: float = NEVER_ALIKE,
) -> Retrieved:
    """The ``top_k`` best chunks with every stage's rank and score; a chunk outside of the filter is in no stage.

    ``reading`` orders the best candidates anew. Each part of a question keeps its best passage. Hits that say the same,
    by ``fold_similarity`` (merging.py), become one. With ``span_chars`` a hit takes its neighbours of the same section
    with it, up to so many characters together (spans.py); what was taken is no hit of its own.
    """
    with timings.measure("filter"):
        allowed = allowed_rows(snapshot.chunks, chunk_filter)
    scope = Scope(snapshot, config, mode, allowed, timings)
    by_late = reranker == LATE or (reranker != NO_RERANKER and mode == "hybrid")
    found = ranked(query, scope, by_late=by_late)
    order, rankings = found.order, found.rankings
    if reading is not None:
        with timings.measure(RERANK):
            rankings[reading.reranker.name] = read = _read(order, query, snapshot, reading)
            if reading.calibration is not None:
                read = _fused(read, order, reading.calibration)
                rankings[PROBABILITY] = [(row, probability_of(log_odds)) for row, log_odds in read]
            order = read + below(read, order)
    if query.parts:
        parts = [ranked(part, scope, by_late=by_late) for part in query.parts]
        for number, part in enumerate(parts, start=1):
            rankings[f"part-{number}"] = part.order[:top_k]
        order = with_every_part(order, [part.order for part in parts])
    with timings.measure("fold"):
        # More than top_k: what comes with a better hit as its neighbour makes room for those below.
        kept, folded = fold_alike(order, snapshot.chunks, top_k=_FOLDED * top_k, similarity=fold_similarity)
    with timings.measure("spans"):
        spans = section_spans(
            kept, snapshot.chunks, top_k=top_k, limit=span_chars, allowed=_beside(allowed, folded, snapshot)
        )
    return Retrieved(
        hits=_hits(spans, rankings, folded, snapshot),
        dropped=tuple(_dropped(order, spans, folded, snapshot)),
        filtered_out=0 if allowed is None else int((~allowed).sum()),
    )


def _beside(allowed: np.ndarray | None, folded: Mapping[int, int], snapshot: Snapshot) -> np.ndarray | None:
    """Which rows may come with a hit: what was folded into one does not come with it again."""
    if not folded:
        return allowed
    beside = np.ones(len(snapshot.chunks), dtype=bool) if allowed is None else allowed.copy()
    beside[list(folded)] = False
    return beside


def _read(order: Ranking, query: Query, snapshot: Snapshot, reading: CandidateReading) -> Ranking:
    rows = np.array([row for row, _ in order[: reading.candidates]], dtype=np.int64)
    passages = [embedded_text(snapshot.chunks[row]) for row in rows]
    scores = reading.reranker.scores(query.text, passages, stop=reading.stop)
    reading.complete = len(scores) == len(rows)
    return ranking_of(rows[: len(scores)], scores)


def _fused(read: Ranking, order: Ranking, calibration: Calibration) -> Ranking:
    """What was read by the log-odds of the reranker and of the order before it together."""
    before = dict(order)
    rows, scores = np.array([row for row, _ in read], dtype=np.int64), np.array([score for _, score in read])
    return ranking_of(rows, calibration.fused_log_odds(scores, np.array([before[row] for row, _ in read])))


def _hits(
    spans: Sequence[RowSpan], rankings: Mapping[str, Ranking], folded: Mapping[int, int], snapshot: Snapshot
) -> list[Hit]:
    wanted = {span.row for span in spans}
    signals: dict[int, dict[str, Signal]] = {row: {} for row in wanted}
    for name, ranking in rankings.items():
        for rank, (row, score) in enumerate(ranking, 1):
            if row in wanted:
                signals[row][name] = Signal(rank=rank, score=score)
    alike: dict[int, list[Chunk]] = {row: [] for row in wanted}
    for row, kept in folded.items():
        alike.get(kept, []).append(snapshot.chunks[row])
    return [
        Hit(
            chunk=snapshot.chunks[span.row],
            score=span.score,
            signals=signals[span.row],
            span=tuple(snapshot.chunks[span.first : span.last + 1]) if span.first < span.last else (),
            alike=tuple(alike[span.row]),
        )
        for span in spans
    ]


def _dropped(
    order: Ranking, spans: Sequence[RowSpan], folded: Mapping[int, int], snapshot: Snapshot
) -> Iterator[Dropped]:
    """What stood as high as the hits do and is none itself, and as many again of what stood below them."""
    homes = {row: number for number, span in enumerate(spans, 1) for row in range(span.first, span.last + 1)}
    own = {span.row for span in spans}
    below_hits = 0
    for row, score in order:
        if row in own:
            continue
        home = folded.get(row)
        reason: DropReason = "alike" if home is not None else "neighbour" if row in homes else "rank"
        if reason == "rank":
            below_hits += 1
            if below_hits > len(spans):
                break
        chunk = snapshot.chunks[row]
        number = homes.get(row if home is None else home)
        yield Dropped(chunk.id, chunk.note, chunk.lines, score, reason, number)
