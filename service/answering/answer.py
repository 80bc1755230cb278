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
from ingest.language import language_of
from ingest.sentences import split_sentences
from service.answering.answerability import answerable_probability
from service.answering.composing import CitedSentence, compose, without_list_mark
from service.answering.config import AnsweringConfig
from service.answering.context import Sentence, choose_sentences, score_sentences
from service.answering.exchange import (
    Answer,
    AnswerEvent,
    AnswerStreamEvent,
    AskRequest,
    RetrievalEvent,
    SearchRequest,
    SearchResult,
    TokenEvent,
)
from service.answering.generator import LanguageModel
from service.answering.prompts import abstention, build_prompt, is_refusal
from service.answering.retriever import Query, Timings, choose_reranker, retrieve, understand
from service.answering.support import find_support, quoted_sentence, without_marks

WRITING = "writing"
HYDE = "hyde"
HISTORY = "history"
_SENTENCE_ENDS = "。！？!?.…；;：:」』”\"'）)`"

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
        _, hits = _retrieve(request, tools, timings, top_k=request.top_k or tools.answering.top_k)
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
        read = hits[: tools.answering.passages]
        sentences = score_sentences(query, read, tools.snapshot, tools.encoder)
        probability = answerable_probability(query, read, tools.snapshot, tools.encoder, tools.tokenizer)
    if not sentences or probability < tools.answering.min_answerable:
        yield AnswerEvent(_abstained(query, found, timings, started))
        return

    written: list[CitedSentence] = []
    if tools.language_model is None or clock.seconds_left < tools.answering.min_writing_s:
        skipped = (*skipped, WRITING)
    else:
        shown = choose_sentences(
            sentences, budget=tools.answering.context_tokens, cost=tools.language_model.count_tokens
        )
        draft = yield from _draft(query, shown, tools, clock, timings)
        with timings.measure("check"):
            written = [] if draft is None else _supported(draft, query, shown, tools)
            skipped = (*skipped, WRITING) if draft is None else skipped
    found = replace(found, stages_skipped=skipped)
    if written:
        yield AnswerEvent(_answer(written, "model", found, timings, started))
        return
    chosen = choose_sentences(sentences, budget=tools.answering.extract_chars, cost=len)
    extract = [CitedSentence(without_list_mark(sentence.text), sentence) for sentence in chosen]
    yield AnswerEvent(_answer(extract, "extract", found, timings, started))


def _retrieve(request: SearchRequest, tools: Tools, timings: Timings, *, top_k: int) -> tuple[Query, list[Hit]]:
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
    )
    return query, hits


def _not_built(request: AskRequest) -> tuple[str, ...]:
    """Stages that the contract names and this version does not have: said in the reply, not passed over."""
    asked = {HYDE: bool(request.hyde), HISTORY: bool(request.history)}
    return tuple(stage for stage, wanted in asked.items() if wanted)


def _draft(
    query: Query, shown: Sequence[Sentence], tools: Tools, clock: _Clock, timings: Timings
) -> Generator[AnswerStreamEvent, None, str | None]:
    """Have the model write, passing its words on; returns the draft, None when the model failed."""
    if tools.language_model is None:
        return None
    prompt = build_prompt(query.text, shown, query.language)
    pieces: list[str] = []
    started = time.perf_counter()
    try:
        for piece in tools.language_model.write(
            prompt, max_new_tokens=tools.answering.max_new_tokens, stop=clock.is_over
        ):
            if not pieces:
                timings.stages["first_token"] = _milliseconds(started)
            pieces.append(piece)
            yield TokenEvent(piece)
    except GenerationFailed as error:
        _log.exception("%s %s", error.message, error.hint)
        return None
    timings.stages[WRITING] = _milliseconds(started)
    return "".join(pieces)


def _supported(draft: str, query: Query, shown: Sequence[Sentence], tools: Tools) -> list[CitedSentence]:
    """The sentences of a draft that the shown passages support; none when the draft as a whole is not to be trusted.

    Not trusted: a draft in another language than the question's, one that only says that the notes do not say, and one
    of which less than half is supported.
    """
    sentences = _complete_sentences(without_marks(draft))
    if not sentences or not _same_language("".join(sentences), query.language):
        return []
    kept: list[CitedSentence] = []
    for sentence in sentences:
        if is_refusal(sentence, query.language) or _repeats(sentence, query, kept, tools.tokenizer):
            continue
        support = find_support(
            sentence,
            question=query.text,
            passages=shown,
            snapshot=tools.snapshot,
            encoder=tools.encoder,
            tokenizer=tools.tokenizer,
            minimum=tools.answering.min_support,
        )
        if support.passage is not None:
            source = quoted_sentence(sentence, support.passage, shown, tools.tokenizer)
            kept.append(CitedSentence(without_list_mark(support.sentence), source))
    supported = sum(len(sentence.text) for sentence in kept)
    return kept if supported * 2 >= sum(len(sentence.strip()) for sentence in sentences) else []


def _complete_sentences(draft: str) -> list[str]:
    """Sentences of a draft without the last one if it was cut off."""
    sentences = [sentence for sentence in split_sentences(draft) if sentence.strip(" \n-*#>")]
    if sentences and draft.rstrip()[-1:] not in _SENTENCE_ENDS:
        sentences.pop()
    return sentences


def _same_language(text: str, language: str) -> bool:
    return (language_of(text) == "en") == (language == "en")


def _repeats(sentence: str, query: Query, kept: Sequence[CitedSentence], tokenizer: Tokenizer) -> bool:
    """Whether a sentence says nothing but what the question or an earlier sentence said."""
    terms = set(tokenizer.terms(sentence))
    return terms <= set(query.terms) or any(terms <= set(tokenizer.terms(earlier.text)) for earlier in kept)


def _abstained(query: Query, found: SearchResult, timings: Timings, started: float) -> Answer:
    return Answer(
        text=abstention(query.language),
        abstained=True,
        citations=(),
        hits=found.hits,
        snapshot=found.snapshot,
        written_by="none",
        timings=timings.stages | {"total": _milliseconds(started)},
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
        timings=timings.stages | {"total": _milliseconds(started)},
        stages_skipped=found.stages_skipped,
    )


def _milliseconds(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
