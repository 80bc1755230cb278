"""The whole way of one question, a step a line: understand, retrieve, weigh, write, check, cite - or abstain."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from index.config import IndexConfig
from index.encoder import TextEncoder
from index.errors import GenerationFailed, WeightsMissing
from index.schema import Hit
from index.snapshot import Snapshot
from index.tokenizer import Tokenizer
from service.answering.answerability import answerable_probability
from service.answering.composing import CitedSentence, compose, without_list_mark
from service.answering.config import NO_MODEL, AnsweringConfig
from service.answering.context import Sentence, choose_sentences, question_coverage, score_sentences
from service.answering.drafting import Drafts
from service.answering.exchange import (
    Answer,
    AnswerEvent,
    AnswerStreamEvent,
    AskRequest,
    RetrievalEvent,
    SearchRequest,
    SearchResult,
)
from service.answering.generator import LanguageModel
from service.answering.hyde import accepted, is_wanted, write_hypothesis
from service.answering.prompts import abstention
from service.answering.question import Condensed, as_asked, condense, rewrite
from service.answering.rerank import LATE, NO_RERANKER, Reranker
from service.answering.retriever import (
    HYDE,
    RERANK,
    CandidateReading,
    Query,
    Timings,
    choose_reranker,
    milliseconds_since,
    retrieve,
    understand,
)
from service.answering.writing import WRITING, Checker, write_checked

CONDENSE = "condense"
REWRITING = "rewriting"
_COVERAGE_RELIEF = 0.05  # of coverage that a shorter, written answer may lack

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tools:
    """What one question is answered with; the snapshot stays the same from its first step to its last."""

    snapshot: Snapshot
    encoder: TextEncoder
    tokenizer: Tokenizer
    language_model: LanguageModel | None
    index: IndexConfig
    answering: AnsweringConfig
    drafts: Drafts = field(default_factory=Drafts)
    reranker: Callable[[str], Reranker] | None = None
    """Opens the model that reranks, by name; None where only what needs no model is asked for."""


@dataclass(frozen=True, slots=True)
class _Clock:
    """When a question has to be done with, by the monotonic clock, and whether somebody still waits for it."""

    end: float
    cancelled: threading.Event | None

    @property
    def seconds_left(self) -> float:
        return self.end - time.monotonic()

    def is_over(self) -> bool:
        return self.seconds_left <= 0 or (self.cancelled is not None and self.cancelled.is_set())

    def before(self, seconds: float, *, reserved: float) -> Callable[[], bool]:
        """Whether a step that may take so long from now on is over; it leaves ``reserved`` seconds to the others."""
        end = min(time.monotonic() + seconds, self.end - reserved)
        return lambda: time.monotonic() >= end or self.is_over()


def search(request: SearchRequest, tools: Tools) -> SearchResult:
    """Find chunks for one question."""
    clock = _Clock(time.monotonic() + tools.answering.deadline_s, None)
    timings = Timings()
    with timings.measure("total"):
        top_k = request.top_k or tools.answering.top_k
        reranker = choose_reranker(request.rerank, request.mode, tools.snapshot, tools.answering)
        query, skipped = _understood(as_asked(request.question), request, tools, clock, timings)
        hits, unread = _retrieve(
            query,
            request,
            reranker,
            tools,
            clock,
            timings=timings,
            top_k=top_k,
            span_chars=tools.answering.span_chars,
        )
    return SearchResult(
        hits=tuple(hits),
        snapshot=tools.snapshot.name,
        timings=timings.stages,
        stages_skipped=(*skipped, *unread),
    )


def answer_stream(
    request: AskRequest, tools: Tools, *, cancelled: threading.Event | None = None
) -> Iterator[AnswerStreamEvent]:
    """Answer one question as it happens: what was found, the draft as it is written, and the checked answer."""
    clock = _Clock(time.monotonic() + (request.deadline_s or tools.answering.deadline_s), cancelled)
    timings = Timings()
    started = time.perf_counter()
    top_k = request.top_k or tools.answering.top_k
    reranker = choose_reranker(request.rerank, "hybrid", tools.snapshot, tools.answering)
    asked, not_rewritten = _condensed(request, tools, clock, timings)
    wanted = SearchRequest(asked.text, filter=request.filter, hyde=request.hyde, rerank=request.rerank)
    query, not_done = _understood(asked, wanted, tools, clock, timings)
    depth = max(top_k, tools.answering.passages)
    hits, unread = _retrieve(query, wanted, reranker, tools, clock, timings=timings, top_k=depth)
    skipped = (*not_rewritten, *not_done, *unread)
    found = SearchResult(tuple(hits[:top_k]), tools.snapshot.name, dict(timings.stages), skipped)
    yield RetrievalEvent(found)

    with timings.measure("context"):
        read = found.hits[: tools.answering.passages]  # nothing is cited that the reply does not show
        sentences = score_sentences(query, read, tools.snapshot, tools.encoder)
        probability = answerable_probability(query, read, tools.snapshot, tools.encoder, tools.tokenizer)
    if not sentences or probability < tools.answering.min_answerable:
        yield AnswerEvent(_abstained(query, found, timings, started))
        return

    extract = choose_sentences(sentences, budget=tools.answering.extract_chars, cost=len)
    written, skipped = yield from _written(query, sentences, tools, clock, timings)
    found = replace(found, stages_skipped=(*found.stages_skipped, *skipped))
    if written and _holds_against(extract, written, query, tools):
        yield AnswerEvent(_answer(written, "model", found, timings, started))
        return
    cited = [CitedSentence(without_list_mark(sentence.text), sentence) for sentence in extract]
    yield AnswerEvent(_answer(cited, "extract", found, timings, started))


def _condensed(request: AskRequest, tools: Tools, clock: _Clock, timings: Timings) -> tuple[Condensed, tuple[str, ...]]:
    """The question with its history in it, and what was skipped."""
    if not request.history:
        return as_asked(request.question), ()
    with timings.measure(CONDENSE):
        model, answering = tools.language_model, tools.answering
        asked = condense(request.question, request.history, tools.tokenizer, tools.snapshot.lexical)
        if asked.text == request.question or answering.condense != "model" or answering.model == NO_MODEL:
            return asked, ()
        if model is None:
            return asked, (REWRITING,)
        rewritten = rewrite(
            request.question,
            request.history,
            asked,
            model=model,
            drafts=tools.drafts,
            tokenizer=tools.tokenizer,
            stop=clock.before(answering.condense_deadline_s, reserved=answering.min_writing_s),
        )
        return (asked, (REWRITING,)) if rewritten is None else (rewritten, ())


def _understood(
    asked: Condensed, request: SearchRequest, tools: Tools, clock: _Clock, timings: Timings
) -> tuple[Query, tuple[str, ...]]:
    """The question as the index sees it, with a hypothetical answer where one is asked for, and what was skipped.

    A hypothetical answer that is not fit to be searched with is not skipped: the stage was done.
    """
    with timings.measure("question"):
        query = understand(asked.text, tools.encoder, tools.tokenizer, asked.language)
    model, answering = tools.language_model, tools.answering
    if not is_wanted(request.hyde, answering):
        return query, ()
    if model is None or request.mode == "lexical":  # it is searched with as a vector only
        return query, (HYDE,)
    with timings.measure(HYDE):
        stop = clock.before(answering.hyde_deadline_s, reserved=answering.min_writing_s)
        text = write_hypothesis(query, model, tools.drafts, stop=stop)
        if text is None:
            return query, (HYDE,)
        return replace(query, hypothesis=accepted(text, query, tools.encoder, tools.tokenizer, answering)), ()


def _retrieve(
    query: Query,
    request: SearchRequest,
    reranker: str,
    tools: Tools,
    clock: _Clock,
    *,
    timings: Timings,
    top_k: int,
    span_chars: int = 0,
) -> tuple[list[Hit], tuple[str, ...]]:
    """What is found, and what was skipped.

    A model that fails while it reads leaves the order that was there before it, one that ran out of time what it had
    not read; both are said. One that cannot be opened is an error: it was asked for by name.
    """

    def found(reading: CandidateReading | None) -> list[Hit]:
        return retrieve(
            query,
            tools.snapshot,
            tools.index,
            mode=request.mode,
            reranker=reranker,
            top_k=top_k,
            chunk_filter=request.filter,
            timings=timings,
            span_chars=span_chars,
            reading=reading,
        )

    if reranker in {NO_RERANKER, LATE}:
        return found(None), ()
    reading = _reading(reranker, tools, clock)
    try:
        hits = found(reading)
    except GenerationFailed as error:
        _log.exception("%s %s", error.message, error.hint)
        return found(None), (RERANK,)
    return hits, (() if reading.complete else (RERANK,))


def _reading(reranker: str, tools: Tools, clock: _Clock) -> CandidateReading:
    if tools.reranker is None:
        raise WeightsMissing(f"The reranker {reranker!r} is not open.", hint="Name it with answering.reranker.")
    answering = tools.answering
    stop = clock.before(answering.rerank_deadline_s, reserved=answering.min_writing_s)
    return CandidateReading(tools.reranker(reranker), answering.rerank_candidates, stop)


def _written(
    query: Query, sentences: Sequence[Sentence], tools: Tools, clock: _Clock, timings: Timings
) -> Generator[AnswerStreamEvent, None, tuple[list[CitedSentence], tuple[str, ...]]]:
    """The model's checked sentences, none if it was not asked or not believed, and what was skipped."""
    model, answering = tools.language_model, tools.answering
    if model is None:
        return [], (() if answering.model == NO_MODEL else (WRITING,))
    if clock.seconds_left < answering.min_writing_s:
        return [], (WRITING,)
    shown = choose_sentences(sentences, budget=answering.context_tokens, cost=model.count_tokens)
    checker = Checker(query, shown, tools.snapshot, tools.encoder, tools.tokenizer, answering.min_support)
    try:
        written = yield from write_checked(
            model, checker, max_new_tokens=answering.max_new_tokens, stop=clock.is_over, timings=timings
        )
    except GenerationFailed as error:
        _log.exception("%s %s", error.message, error.hint)
        return [], (WRITING,)
    return written, ()


