"""The whole way of one question, a step a line: understand, retrieve, weigh, write, check, cite - or abstain."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from index.errors import GenerationFailed, WeightsMissing
from index.schema import Hit
from ingest.language import language_of
from service.answering.answerability import answerable_probability
from service.answering.clock import Clock
from service.answering.composing import CitedSentence, compose, without_list_mark
from service.answering.config import NO_MODEL
from service.answering.context import Sentence, choose_sentences, question_coverage, score_sentences
from service.answering.exchange import (
    Answer,
    AnswerEvent,
    AnswerStreamEvent,
    AskRequest,
    RetrievalEvent,
    SearchRequest,
    SearchResult,
    Stage,
)
from service.answering.matching import matching_lines
from service.answering.prompts import abstention, greeting
from service.answering.query import Query
from service.answering.question import Condensed, as_asked, condense, rewrite
from service.answering.rerank import LATE, NO_RERANKER
from service.answering.retriever import PROBABILITY, RERANK, CandidateReading, Retrieved, choose_reranker, retrieve
from service.answering.routing import is_small_talk
from service.answering.timings import Timings, milliseconds_since
from service.answering.tools import Tools
from service.answering.understanding import explained, understand_question
from service.answering.writing import WRITING, Checker, write_checked

CONDENSE = "condense"
REWRITING = "rewriting"
_COVERAGE_RELIEF = 0.05  # of coverage that a shorter, written answer may lack

_log = logging.getLogger(__name__)


def search(request: SearchRequest, tools: Tools) -> SearchResult:
    """Find chunks for one question."""
    clock = Clock.of(tools.answering.deadline_s)
    timings = Timings()
    with timings.measure("total"):
        top_k = request.top_k or tools.answering.top_k
        reranker = choose_reranker(request.rerank, request.mode, tools.snapshot, tools.answering)
        understood = understand_question(as_asked(request.question), request, tools, clock, timings)
        found, unread = _retrieve(
            understood.query,
            request,
            reranker,
            tools,
            clock,
            timings=timings,
            top_k=top_k,
            span_chars=tools.answering.span_chars,
        )
        hits = _with_matches(found.hits, understood.query, tools) if request.explain else tuple(found.hits)
    return SearchResult(
        hits=hits,
        snapshot=tools.snapshot.name,
        timings=timings.stages,
        stages_skipped=(*understood.skipped, *unread),
        explanation=explained(understood, found, tools.snapshot) if request.explain else None,
    )


def answer_stream(
    request: AskRequest, tools: Tools, *, cancelled: threading.Event | None = None
) -> Iterator[AnswerStreamEvent]:
    """Answer one question as it happens: what was found, the draft as it is written, and the checked answer."""
    clock = Clock.of(request.deadline_s or tools.answering.deadline_s, cancelled)
    timings = Timings()
    started = time.perf_counter()
    if is_small_talk(request.question):
        nothing = SearchResult((), tools.snapshot.name)
        yield RetrievalEvent(nothing)
        text = greeting(language_of(request.question))
        yield AnswerEvent(_abstained(text, nothing, timings, started))
        return
    top_k = request.top_k or tools.answering.top_k
    reranker = choose_reranker(request.rerank, "hybrid", tools.snapshot, tools.answering)
    asked, not_rewritten = _condensed(request, tools, clock, timings)
    wanted = SearchRequest(
        asked.text, filter=request.filter, hyde=request.hyde, rerank=request.rerank, stages=_stages(request, tools)
    )
    understood = understand_question(asked, wanted, tools, clock, timings)
    query = understood.query
    depth = max(top_k, tools.answering.passages)
    retrieved, unread = _retrieve(query, wanted, reranker, tools, clock, timings=timings, top_k=depth)
    skipped = (*not_rewritten, *understood.skipped, *unread)
    found = SearchResult(tuple(retrieved.hits[:top_k]), tools.snapshot.name, dict(timings.stages), skipped)
    yield RetrievalEvent(found)

    with timings.measure("context"):
        read = found.hits[: tools.answering.passages]  # nothing is cited that the reply does not show
        sentences = score_sentences(query, read, tools.snapshot, tools.encoder)
        probability = answerable_probability(query, read, tools.snapshot, tools.encoder, tools.tokenizer)
    likeliest = max((hit.signals[PROBABILITY].score for hit in read if PROBABILITY in hit.signals), default=1.0)
    unlikely = likeliest < tools.answering.min_passage_probability
    if not sentences or unlikely or probability < tools.answering.min_answerable:
        yield AnswerEvent(_abstained(abstention(query.language), found, timings, started))
        return

    extract = choose_sentences(sentences, budget=tools.answering.extract_chars, cost=len)
    written, skipped = yield from _written(query, sentences, tools, clock, timings)
    found = replace(found, stages_skipped=(*found.stages_skipped, *skipped))
    if written and _holds_against(extract, written, query, tools):
        yield AnswerEvent(_answer(written, "model", found, timings, started))
        return
    cited = [CitedSentence(without_list_mark(sentence.text), sentence) for sentence in extract]
    yield AnswerEvent(_answer(cited, "extract", found, timings, started))


def _with_matches(hits: Sequence[Hit], query: Query, tools: Tools) -> tuple[Hit, ...]:
    lexical, tokenizer = tools.snapshot.lexical, tools.tokenizer
    return tuple(replace(hit, matches=matching_lines(hit.text, query, lexical, tokenizer)) for hit in hits)


def _stages(request: AskRequest, tools: Tools) -> Mapping[Stage, bool]:
    """Those asked for; unless something is said of it, translation too where there is a model, which answers anyway."""
    unsaid = tools.answering.translation is None and tools.language_model is not None
    return {"translation": True, **request.stages} if unsaid else request.stages


def _condensed(request: AskRequest, tools: Tools, clock: Clock, timings: Timings) -> tuple[Condensed, tuple[str, ...]]:
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


def _retrieve(
    query: Query,
    request: SearchRequest,
    reranker: str,
    tools: Tools,
    clock: Clock,
    *,
    timings: Timings,
    top_k: int,
    span_chars: int = 0,
) -> tuple[Retrieved, tuple[str, ...]]:
    """What is found, and what was skipped.

    A model that fails while it reads leaves the order that was there before it, one that ran out of time what it had
    not read; both are said. One that cannot be opened is an error: it was asked for by name.
    """

    def found(reading: CandidateReading | None) -> Retrieved:
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
            fold_similarity=tools.answering.fold_similarity,
        )

    if reranker in {NO_RERANKER, LATE}:
        return found(None), ()
    reading = _reading(reranker, tools, clock)
    try:
        retrieved = found(reading)
    except GenerationFailed as error:
        _log.exception("%s %s", error.message, error.hint)
        return found(None), (RERANK,)
    return retrieved, (() if reading.complete else (RERANK,))


def _reading(reranker: str, tools: Tools, clock: Clock) -> CandidateReading:
    if tools.reranker is None:
        raise WeightsMissing(f"The reranker {reranker!r} is not open.", hint="Name it with answering.reranker.")
    answering = tools.answering
    stop = clock.before(answering.rerank_deadline_s, reserved=answering.min_writing_s)
    known = tools.calibration if tools.calibration and tools.calibration.reranker == reranker else None
    candidates = known.candidates if known else answering.rerank_candidates
    return CandidateReading(tools.reranker(reranker), candidates, stop, known)


def _written(
    query: Query, sentences: Sequence[Sentence], tools: Tools, clock: Clock, timings: Timings
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


def _abstained(text: str, found: SearchResult, timings: Timings, started: float) -> Answer:
    return Answer(
        text=text,
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
