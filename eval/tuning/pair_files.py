"""Pairs that somebody wrote: one JSON object a line, a passage with the questions that it answers.

``{"passage": …, "heading"?: "A > B", "topic"?: …, "questions": [{"question": …}, …]}`` or
``{"question": …, "passage": …}``; passages of one topic are not split between training and held-out questions.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eval.gold import json_lines, read_bytes
from eval.quotes import normalised
from eval.tuning.pairs import Collection, Pair, PairsInvalid
from index.schema import Chunk, chunk_id
from ingest.language import language_of

WRITTEN = "file"

_SEPARATOR = ">"


class _Question(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    question: str = Field(min_length=1)
    type: str = ""
    """The author's own kind of question; not used."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    passage: str = Field(min_length=1)
    heading: str = ""
    topic: str = ""
    question: str | None = Field(default=None, min_length=1)
    questions: list[_Question] | None = Field(default=None, min_length=1)

    @property
    def asked(self) -> list[str]:
        """The questions, in whichever form they are given."""
        return [self.question] if self.question is not None else [one.question for one in self.questions or ()]


def read_pairs(path: Path) -> Collection:
    """Read a file of pairs; raises GoldInvalid, PairsInvalid naming file and line."""
    passages: dict[str, Chunk] = {}
    sections: dict[str, str] = {}
    pairs: list[Pair] = []
    for record, place, number in json_lines(read_bytes(path), path):
        line = _checked(record, place)
        passage = _passage(line, path, number)
        passages.setdefault(passage.id, passage)
        sections.setdefault(passage.id, _section(line, passage))
        pairs += [
            Pair(question.strip(), passage.id, WRITTEN, place, frozenset({passage.id})) for question in line.asked
        ]
    if not pairs:
        raise PairsInvalid(f"{path}: holds no pair.", hint="One JSON object a line; docs/EVAL.md has the format.")
    return Collection(tuple(passages.values()), sections, tuple(pairs))


def _checked(record: Mapping[str, Any], place: str) -> _Line:
    try:
        line = _Line.model_validate(record)
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in details["loc"])
        raise _invalid(place, f"{key}: {details['msg']}") from error
    if (line.question is None) == (line.questions is None):
        raise _invalid(place, 'wants either "question" or "questions"')
    for text in (line.passage, *line.asked):
        if not normalised(text):
            raise _invalid(place, "has a passage or a question without a letter or digit")
    return line


def _invalid(place: str, reason: str) -> PairsInvalid:
    return PairsInvalid(
        f"{place}: {reason}.",
        hint='A line is {"passage": "…", "heading": "A > B", "questions": [{"question": "…"}]} '
        'or {"question": "…", "passage": "…"}.',
    )


def _passage(line: _Line, path: Path, number: int) -> Chunk:
    heading = tuple(part.strip() for part in line.heading.split(_SEPARATOR) if part.strip())
    return Chunk(
        id=chunk_id(path.name, heading, line.passage),
        note=path.name,
        heading=heading,
        text=line.passage,
        lines=(number, number),
        language=language_of(line.passage),
    )


def _section(line: _Line, passage: Chunk) -> str:
    """The topic, else the headings above the passage's own, else the passage itself."""
    return " > ".join([passage.note, line.topic or " > ".join(passage.heading[:-1]) or passage.id])
