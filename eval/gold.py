"""Gold questions, in the one form that every evaluation speaks, and the file of quotes that most come from.

A question's evidence is either quotes (this module: verbatim pieces of the notes, independent of chunking) or
documents (eval/beir.py: ids with grades). Whatever is wrong with a file is an error that names file and line;
nothing that could not be checked is counted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eval.quotes import normalised
from index.errors import AsknotesError
from index.schema import Note
from ingest.language import language_of

LANGUAGES = ("zh", "zh-Hant", "en")


class GoldInvalid(AsknotesError):
    """A gold file that cannot be believed: malformed, ambiguous, empty, or made for other notes."""

    type = "gold_invalid"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A piece of a note that answers: ``quote`` occurs once in ``source``, a note's path or file name.

    Quotes of one ``group`` are alternatives, different groups are all needed.
    """

    source: str
    quote: str
    group: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """One gold question. ``key_facts`` are facts of the answer, each with its accepted spellings.

    ``relevant`` maps document ids to grades above 0 and is empty where ``evidence`` is given; ``line`` is the
    question's place in its file.
    """

    id: str
    text: str
    language: str
    type: str
    answerable: bool = True
    evidence: tuple[Evidence, ...] = ()
    relevant: Mapping[str, int] = field(default_factory=dict)
    answer: str = ""
    key_facts: tuple[tuple[str, ...], ...] = ()
    line: int = 0

    @property
    def groups(self) -> Mapping[int, tuple[str, ...]]:
        """The quotes of each group, in the order of the file."""
        grouped: dict[int, tuple[str, ...]] = {}
        for evidence in self.evidence:
            grouped[evidence.group] = (*grouped.get(evidence.group, ()), evidence.quote)
        return grouped


@dataclass(frozen=True, slots=True)
class Gold:
    """A set of questions with unique ids; ``sha256`` is that of the bytes they were read from."""

    name: str
    path: Path
    questions: tuple[Question, ...]
    sha256: str
    kind: Literal["quotes", "documents"] = "quotes"

    @property
    def answerable(self) -> tuple[Question, ...]:
        """The questions that retrieval is measured on."""
        return tuple(question for question in self.questions if question.answerable)

    def place(self, question: Question) -> str:
        """Where a question stands, for messages."""
        return f"{self.path}:{question.line}"


class _EvidenceLine(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    source: str = Field(min_length=1)
    quote: str = Field(min_length=1)
    group: int = Field(default=0, ge=0)


class _Line(BaseModel):
    """What a line must hold; other keys are the author's own."""

    model_config = ConfigDict(extra="ignore", strict=True)

    id: str = Field(min_length=1)
    question: str = Field(min_length=1)
    lang: str
    type: str = Field(min_length=1)
    answerable: bool
    evidence: list[_EvidenceLine]
    answer: str = ""
    key_facts: list[list[str]] = []


def read_gold(path: Path) -> Gold:
    """Read a file of quotes, one JSON object a line (../shared/eval/README.md's format); blank lines are left out.

    Raises GoldInvalid naming file and line. Whether the quotes stand in the notes is ``check_quotes``' business.
    """
    content = read_bytes(path)
    questions = tuple(_question(record, place, number) for record, place, number in json_lines(content, path))
    if not questions:
        raise GoldInvalid(f"{path}: holds no question.", hint="One JSON object a line; docs/EVAL.md has the format.")
    refuse_repeated([(question.id, f"{path}:{question.line}") for question in questions])
    return Gold(
        name=path.stem, path=path, questions=questions, sha256=hashlib.sha256(content).hexdigest(), kind="quotes"
    )


def read_bytes(path: Path) -> bytes:
    """Read a file of gold; raises GoldInvalid."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise GoldInvalid(f"{path}: cannot be read: {error.strerror}", hint="Check the path.") from error


def json_lines(content: bytes, path: Path) -> Iterator[tuple[Mapping[str, Any], str, int]]:
    """Yield each line's object with its place for messages and its number; raises GoldInvalid."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise GoldInvalid(f"{path}: is not UTF-8 text: {error}", hint="Save it as UTF-8.") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            record = json.loads(line)
        except ValueError as error:
            raise GoldInvalid(f"{place}: is not JSON: {error}", hint="One JSON object a line.") from error
        if not isinstance(record, dict):
            raise GoldInvalid(f"{place}: is not a JSON object.", hint="One JSON object a line.")
        yield record, place, number


def refuse_repeated(ids: Sequence[tuple[str, str]]) -> None:
    """Raise GoldInvalid where an id, given with its place, is there twice."""
    first: dict[str, str] = {}
    for identity, place in ids:
        if identity in first:
            raise GoldInvalid(
                f"{place}: the id {identity!r} is there twice, first at {first[identity]}.", hint="Give each its own."
            )
        first[identity] = place


def _question(record: Mapping[str, Any], place: str, number: int) -> Question:
    try:
        line = _Line.model_validate(record)
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in details["loc"])
        raise GoldInvalid(
            f"{place}: {key}: {details['msg']}.", hint="docs/EVAL.md says what a line of a gold file holds."
        ) from error
    question = Question(
        id=line.id,
        text=line.question,
        language=line.lang,
        type=line.type,
        answerable=line.answerable,
        evidence=tuple(Evidence(one.source, one.quote, one.group) for one in line.evidence),
        answer=line.answer,
        key_facts=tuple(tuple(spellings) for spellings in line.key_facts),
        line=number,
    )
    _check_question(question, place)
    return question