def _holds_against(extract: Sequence[Sentence], written: Sequence[CitedSentence], query: Query, tools: Tools) -> bool:
    """Whether what the model wrote meets about as much of the question as the notes' own best sentences do.

    A true sentence about half of the question is a worse answer than the sentences that hold the whole of it.
    """
    sources = list({(one.source.chunk.id, one.source.position): one.source for one in written}.values())
    own, theirs = (
        question_coverage(query, sentences, tools.snapshot, tools.encoder) for sentences in (sources, extract)
    )
    return own >= theirs - _COVERAGE_RELIEF


def _abstained(query: Query, found: SearchResult, timings: Timings, started: float) -> Answer:
    return Answer(
        text=abstention(query.language),
        abstained=True,
        citations=(),
        hits=found.hits,
        snapshot=found.snapshot,
        written_by="none",
        timings=timings.stages | {"total": milliseconds_since(started)},
        stages_skipped=found.stages_skipped,
    )


def _answer(
    sentences: Sequence[CitedSentence],
    written_by: Literal["model", "extract"],
    found: SearchResult,
    timings: Timings,
    started: float,
) -> Answer:
    text, citations = compose(sentences)
    return Answer(
        text=text,
        abstained=False,
        citations=citations,
        hits=found.hits,
        snapshot=found.snapshot,
        written_by=written_by,
        timings=timings.stages | {"total": milliseconds_since(started)},
        stages_skipped=found.stages_skipped,
    )
