"""Blocks to a tree of sections: which blocks are headings, and what stands under them.

Besides the parser's headings there are those that writers and page scrapers leave in plain paragraphs: numbered
lines, bold lines standing alone, short lines before a body, questions before their answers. They are looked for on
paragraph and list blocks only, after parsing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from ingest.markdown import Block, Line
from ingest.titles import COLON_END, QUESTION_MARK, is_question, number_style, strip_number

SectionKind = Literal["root", "heading", "question", "label"]

_SENTENCE_END = re.compile(r"[。！!；;…?？，,、.][\"'”’」』）)】\]]*$")
_AFTER_LABEL = re.compile(r"\s*(?:[（(][^（）()]*[)）])?\s*[:：]?\s*")
_ASKER = re.compile(r"(?:Q|问|问题|提问|Question)\s*\d{0,3}\s*[:：.、]\s*", re.IGNORECASE)
_ANSWERER = re.compile(r"(?:A|答|回答|答案|解答|Answer)\s*\d{0,3}\s*[:：]\s*", re.IGNORECASE)
_CANNOT_START = re.compile(r"(?:的(?!确)|[，、；。,;)）》」』])")
_ENDS_OPEN = re.compile(r"[\w\u3400-\u9fff]$")
# Numbers that points of an answer carry below a question numbered `1.` or `1、`.
_POINT_STYLES = ("bracketed", "circled")
_MAX_TITLE = 120
_MAX_QUESTION = 160
_MAX_NUMBERED_TITLE = 60
_MAX_SHORT_TITLE = 20
_MAX_LABEL = 60
_LEAST_PROSE = 10
_LEAST_ANSWER = 24


@dataclass(slots=True)
class Section:
    """A heading with the blocks and sub-sections under it.

    ``written`` is the heading as in the note, with its number; empty where the first block begins with it.
    """

    title: str
    kind: SectionKind
    written: str = ""
    heading_lines: tuple[int, int] = (1, 1)
    blocks: list[Block] = field(default_factory=list)
    children: list[Section] = field(default_factory=list)


def read_outline(blocks: Sequence[Block]) -> Section:
    """Build the tree of sections of a note. Every block is in exactly one section, or became its heading."""
    prepared = _split_question_lines(_join_broken_sentences(list(blocks)))
    root = Section("", "root")
    open_headings: list[tuple[_Heading, Section]] = []
    for position, block in enumerate(prepared):
        heading = _heading_at(prepared, position, [other for other, _ in open_headings])
        if heading is None:
            (open_headings[-1][1] if open_headings else root).blocks.append(block)
            continue
        del open_headings[_parent_count(open_headings, heading) :]
        parent = open_headings[-1][1] if open_headings else root
        section = heading.section()
        parent.children.append(section)
        open_headings.append((heading, section))
    _recognise_question_lists(root)
    return root


@dataclass(frozen=True, slots=True)
class _Heading:
    """A heading that was found. ``level`` orders parser headings; the other styles nest by first appearance."""

    written: str
    style: str
    lines: tuple[int, int]
    level: float = 0
    kind: SectionKind = "heading"
    body: Block | None = None

    def section(self) -> Section:
        title = COLON_END.sub("", strip_number(self.written))[:_MAX_TITLE].strip()
        kind: SectionKind = "question" if self.kind == "heading" and is_question(self.written) else self.kind
        if self.body is not None:
            return Section(title, kind, "", self.lines, [self.body])
        return Section(title, kind, self.written, self.lines)


def _parent_count(open_headings: Sequence[tuple[_Heading, Section]], heading: _Heading) -> int:
    """How many of the open headings stay open above ``heading``."""
    if heading.style == "atx":
        return _atx_parent_count(open_headings, heading)
    for index in range(len(open_headings) - 1, -1, -1):
        other, section = open_headings[index]
        if other.style == "atx":
            break
        # A label without text of its own that has sub-headings is their parent, not the next label's sibling.
        if other.style == heading.style and not (heading.style == "label" and not section.blocks):
            return index
    return len(open_headings)


def _atx_parent_count(open_headings: Sequence[tuple[_Heading, Section]], heading: _Heading) -> int:
    for index, (other, section) in enumerate(open_headings):
        if other.style != "atx" or other.level > heading.level:
            return index
        if other.level == heading.level:
            return index + 1 if _adopts(other, section, heading) else index
    return len(open_headings)


def _adopts(other: _Heading, section: Section, heading: _Heading) -> bool:
    """Make an empty heading without a number the parent of numbered ones of its own level right behind it."""
    is_numbered = strip_number(heading.written) != heading.written.strip()
    return is_numbered and strip_number(other.written) == other.written.strip() and not section.blocks


def _heading_at(blocks: Sequence[Block], position: int, above: Sequence[_Heading]) -> _Heading | None:
    block, under_heading = blocks[position], any(heading.style == "atx" for heading in above)
    if block.kind == "heading":
        return _Heading(block.text.replace("\n", " "), "atx", (block.first, block.last), level=block.level)
    if block.points_elsewhere or block.kind not in {"paragraph", "item"}:
        return None
    if block.kind == "item":
        after_question = bool(above) and above[-1].style == "question"
        return _question_item(blocks, position, after_question=after_question) or _item_label(blocks, position)
    if block.depth:
        return None
    return (
        _marked_question(block)
        or _bold_heading(block)
        or _numbered_heading(blocks, position)
        or (None if under_heading else _short_heading(blocks, position))
    )


def _question_item(blocks: Sequence[Block], position: int, *, after_question: bool) -> _Heading | None:
    """``1. 问题？`` with the answer as a quotation below it, or as further paragraphs of the item.

    ``after_question``: it follows an answered one of its kind, so it is a question even if nothing answers it.
    """
    block, following = blocks[position], _next(blocks, position)
    if block.quotes or block.depth != 1 or len(block.text) > _MAX_QUESTION:
        return None
    numbered = block.marker != "-"
    unanswered = after_question and numbered and blocks[position - 1].quotes > 0
    quoted = following is not None and following.quotes > 0 and (numbered or is_question(block.text))
    inside = following is not None and following.depth >= 1 and (following.kind != "item" or following.depth > 1)
    if quoted or unanswered or (inside and QUESTION_MARK.search(block.text)):
        return _Heading(_flat(block), "question", (block.first, block.last), kind="question")
    return None


def _item_label(blocks: Sequence[Block], position: int) -> _Heading | None:
    """Find a list of one bold item before a paragraph outside the list: ``- **名称**``."""
    block, following = blocks[position], _next(blocks, position)
    bold_only = block.strong and COLON_END.sub("", block.text) == COLON_END.sub("", block.strong)
    if not bold_only or following is None or block.depth != 1 or len(block.text) > _MAX_LABEL:
        return None
    if position and blocks[position - 1].kind == "item" and blocks[position - 1].marker[-1:] == block.marker[-1:]:
        return None
    leaves_list = following.depth == 0 and following.kind == "paragraph" and _bold_heading(following) is None
    turns_to_numbers = following.kind == "item" and following.depth == 1 and block.marker == "-" != following.marker
    if leaves_list or turns_to_numbers:
        return _Heading(_flat(block), "label", (block.first, block.last), kind="label")
    return None


def _next(blocks: Sequence[Block], position: int) -> Block | None:
    return blocks[position + 1] if position + 1 < len(blocks) else None


def _marked_question(block: Block) -> _Heading | None:
    """``Q: …`` and ``问：…``, set apart from their answers by `_split_question_lines`."""
    match = _ASKER.match(block.text)
    if match and is_question(block.text[match.end() :]) and len(block.text) <= _MAX_QUESTION:
        return _Heading(_flat(block)[match.end() :], "question", (block.first, block.last), kind="question")
    return None


def _bold_heading(block: Block) -> _Heading | None:
    """``**功能：**``, ``1.**数据准备**：`` and, if numbered, with its text behind it: ``**1. 名称：**适用于…``."""
    strong = block.strong
    number = number_style(block.text)
    if not strong or len(strong) > _MAX_LABEL or "\n" in strong or re.search(r"[。！；]$", strong):
        return None
    title_end = block.text.find(strong) + len(strong)
    after = _AFTER_LABEL.match(block.text, title_end)
    end = after.end() if after else title_end
    style = number or "label"
    if end >= len(block.text):
        kind: SectionKind = "question" if number and is_question(block.text) else "label"
        return _Heading(_flat(block), style, (block.first, block.last), kind=kind)
    closed = strong.endswith((":", "：")) or (after and after.group().strip().endswith((":", "：")))
    if not (number and closed):
        return None
    # The line reads as one sentence, so it stays whole in the body.
    written = block.text[:end].replace("\n", " ")
    return _Heading(written, style, (block.first, block.first), kind="label", body=replace(block, strong=""))


def _numbered_heading(blocks: Sequence[Block], position: int) -> _Heading | None:
    """Find a short numbered line with a body below it; several such lines in a row are a list."""
    block = blocks[position]
    if not _is_numbered_line(block) or not _has_body(blocks, position):
        return None
    style = number_style(block.text)
    if position and _is_numbered_line(blocks[position - 1]) and number_style(blocks[position - 1].text) == style:
        return None
    return _Heading(_flat(block), style, (block.first, block.last))


def _short_heading(blocks: Sequence[Block], position: int) -> _Heading | None:
    """Find a short line alone without closing punctuation, in text that has no real headings, before a longer body."""
    block = blocks[position]
    before = blocks[position - 1] if position else None
    if (
        len(block.lines) > 1
        or block.quotes
        or not 2 <= len(block.text) <= _MAX_SHORT_TITLE  # noqa: PLR2004  one character is no title
        or (_SENTENCE_END.search(block.text) and not QUESTION_MARK.search(block.text))
        or re.search(r"[:：]", COLON_END.sub("", block.text))
        or (before is not None and (_is_unfinished(before) or COLON_END.search(before.text)))
        or not _has_body(blocks, position)
    ):
        return None
    following = blocks[position + 1]
    is_lead = bool(COLON_END.search(block.text) or QUESTION_MARK.search(block.text))
    if not is_lead and len(following.text) <= len(block.text) and not _is_numbered_line(following):
        return None
    kind: SectionKind = "question" if QUESTION_MARK.search(block.text) else "label"
    return _Heading(_flat(block), "lead" if is_lead else "short", (block.first, block.last), kind=kind)


def _is_unfinished(block: Block) -> bool:
    """Prose that stops without punctuation and goes on below (scrapers break sentences at lost inline headings)."""
    is_prose = block.kind == "paragraph" and len(block.text) > _LEAST_PROSE and re.search(r"[,，]", block.text)
    return bool(is_prose) and not _ends_closed(block)


def _ends_closed(block: Block) -> bool:
    return not _ENDS_OPEN.search(block.text)


def _is_numbered_line(block: Block) -> bool:
    return (
        block.kind == "paragraph"
        and block.depth == 0
        and len(block.lines) == 1
        and bool(number_style(block.text))
        and len(block.text) <= _MAX_NUMBERED_TITLE
        and (not _SENTENCE_END.search(block.text) or bool(QUESTION_MARK.search(block.text)))
        and not re.search(r"[:：].", COLON_END.sub("", block.text))
    )


def _has_body(blocks: Sequence[Block], position: int) -> bool:
    """Something other than a heading, a rule or a sibling of the same style follows."""
    if position + 1 >= len(blocks):
        return False
    following = blocks[position + 1]
    if following.kind in {"heading", "rule"}:
        return False
    if _is_numbered_line(following):
        return number_style(following.text) != number_style(blocks[position].text)
    return True


def _flat(block: Block) -> str:
    return block.text.replace("\n", " ")


def _from_offset(block: Block, offset: int) -> Block:
    """Return the rest of a block from a character of its text on."""
    skipped = block.text[:offset].count("\n")
    rest = block.text[offset:].split("\n")
    numbers = [line.number for line in block.lines[skipped:]]
    lines = tuple(Line(text, number) for text, number in zip(rest, numbers, strict=True) if text.strip())
    return replace(block, lines=lines, strong="")


def _recognise_question_lists(section: Section) -> None:
    """Among siblings that are mostly questions, a numbered one without a question mark is one too."""
    headings = [child for child in section.children if child.kind in {"heading", "question"}]
    asked = sum(child.kind == "question" for child in headings)
    for child in headings:
        if asked * 2 >= len(headings) and asked > 1 and strip_number(child.written) != child.written.strip():
            child.kind = "question"
    for child in section.children:
        _recognise_question_lists(child)


def _join_broken_sentences(blocks: list[Block]) -> list[Block]:
    """Put together a sentence that was cut over paragraphs: the next one starts with what cannot start one."""
    joined: list[Block] = []
    for block in blocks:
        if joined and _continues(joined[-1], block):
            middle = joined.pop()
            if joined and _is_plain(joined[-1]) and _is_unfinished(joined[-1]) and len(middle.text) <= _MAX_SHORT_TITLE:
                middle = _joined(joined.pop(), middle)
            joined.append(_joined(middle, block))
        else:
            joined.append(block)
    return joined


def _is_plain(block: Block) -> bool:
    return block.kind == "paragraph" and not block.depth and not block.points_elsewhere


def _continues(before: Block, block: Block) -> bool:
    return (
        _is_plain(before)
        and _is_plain(block)
        and before.quotes == block.quotes
        and not _ends_closed(before)
        and bool(_CANNOT_START.match(block.text))
    )


def _joined(before: Block, after: Block) -> Block:
    return replace(before, lines=(*before.lines, *after.lines))


def _split_question_lines(blocks: Sequence[Block]) -> list[Block]:
    """Set questions apart from the answers that follow in the same paragraph, and take `答：` off the answers."""
    parts: list[Block] = []
    for block in blocks:
        for part in _split_block(block):
            answers = bool(parts) and (_ASKER.match(parts[-1].text) or number_style(parts[-1].text) or parts[-1].marker)
            parts.append(_without_answer_mark(part) if answers else part)
    return parts


def _split_block(block: Block) -> list[Block]:
    if block.kind not in {"paragraph", "item"} or block.points_elsewhere:
        return [block]
    starts = [index for index, line in enumerate(block.lines) if _starts_part(block, index, line.text)]
    if not starts:
        return [block]
    bounds = sorted({0, *starts, len(block.lines)})
    parts = [replace(block, lines=block.lines[i:j]) for i, j in pairwise(bounds)]
    return [part if index == 0 else _as_paragraph(part) for index, part in enumerate(parts)]


def _starts_part(block: Block, index: int, text: str) -> bool:
    """Tell whether this is a question line after an answer, or an answer line after its question."""
    if index and _ANSWERER.match(text):
        return True
    if _ASKER.match(text) and is_question(text):
        return index > 0
    if index and _is_answered_question(block, index):
        return True
    return index > 0 and _is_answered_question(block, index - 1)


def _is_answered_question(block: Block, index: int) -> bool:
    """Tell whether this is a numbered question line with a line below it that is neither numbered nor a question."""
    if index + 1 >= len(block.lines) or (block.kind == "item" and index):
        return False
    line, after = block.lines[index].text, block.lines[index + 1].text
    is_numbered = bool(number_style(line)) or (block.kind == "item" and index == 0)
    states = bool(re.search(r"[。！；.!;]$", after)) or len(after) >= _LEAST_ANSWER
    is_answer = states and number_style(after) in {"", *_POINT_STYLES} and not QUESTION_MARK.search(after)
    asks = QUESTION_MARK.search(line) or (index == 0 and len(line) <= _MAX_NUMBERED_TITLE and is_question(line))
    return is_numbered and bool(asks) and is_answer and number_style(after) != (number_style(line) or "none")


def _as_paragraph(part: Block) -> Block:
    return replace(part, marker="", strong="", kind="paragraph")


def _without_answer_mark(part: Block) -> Block:
    match = _ANSWERER.match(part.text)
    return _from_offset(part, match.end()) if match and part.text[match.end() :].strip() else part
