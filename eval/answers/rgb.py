"""The RGB benchmark's files and protocol: how robust answers are to noise, and whether nothing-said is said.

Chen, Lin, Han & Sun, "Benchmarking Large Language Models in Retrieval-Augmented Generation" (AAAI 2024,
arXiv:2309.01431), and the authors' ``evalue.py`` (github.com/chen700564/RGB), which this follows in which documents a
question is given, in how a reply is judged and in the seed. Three things differ because the system differs: it finds
its passages among those documents by itself, it abstains instead of writing a fixed phrase, and its ``[n]`` marks are
taken out before a reply is judged. Its third part, counterfactual robustness (``*_fact.json``), is refused: it needs
a model that contradicts its documents from memory, which this system is built not to do.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eval.gold import GoldInvalid, json_lines, read_bytes, refuse_repeated
from ingest.language import language_of
from service.answering.support import without_marks

NOISE_RATIOS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
PASSAGES = 5
ALL_NOISE = 1.0
_SEED = 2333  # of evalue.py, set anew for every question
_HINT = 'A line holds "id", "query", "answer", "positive" and "negative", as in github.com/chen700564/RGB.'


@dataclass(frozen=True, slots=True)
class RgbQuestion:
    """One question. ``answers`` are all needed, each in any of its spellings.

    ``positive`` documents answer: a single group, or in the integration set a group for each part of the answer.
    """

    id: str
    text: str
    answers: tuple[tuple[str, ...], ...]
    positive: tuple[tuple[str, ...], ...]
    negative: tuple[str, ...]
    is_integration: bool
    line: int

    @property
    def language(self) -> str:
        """Language of the question."""
        return language_of(self.text)


@dataclass(frozen=True, slots=True)
class RgbFile:
    """A file of the benchmark."""

    path: Path
    questions: tuple[RgbQuestion, ...]
    sha256: str


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    id: str | int
    query: str = Field(min_length=1)
    answer: str | list[str | list[str]]
    positive: list[str] | list[list[str]]
    negative: list[str]
    positive_wrong: list[str] | None = None


def read_rgb(path: Path) -> RgbFile:
    """Read a file of the benchmark, one JSON object a line; raises GoldInvalid naming file and line."""
    content = read_bytes(path)
    questions = tuple(_question(record, f"{path}:{number}", number) for record, _, number in json_lines(content, path))
    if not questions:
        raise GoldInvalid(f"{path}: holds no question.", hint=_HINT)
    refuse_repeated([(question.id, f"{path}:{question.line}") for question in questions])
    return RgbFile(path, questions, hashlib.sha256(content).hexdigest())


def _question(record: Mapping[str, Any], place: str, number: int) -> RgbQuestion:
    try:
        line = _Line.model_validate(record)
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in details["loc"])
        raise GoldInvalid(f"{place}: {key}: {details['msg']}.", hint=_HINT) from error
    if line.positive_wrong is not None:
        raise GoldInvalid(
            f"{place}: is of the counterfactual set, which is not measured here.",
            hint="Take the main or the integration set.",
        )
    groups = _groups(line.positive)
    question = RgbQuestion(
        id=str(line.id),
        text=line.query,
        answers=_answers(line.answer),
        positive=groups or (tuple(text for text in line.positive if isinstance(text, str)),),
        negative=tuple(line.negative),
        is_integration=bool(groups),
        line=number,
    )
    _check(question, place)
    return question


def _groups(positive: Sequence[str] | Sequence[list[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(group) for group in positive if isinstance(group, list))


def _answers(answer: str | Sequence[str | list[str]]) -> tuple[tuple[str, ...], ...]:
    parts = [answer] if isinstance(answer, str) else answer
    return tuple((part,) if isinstance(part, str) else tuple(part) for part in parts)


def _check(question: RgbQuestion, place: str) -> None:
    if not question.answers or any(not spellings or "" in spellings for spellings in question.answers):
        raise GoldInvalid(f"{place}: {question.id} has an empty answer.", hint=_HINT)
    if not all(question.positive):
        raise GoldInvalid(f"{place}: {question.id} has no positive document, or a part without one.", hint=_HINT)
    if any(not text.strip() for text in (*question.negative, *(text for group in question.positive for text in group))):
        raise GoldInvalid(f"{place}: {question.id} has an empty document.", hint=_HINT)


def documents(question: RgbQuestion, noise: float, passages: int) -> list[str]:
    """Choose the documents that a question is given at a noise ratio, shuffled: ``processdata`` of evalue.py.

    ``ceil(passages * noise)`` of ``passages`` are negative, and what one kind lacks the other fills. The integration
    set has one document for each part of the answer at least. Fewer than ``passages`` where the file has no more.
    Raises GoldInvalid for the integration set with nothing but noise, which the benchmark does not define.
    """
    shuffling = random.Random(_SEED)  # noqa: S311 - the benchmark's own generator and seed, no secret
    negatives = math.ceil(passages * noise)
    if question.is_integration:
        chosen = _integrated(question, noise, passages - negatives, passages, shuffling)
    else:
        chosen = _mixed(question, noise, negatives, passages)
    shuffling.shuffle(chosen)
    return chosen


def _mixed(question: RgbQuestion, noise: float, negatives: int, passages: int) -> list[str]:
    (positive,) = question.positive
    positives = passages - negatives
    if noise != ALL_NOISE:
        if negatives > len(question.negative):
            positives = passages - len(question.negative)
        elif positives > len(positive):
            negatives = passages - len(positive)
    return [*positive[:positives], *question.negative[:negatives]]


def _integrated(question: RgbQuestion, noise: float, wanted: int, passages: int, shuffling: random.Random) -> list[str]:
    if noise == ALL_NOISE:
        raise GoldInvalid(
            f"{question.id}: the integration set has no rejection protocol.", hint="Leave the noise ratio 1.0 out."
        )
    groups = [list(group) for group in question.positive]
    for group in groups:
        shuffling.shuffle(group)
    rounds = range(max(len(group) for group in groups))
    in_turn = [group[position] for position in rounds for group in groups if position < len(group)]
    chosen = in_turn[: max(len(groups), wanted)]
    return chosen + list(question.negative[: max(0, passages - len(chosen))])


def is_right(reply: str, question: RgbQuestion) -> bool:
    """Whether a reply holds every answer in some spelling: ``checkanswer`` of evalue.py.

    Lower-cased; in a reply to a Chinese question spaces do not count. Marks are taken out, numbers in them too.
    """
    said = without_marks(reply).lower()
    if question.language != "en":
        said = said.replace(" ", "")
    return all(any(spelling.lower() in said for spelling in spellings) for spellings in question.answers)
