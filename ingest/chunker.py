"""A cleaned note to chunks along its structure, and what was left out of them.

A note's way: lines -> blocks (`markdown`) -> sections (`outline`) -> without what answers nothing (`answerless`)
-> passages of bounded size (`passages`) -> chunks with heading path, lines and identity.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from index.schema import Chunk, Note, chunk_id
from ingest.answerless import EMPTY_HEADING, UNANSWERED, LeftOut, only_questions, take_out_answerless
from ingest.config import ChunkerConfig
from ingest.language import language_of
from ingest.markdown import Block, Line, read_blocks
from ingest.outline import Section, read_outline
from ingest.passages import CountTokens, bounded, cut_blocks, is_lead, render, whole_limit

CHUNKER_VERSION: Final = 1
"""Raise it with every change that alters chunks: it is part of a snapshot's fingerprint."""

_FEW_CHARACTERS = 40
_BARE_LEAD = re.compile(r"[^\n。！？!?；;]{1,40}[:：]")
_TITLE_PUNCTUATION = "：:？?！!。.…"


class CleanLines(Protocol):
    """What the chunker reads of a cleaned note: its lines, and for each the 1-based line of the file."""

    @property
    def lines(self) -> Sequence[str]: ...  # noqa: D102

    @property
    def source_lines(self) -> Sequence[int]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class ChunkedNote:
    """The chunks of a note in reading order, and the lines that became none, with the reason."""

    chunks: list[Chunk]
    left_out: list[LeftOut]


def chunk_note(note: Note, clean: CleanLines, config: ChunkerConfig, count_tokens: CountTokens) -> ChunkedNote:
    """Cut ``note`` into chunks; ``count_tokens`` is the encoder's tokenizer, heading paths are not counted."""
    config = bounded(config)
    root = read_outline(read_blocks(clean.lines, clean.source_lines))
    left_out = take_out_answerless(root)
    drafts = _Packer(config, count_tokens).drafts(root)
    reasons = [_why_not(draft) for draft in drafts]
    left_out += [LeftOut(draft.lines, reason) for draft, reason in zip(drafts, reasons, strict=True) if reason]
    answering = [draft for draft, reason in zip(drafts, reasons, strict=True) if not reason]
    return ChunkedNote(_chunks(note, answering), sorted(left_out, key=lambda gap: gap.lines))


def _why_not(draft: _Draft) -> str:
    """Say why a draft answers nothing, empty if it may: only questions, or a short line that announces others."""
    if not draft.question and only_questions(draft.text):
        return UNANSWERED
    return EMPTY_HEADING if _BARE_LEAD.fullmatch(draft.text) else ""


@dataclass(frozen=True, slots=True)
class _Draft:
    """A chunk before it has an identity; ``question`` is how many titles of its path lead to a question, 0 if none."""

    path: tuple[str, ...]
    text: str
    lines: tuple[int, int]
    question: int = 0


