"""Runs of answers: asking every question of a gold set, and the file that such a run is saved in and read from.

The file is that of ``asknotes ask --queries`` ({"id", "chunks", "answer", "abstained", "citations", "timings"} a line).
Runs saved here say more: ``hits`` as a run of searches has them, ``written_by``, and ``first_text_ms``, ``total_ms``
and ``tokens_per_s``, which only somebody who watched the answer being written can know.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eval.gold import Gold, Question, json_lines, read_bytes, refuse_repeated
from index.durable import replace_file, storage_errors
from index.errors import AsknotesError, GenerationFailed
from service.answering.exchange import Answer, AnswerEvent, AnswerStreamEvent, AskRequest, TokenEvent
from service.answering.ports import AnswerEngine
from service.answering.timings import milliseconds_since
from service.replies import AnswerReply, run_line

WrittenBy = Literal["model", "extract", "none"]
TokenCounter = Callable[[str], int]
_IDS_NAMED = 5


class RunInvalid(AsknotesError):
    """A saved run that is malformed, or not one of the gold set it is to be scored with."""

    type = "run_invalid"


@dataclass(frozen=True, slots=True)
class CitedPassage:
    """A citation with the whole passage that it points to; ``passage`` is None where the run does not hold it."""

    n: int
    quote: str
    passage: str | None
    heading: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """What a system said to one question. None means that the run does not say.

    Times are milliseconds from the question on; ``tokens_per_s`` is None as well where the model wrote nothing.
    """

    id: str
    text: str
    abstained: bool
    citations: tuple[CitedPassage, ...] = ()
    written_by: WrittenBy | None = None
    first_text_ms: float | None = None
    total_ms: float | None = None
    tokens_per_s: float | None = None
    record: Mapping[str, Any] = field(default_factory=dict)


def ask_all(
    engine: AnswerEngine,
    questions: Sequence[Question],
    *,
    top_k: int,
    count_tokens: TokenCounter | None,
    answered: Callable[[], None],
) -> list[AnsweredQuestion]:
    """Ask every question as a reader would watch it; ``answered`` is called after each. Raises AsknotesError.

    ``count_tokens`` counts in the tokens of the writing model, None where there is none.
    """
    found = []
    for question in questions:
        request = AskRequest(question=question.text, top_k=top_k)
        events = engine.stream(request, cancelled=threading.Event())
        found.append(watch(question.id, events, count_tokens))
        answered()
    return found


def watch(
    identity: str, events: Iterator[AnswerStreamEvent], count_tokens: TokenCounter | None = None
) -> AnsweredQuestion:
    """Follow one answer to its end; raises GenerationFailed where it has none."""
    started = time.perf_counter()
    pieces: list[tuple[float, str]] = []
    for event in events:
        if isinstance(event, TokenEvent):
            pieces.append((milliseconds_since(started), event.text))
        elif isinstance(event, AnswerEvent):
            total = milliseconds_since(started)
            first = pieces[0][0] if pieces else total
            return _answered(identity, event.answer, first, total, _tokens_per_s(pieces, count_tokens))
    raise GenerationFailed(f"The answer to {identity} broke off before its end.", hint="Run it again.")


def _tokens_per_s(pieces: Sequence[tuple[float, str]], count_tokens: TokenCounter | None) -> float | None:
    """Rate from the first piece on: what comes before it is the reading of the prompt."""
    if count_tokens is None or len(pieces) < 2 or pieces[-1][0] <= pieces[0][0]:  # noqa: PLR2004 - one piece has no rate
        return None
    return count_tokens("".join(text for _, text in pieces[1:])) / (pieces[-1][0] - pieces[0][0]) * 1000


def _answered(identity: str, answer: Answer, first: float, total: float, rate: float | None) -> AnsweredQuestion:
    texts = {hit.chunk.id: hit.chunk.text for hit in answer.hits}
    return AnsweredQuestion(
        id=identity,
        text=answer.text,
        abstained=answer.abstained,
        citations=tuple(
            CitedPassage(one.n, one.quote, texts.get(one.chunk_id), one.heading) for one in answer.citations
        ),
        written_by=answer.written_by,
        first_text_ms=first,
        total_ms=total,
        tokens_per_s=rate,
        record={
            "id": identity,
            **run_line(answer.hits),
            **AnswerReply.of(answer).model_dump(
                mode="json", include={"answer", "abstained", "citations", "written_by", "timings"}
            ),
            "first_text_ms": first,
            "total_ms": total,
            "tokens_per_s": rate,
        },
    )


def write_run(path: Path, answered: Sequence[AnsweredQuestion]) -> None:
    """Write a run that ``read_run`` and the reference scorer read; raises StorageFailed."""
    lines = (json.dumps(one.record, ensure_ascii=False) for one in answered)
    with storage_errors(f"Writing {path}"):
        replace_file(path, "".join(f"{line}\n" for line in lines).encode())


class _CitationLine(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    n: int
    quote: str
    chunk_id: str = ""
    heading: list[str] = []


class _HitLine(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    chunk_id: str


class _RunLine(BaseModel):
    """What a line must hold; other keys are the writer's own."""

    model_config = ConfigDict(extra="ignore", strict=True)

    id: str = Field(min_length=1)
    answer: str
    abstained: bool
    citations: list[_CitationLine]
    chunks: list[str]
    hits: list[_HitLine] | None = None
    written_by: WrittenBy | None = None
    timings: dict[str, float] = {}
    first_text_ms: float | None = None
    total_ms: float | None = None
    tokens_per_s: float | None = None


