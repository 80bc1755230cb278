"""Questions without answers: lists of interview questions, empty headings, answers that are only a link.

Such text matches a question perfectly and answers nothing, so it must not become a chunk. What is taken out is
reported (`LeftOut`), never dropped in silence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from ingest.markdown import Block, Line
from ingest.outline import Section
from ingest.titles import asks_plainly, is_question

EMPTY_HEADING: Final = "heading without a body"
UNANSWERED: Final = "question without an answer"
POINTER: Final = "only links, embeds or images"

_NUMBERED = re.compile(r"\s*(?:[-*•]\s*)?(?:[(（]?\d{1,3}(?:\.\d{1,3})*[.、．)）]?|[一二三四五六七八九十]+、)\s*(?=\S)")
_FINISHED = re.compile(r"[。！!；;…?？.][\"'”’」』)）】\]]*$")
_GLUED = re.compile(r"(?<=[?？])(?=\s*\S)")
_TOPIC_CHARACTERS = 24
_NUMBERED_TOPIC_CHARACTERS = 48
_LEAST_RUN = 3


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Lines of a note's file (1-based, inclusive) that are in no chunk, and why."""

    lines: tuple[int, int]
    reason: str


def take_out_answerless(section: Section) -> list[LeftOut]:
    """Remove from ``section`` (in place, with everything below it) what answers nothing; say what it was."""
    left_out = [LeftOut((block.first, block.last), POINTER) for block in section.blocks if block.points_elsewhere]
    section.blocks = [block for block in section.blocks if not block.points_elsewhere and block.kind != "rule"]
    left_out += _take_out_question_lists(section)
    for child in section.children:
        left_out += take_out_answerless(child)
    for child in section.children:
        if not child.blocks and not child.children:
            reason = UNANSWERED if child.kind == "question" or is_question(child.title) else EMPTY_HEADING
            left_out.append(LeftOut(child.heading_lines, reason))
    section.children = [child for child in section.children if child.blocks or child.children]
    return sorted(left_out, key=lambda gap: gap.lines)


def only_questions(text: str) -> bool:
    """Tell whether every line of ``text`` is a question or a bare topic, and enough are questions."""
    counts = _count(_entries(text.split("\n")))
    return counts.answers == 0 and counts.questions >= max(1, counts.topics)


def _take_out_question_lists(section: Section) -> list[LeftOut]:
    kept: list[Block] = []
    left_out: list[LeftOut] = []
    for run in _runs(section.blocks):
        whole = len(run) == len(section.blocks) and not section.children
        counts = _block_counts(run)
        enough = counts.questions >= (1 if whole else _LEAST_RUN)
        if counts.answers == 0 and enough and counts.questions >= counts.topics:
            left_out.append(LeftOut((run[0].first, run[-1].last), UNANSWERED))
        else:
            kept += run
    kept, unfinished = _without_trailing_question(kept)
    section.blocks = kept
    return left_out + unfinished


def _runs(blocks: Sequence[Block]) -> list[list[Block]]:
    """Neighbouring blocks without an answer together, every block with one by itself."""
    runs: list[list[Block]] = []
    open_run = False
    for block in blocks:
        answers = _block_counts([block]).answers > 0
        if open_run and not answers:
            runs[-1].append(block)
        else:
            runs.append([block])
        open_run = not answers
    return runs


def _without_trailing_question(blocks: list[Block]) -> tuple[list[Block], list[LeftOut]]:
    """Drop a numbered question at the end of a list of statements: nothing answers it."""
    if len(blocks) > 1:
        last, before = blocks[-1], blocks[-2]
        if (
            last.kind == before.kind == "item"
            and last.depth <= before.depth
            and last.marker != "-"
            and _block_counts([last]).answers == 0
            and asks_plainly(last.text)
        ):
            return blocks[:-1], [LeftOut((last.first, last.last), UNANSWERED)]
    return blocks, []


@dataclass(slots=True)
class _Counts:
    questions: int = 0
    topics: int = 0
    answers: int = 0


def _block_counts(blocks: Sequence[Block]) -> _Counts:
    total = _Counts()
    for block in blocks:
        if block.kind in {"code", "formula", "table"}:
            total.answers += 1
            continue
        marked = _with_marker(block)
        counts = _count(_entries([line.text for line in marked.lines]))
        total.questions += counts.questions
        total.topics += counts.topics
        total.answers += counts.answers
    return total


def _with_marker(block: Block) -> Block:
    if not block.marker:
        return block
    first = block.lines[0]
    return replace(block, lines=(Line(f"{block.marker} {first.text}", first.number), *block.lines[1:]))


def _count(entries: Sequence[str]) -> _Counts:
    counts = _Counts()
    for entry in entries:
        if _is_question_entry(entry):
            counts.questions += 1
        elif _is_topic(entry):
            counts.topics += 1
        else:
            counts.answers += 1
    return counts


def _entries(lines: Sequence[str]) -> list[str]:
    """Lines to list entries: a question cut over two lines is one, several questions glued in a line are several."""
    joined: list[str] = []
    for line in lines:
        if not line.strip():
            continue
        continues = joined and not _NUMBERED.match(line) and _is_cut_off(joined[-1])
        if continues:
            joined[-1] += line.strip()
        else:
            joined.append(line.strip())
    return [entry.strip() for line in joined for entry in _GLUED.split(line) if entry.strip(" 、，,")]


def _is_cut_off(entry: str) -> bool:
    """Tell whether a numbered line stops in the middle: it may go on in the next line."""
    return bool(_NUMBERED.match(entry)) and not _FINISHED.search(entry)


def _is_question_entry(entry: str) -> bool:
    words = _NUMBERED.sub("", entry, count=1)
    statement = re.search(r"[。！；]", words)
    return statement is None and asks_plainly(words)


def _is_topic(entry: str) -> bool:
    """Tell whether a line names something and says nothing of it."""
    words = _NUMBERED.sub("", entry, count=1)
    limit = _NUMBERED_TOPIC_CHARACTERS if words != entry else _TOPIC_CHARACTERS
    return len(words) <= limit and not _FINISHED.search(words)
