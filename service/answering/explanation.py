"""What ``--explain`` says of a search beside its hits: how the question was understood, what was left out and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DropReason = Literal["neighbour", "alike", "rank"]
"""It comes with a better hit as its neighbour, says the same as one, or stands below the last that was asked for."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A chunk that a stage named and that is no hit; ``hit`` is the number, from 1, of the hit that has it."""

    chunk_id: str
    note: str
    lines: tuple[int, int]
    score: float
    reason: DropReason
    hit: int | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """What a stage made of the question and was not searched with, and why."""

    stage: str
    reason: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """One text that was searched with: the stage that made it, its weight, its terms and those that the notes know.

    For what is not searched with as terms these are none: a hypothetical answer, and a concept that the question
    describes, by its names and the description that it is most like.
    """

    stage: str
    text: str
    weight: float
    terms: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything about one search that its hits do not say themselves.

    ``written`` is the question as it was written, where its spelling was repaired, else empty. ``filtered_out`` counts
    chunks that the filter kept from every stage.
    """

    route: str
    asked: tuple[Asked, ...]
    rejected: tuple[Rejected, ...]
    dropped: tuple[Dropped, ...]
    filtered_out: int
    written: str = ""