def read_run(path: Path, gold: Gold) -> list[AnsweredQuestion]:
    """Read a run of exactly the questions of ``gold``, in the gold's order; raises RunInvalid and GoldInvalid.

    A question that is missing is refused: leaving it out would flatter, counting it as zero would blame the wrong one.
    """
    lines = [(_line(record, place), place) for record, place, _ in json_lines(read_bytes(path), path)]
    refuse_repeated([(line.id, place) for line, place in lines])
    known = {question.id for question in gold.questions}
    for line, place in lines:
        if line.id not in known:
            raise RunInvalid(
                f"{place}: {gold.path} has no question {line.id!r}.", hint="Score a run with its own gold."
            )
    rows = {line.id: _read(line) for line, _ in lines}
    missing = [question.id for question in gold.questions if question.id not in rows]
    if missing:
        named = ", ".join(missing[:_IDS_NAMED]) + (" …" if len(missing) > _IDS_NAMED else "")
        raise RunInvalid(
            f"{path}: has no answer to {len(missing)} of {len(gold.questions)} questions: {named}.",
            hint="Make the run anew with `asknotes ask --queries`, or score it with the questions it was made for.",
        )
    return [rows[question.id] for question in gold.questions]


def _line(record: Mapping[str, Any], place: str) -> _RunLine:
    try:
        line = _RunLine.model_validate(record)
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in details["loc"])
        raise RunInvalid(
            f"{place}: {key}: {details['msg']}.", hint="`asknotes ask --queries` writes such runs."
        ) from error
    if line.hits is not None and len(line.hits) != len(line.chunks):
        raise RunInvalid(f"{place}: {len(line.hits)} hits for {len(line.chunks)} chunks.", hint="Make the run anew.")
    return line


def _read(line: _RunLine) -> AnsweredQuestion:
    texts = dict(zip([hit.chunk_id for hit in line.hits or []], line.chunks, strict=False))
    return AnsweredQuestion(
        id=line.id,
        text=line.answer,
        abstained=line.abstained,
        citations=tuple(
            CitedPassage(one.n, one.quote, _passage(one, texts, line.chunks), tuple(one.heading))
            for one in line.citations
        ),
        written_by=line.written_by,
        first_text_ms=line.first_text_ms,
        total_ms=line.timings.get("total") if line.total_ms is None else line.total_ms,
        tokens_per_s=line.tokens_per_s,
    )


def _passage(citation: _CitationLine, texts: Mapping[str, str], chunks: Sequence[str]) -> str | None:
    """The cited chunk by its id; where a run gives none, the best ranked one in which the quote stands."""
    if texts:
        return texts.get(citation.chunk_id)
    return next((chunk for chunk in chunks if citation.quote in chunk), None)
