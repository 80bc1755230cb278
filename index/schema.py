"""What every package speaks: Note, Chunk, Hit. Frozen, without behaviour beyond their own data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Note:
    """A file that was read: its text and where it came from.

    ``path`` is relative to the notes root with ``/`` separators and is the note's identity everywhere;
    ``text`` is the decoded source with line feeds only, so that line numbers are those of the file;
    ``sha256`` is the hex digest of the file's bytes; ``metadata`` is what the front matter says.
    """

    path: str
    text: str
    sha256: str
    title: str
    tags: tuple[str, ...] = ()
    date: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Another place of the notes that says the same as a chunk (an exact or near duplicate)."""

    chunk_id: str
    note: str
    heading: tuple[str, ...]
    lines: tuple[int, int]
    text: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage that can be found and cited.

    ``text`` is the cleaned body, without its headings; ``heading`` the titles above it, outermost first;
    ``lines`` the first and last line in the note's file, 1-based and inclusive. ``alternatives`` are its
    duplicates elsewhere: they are shown with a hit, never ranked beside it.
    """

    id: str
    note: str
    heading: tuple[str, ...]
    text: str
    lines: tuple[int, int]
    title: str = ""
    tags: tuple[str, ...] = ()
    date: str | None = None
    language: str = "zh"
    alternatives: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Signal:
    """One stage's opinion of a chunk: its 1-based rank in that stage and the stage's own score."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk with its score; ``signals`` maps a stage's name (lexical, dense, late, …) to its opinion.

    ``span`` are the neighbouring chunks that are returned with it, itself included, in the order of the note; empty
    where the chunk stands alone. ``alike`` are chunks that stood lower and say the same, ``matches`` the lines of
    ``text`` that hold the question's words, where these were asked for.
    """

    chunk: Chunk
    score: float
    signals: Mapping[str, Signal] = field(default_factory=dict)
    span: tuple[Chunk, ...] = ()
    alike: tuple[Chunk, ...] = ()
    matches: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The passage as it is returned: the span's texts, each under its own title where that is another's."""
        if not self.span:
            return self.chunk.text
        parts: list[str] = []
        heading = self.span[0].heading
        for chunk in self.span:
            if chunk.heading != heading and chunk.heading:
                parts.append(chunk.heading[-1])
            heading = chunk.heading
            parts.append(chunk.text)
        return "\n\n".join(parts)

    @property
    def lines(self) -> tuple[int, int]:
        """First and last line of the passage in the note, 1-based and inclusive."""
        parts = self.span or (self.chunk,)
        return min(part.lines[0] for part in parts), max(part.lines[1] for part in parts)


def chunk_id(note: str, heading: tuple[str, ...], text: str, occurrence: int = 0) -> str:
    """Identity of a chunk by content: 16 hex digits, the same by whatever road the index was built.

    ``occurrence`` tells apart chunks of one note with equal heading path and text (0 for the first).
    """
    key = "\x1f".join([note, *heading, text, str(occurrence)])
    return hashlib.sha256(key.encode()).hexdigest()[:16]