def _check_question(question: Question, place: str) -> None:
    if question.answerable != bool(question.evidence):
        wrong = "is answerable but has no evidence" if question.answerable else "has evidence but is not answerable"
        raise GoldInvalid(
            f"{place}: {question.id} {wrong}.", hint='Give quotes, or set "answerable": false and "evidence": [].'
        )
    if question.language not in LANGUAGES:
        raise GoldInvalid(
            f"{place}: {question.id} is in {question.language!r}, which is none of {', '.join(LANGUAGES)}.",
            hint='"lang" is the language of the question.',
        )
    if question.language == "en" and language_of(question.text).startswith("zh"):
        raise GoldInvalid(
            f'{place}: {question.id} says "lang": "en", but the question is Chinese.',
            hint="Figures are given by language: correct the line.",
        )
    for evidence in question.evidence:
        if not normalised(evidence.quote):
            raise GoldInvalid(
                f"{place}: {question.id} has a quote with no letter or digit, which any passage would hold.",
                hint="Quote a sentence.",
            )
    if any(not spelling.strip() for fact in question.key_facts for spelling in fact) or () in question.key_facts:
        raise GoldInvalid(f"{place}: {question.id} has an empty key fact.", hint="Give each fact a spelling.")


def check_quotes(gold: Gold, notes: Sequence[Note]) -> None:
    """Refuse a gold file whose quotes do not each stand exactly once in the note they name.

    Raises GoldInvalid naming file and line of the first, and how many more there are.
    """
    problems = list(_quote_problems(gold, _by_source(notes)))
    if not problems:
        return
    more = f" (and {len(problems) - 1} more of this file)" if len(problems) > 1 else ""
    raise GoldInvalid(
        f"{problems[0]}{more}",
        hint="A quote is 20 to 80 characters, copied verbatim from the note, and occurs there once. "
        "Index the notes that the questions were written for.",
    )


def _by_source(notes: Sequence[Note]) -> Mapping[str, list[Note]]:
    found: dict[str, list[Note]] = {}
    for note in notes:
        for name in {note.path, note.path.rsplit("/", 1)[-1]}:
            found.setdefault(name, []).append(note)
    return found


def _quote_problems(gold: Gold, notes: Mapping[str, list[Note]]) -> Iterator[str]:
    for question in gold.questions:
        for evidence in question.evidence:
            place = f"{gold.place(question)}: {question.id}"
            named = notes.get(evidence.source, [])
            if len(named) != 1:
                which = "no note" if not named else f"{len(named)} notes"
                yield f"{place} names {evidence.source!r}, and {which} of the index has that path or name."
                continue
            times = named[0].text.count(evidence.quote)
            if times != 1:
                yield f"{place}: the quote occurs {times} times in {evidence.source}: {evidence.quote}"
