"""The whole way of one question, a step a line: retrieve, weigh, write, check, cite - or abstain."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from index.config import IndexConfig
from index.encoder import TextEncoder
from index.errors import GenerationFailed
from index.schema import Hit
from index.snapshot import Snapshot
from index.tokenizer import Tokenizer
from service.answering.answerability import answerable_probability
from service.answering.composing import CitedSentence, compose, without_list_mark
from service.answering.config import NO_MODEL, AnsweringConfig
from service.answering.context import Sentence, choose_sentences, question_coverage, score_sentences
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
from service.answering.prompts import abstention
from service.answering.retriever import (
    Query,
    Timings,
    choose_reranker,
    milliseconds_since,
    retrieve,
    understand,
)
from service.answering.writing import WRITING, Checker, write_checked

HYDE = "hyde"
HISTORY = "history"
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


def search(request: SearchRequest, tools: Tools) -> SearchResult:
    """Find chunks for one question."""
    timings = Timings()
    with timings.measure("total"):
        top_k = request.top_k or tools.answering.top_k
        _, hits = _retrieve(request, tools, timings, top_k=top_k, span_chars=tools.answering.span_chars)
    return SearchResult(
        hits=tuple(hits),
        snapshot=tools.snapshot.name,
        timings=timings.stages,
        stages_skipped=(HYDE,) if request.hyde else (),
    )


def answer_stream(
    request: AskRequest, tools: Tools, *, cancelled: threading.Event | None = None
) -> Iterator[AnswerStreamEvent]:
    """Answer one question as it happens: what was found, the draft as it is written, and the checked answer."""
    clock = _Clock(time.monotonic() + (request.deadline_s or tools.answering.deadline_s), cancelled)
    timings = Timings()
    started = time.perf_counter()
    top_k = request.top_k or tools.answering.top_k
    wanted = SearchRequest(request.question, filter=request.filter, rerank=request.rerank)
    query, hits = _retrieve(wanted, tools, timings, top_k=max(top_k, tools.answering.passages))
    skipped = _not_built(request)
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


def _retrieve(
    request: SearchRequest, tools: Tools, timings: Timings, *, top_k: int, span_chars: int = 0
) -> tuple[Query, list[Hit]]:
    reranker = choose_reranker(request.rerank, request.mode, tools.snapshot)
    with timings.measure("question"):
        query = understand(request.question, tools.encoder, tools.tokenizer)
    hits = retrieve(
        query,
        tools.snapshot,
        tools.index,
        mode=request.mode,
        reranker=reranker,
        top_k=top_k,
        chunk_filter=request.filter,
        timings=timings,
        span_chars=span_chars,
    )
    return query, hits


def _not_built(request: AskRequest) -> tuple[str, ...]:
    """Stages that the contract names and this version does not have: said in the reply, not passed over."""
    asked = {HYDE: bool(request.hyde), HISTORY: bool(request.history)}
    return tuple(stage for stage, wanted in asked.items() if wanted)


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