class _Packer:
    """Sections to drafts: what fits together stays together, but a question's answer is never mixed with others."""

    def __init__(self, config: ChunkerConfig, count_tokens: CountTokens) -> None:
        self._config = config
        self._count = count_tokens

    def drafts(self, root: Section) -> list[_Draft]:
        return self._section(root, (), question=0)

    def _section(self, section: Section, path: tuple[str, ...], *, question: int) -> list[_Draft]:
        here = _extended(path, section.title)
        if not question and section.kind == "question":
            question = len(here)
        if len(section.children) == 1 and self._introduces(section):
            return self._section(_with_introduction(section.children[0], section.blocks), here, question=question)
        if not self._has_standalone(section, question=question) and self._size(_flattened(section)) <= whole_limit(
            self._config
        ):
            return self._cut(_flattened(section), here, question)
        drafts: list[_Draft] = []
        pending: list[Section] = [replace(section, title="", written="", children=[])] if section.blocks else []
        for child in section.children:
            if self._stands_alone(child, question=question):
                drafts += self._flush(pending, here, question=question)
                drafts += self._section(child, here, question=question)
                pending = []
            elif self._size([*_flattened_all(pending), *_flattened(child)]) <= self._config.target_tokens:
                pending.append(child)
            else:
                drafts += self._flush(pending, here, question=question)
                pending = [child]
        drafts += self._flush(pending, here, question=question)
        return self._without_small(drafts, here)

    def _flush(self, pending: Sequence[Section], here: tuple[str, ...], *, question: int) -> list[_Draft]:
        """Several small sections become one passage under their parent; a single one keeps its own heading."""
        if len(pending) == 1 and pending[0].title:
            return self._section(pending[0], here, question=question)
        if len(pending) == 2 and not pending[0].title and self._introduces(pending[0]):  # noqa: PLR2004  a pair
            introduced = _with_introduction(pending[1], pending[0].blocks)
            return self._section(introduced, here, question=question)
        return self._cut(_flattened_all(pending), here, question)

    def _cut(self, blocks: Sequence[Block], path: tuple[str, ...], question: int) -> list[_Draft]:
        return [
            _Draft(path, passage.text, passage.lines, question)
            for passage in cut_blocks(blocks, self._config, self._count)
            if passage.text
        ]

    def _stands_alone(self, section: Section, *, question: int) -> bool:
        if section.kind == "question" and not question:
            return True
        if self._has_standalone(section, question=question):
            return True
        size = self._size(_flattened(section))
        return size > self._config.target_tokens or (
            section.kind in {"heading", "question"} and size >= 2 * self._config.min_tokens
        )

    def _has_standalone(self, section: Section, *, question: int) -> bool:
        """Whether something below must be a chunk of its own, so that the section cannot be one as a whole."""
        if question:
            return False
        return any(
            child.kind == "question"
            or self._has_standalone(child, question=0)
            or (child.kind == "heading" and self._size(_flattened(child)) >= 2 * self._config.min_tokens)
            for child in section.children
        )

    def _without_small(self, drafts: list[_Draft], here: tuple[str, ...]) -> list[_Draft]:
        """Join what is too small with the neighbour before or after it under the same heading."""
        joined: list[_Draft] = []
        for draft in drafts:
            together = self._joined(joined[-1], draft, here) if joined else None
            if together is None:
                joined.append(draft)
            else:
                joined[-1] = together
        return joined

    def _joined(self, first: _Draft, second: _Draft, here: tuple[str, ...]) -> _Draft | None:
        small = [draft for draft in (first, second) if self._count(draft.text) < self._config.min_tokens]
        if not small or any(draft.question > len(here) for draft in (first, second)):
            return None
        if first.path == here:
            # An introduction joins the first sub-section, whose path says more.
            path, text = second.path, f"{first.text}\n\n{second.text}"
        else:
            path = here
            text = "\n\n".join(_under_title(draft, len(here)) for draft in (first, second))
        if self._count(text) > self._config.max_tokens:
            return None
        lines = (min(first.lines[0], second.lines[0]), max(first.lines[1], second.lines[1]))
        return _Draft(path, text, lines, max(first.question, second.question))

    def _introduces(self, section: Section) -> bool:
        """Tell whether the section's own blocks are only a few words that announce its first sub-section."""
        announces = not section.blocks or section.kind == "root" or is_lead(section.blocks[-1])
        return announces and self._size(section.blocks) < self._config.min_tokens

    def _size(self, blocks: Sequence[Block]) -> int:
        return self._count(render(blocks)) if blocks else 0


def _extended(path: tuple[str, ...], title: str) -> tuple[str, ...]:
    return (*path, title) if title and (not path or path[-1] != title) else path


def _with_introduction(section: Section, blocks: Sequence[Block]) -> Section:
    """Put the few words above a section's heading into it: its path says more than that of its parent."""
    return replace(section, blocks=[*blocks, *section.blocks])


def _under_title(draft: _Draft, depth: int) -> str:
    title = " > ".join(draft.path[depth:])
    return f"{_announced(title)}\n{draft.text}" if title else draft.text


def _announced(title: str) -> str:
    return title if title.endswith(tuple(_TITLE_PUNCTUATION)) else f"{title}："


def _flattened_all(sections: Sequence[Section]) -> list[Block]:
    return [block for section in sections for block in _flattened(section, headed=bool(section.title))]


def _flattened(section: Section, *, headed: bool = False) -> list[Block]:
    """List the section's blocks and those below it, sub-headings as lines of text that announce what follows."""
    blocks = [*section.blocks]
    for child in section.children:
        blocks += _flattened(child, headed=True)
    if headed and section.written and section.title:
        blocks.insert(0, Block("paragraph", (Line(_announced(section.written), section.heading_lines[0]),)))
    return blocks


def _chunks(note: Note, drafts: Sequence[_Draft]) -> list[Chunk]:
    seen: Counter[tuple[tuple[str, ...], str]] = Counter()
    chunks = []
    for draft in drafts:
        occurrence = seen[draft.path, draft.text]
        seen[draft.path, draft.text] += 1
        chunks.append(
            Chunk(
                id=chunk_id(note.path, draft.path, draft.text, occurrence),
                note=note.path,
                heading=draft.path,
                text=draft.text,
                lines=draft.lines,
                title=note.title,
                tags=note.tags,
                date=note.date,
                language=_language(draft),
            )
        )
    return chunks


def _language(draft: _Draft) -> str:
    """Take an answer of one word (`QKV`) to be in the language of its question."""
    short = len(draft.text) < _FEW_CHARACTERS and draft.path
    return language_of(f"{draft.path[-1]} {draft.text}" if short else draft.text)
