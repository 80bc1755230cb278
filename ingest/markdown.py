"""Markdown to a flat list of blocks with clean text, on the CommonMark parser markdown-it-py.

What a block is (heading, list item, code, formula, table …) is the parser's decision, never that of a pattern over
lines: ``#`` in code is no heading. Emphasis marks, links' addresses, images and HTML tags are taken out of the
text; code and formulas stay as they were written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Delimiter
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.dollarmath.index import math_block_dollar
from mdit_py_plugins.front_matter import front_matter_plugin

from ingest.inline import InlineText, html_text

BlockKind = Literal["heading", "paragraph", "item", "code", "formula", "table", "rule"]

_INDENTED_CODE = re.compile(
    r"[=(){}\[\];]|^\s*(?:def|class|import|from|for|if|return|func|fn|let|var|const)\b", re.MULTILINE
)
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_MAX_SETEXT_CHARACTERS = 80
# The preset drops what is nested deeper than twenty levels, which a list of ten levels is.
_MOST_NESTED = 120


@dataclass(frozen=True, slots=True)
class Line:
    """One line of rendered text and the 1-based line of the note's file that it comes from."""

    text: str
    number: int


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a note, in reading order.

    ``level`` is a heading's (1-6), ``depth`` the number of lists around the block, ``quotes`` of blockquotes;
    ``marker`` the list marker of an item's first paragraph (``-`` or ``3.``); ``strong`` the bold text that the block
    starts with; ``language`` a code fence's. ``points_elsewhere``: nothing but links, embeds or images is in it.
    """

    kind: BlockKind
    lines: tuple[Line, ...]
    level: int = 0
    depth: int = 0
    quotes: int = 0
    marker: str = ""
    strong: str = ""
    language: str = ""
    points_elsewhere: bool = False

    @property
    def text(self) -> str:
        """The rendered lines, without list marker and indentation."""
        return "\n".join(line.text for line in self.lines)

    @property
    def first(self) -> int:
        """First source line."""
        return self.lines[0].number

    @property
    def last(self) -> int:
        """Last source line."""
        return self.lines[-1].number


def read_blocks(lines: Sequence[str], source_lines: Sequence[int]) -> list[Block]:
    """Parse ``lines``; ``source_lines`` (same length) are their 1-based line numbers in the note's file.

    Empty blocks are left out, except those that held only images, links or embeds (``points_elsewhere``).
    """
    tokens = _parser().parse("\n".join(lines))
    return _Walk(source_lines).blocks(tokens)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True, "maxNesting": _MOST_NESTED}).enable(["table", "strikethrough"])
    parser.use(front_matter_plugin)
    parser.use(dollarmath_plugin, allow_labels=False, allow_digits=False, double_inline=True)
    # A display formula may follow a line of text directly; the plugin would make it part of the paragraph.
    parser.block.ruler.at("math_block", _display_formula, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    parser.inline.ruler.at("emphasis", _emphasis_beside_chinese)
    return parser


_dollar_block = math_block_dollar(allow_labels=False, allow_blank_lines=False)


def _display_formula(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Apply the plugin's rule, which knows no ``silent`` (by which markdown-it asks whether a paragraph ends)."""
    tokens, line = len(state.tokens), state.line
    found: bool = _dollar_block(state, start, end, silent)
    if silent:
        del state.tokens[tokens:]
        state.line = line
    return found


def _emphasis_beside_chinese(state: StateInline, silent: bool) -> bool:
    """CommonMark's emphasis rule, but ``**名称：**正文`` closes.

    CommonMark 0.31 section 6.2 lets a run behind punctuation close only before a space or punctuation; Chinese is
    written without spaces, so a Chinese neighbour counts as one (as in the markdown-cjk-friendly amendment).
    """
    marker = state.src[state.pos]
    if silent or marker not in "*_":
        return False
    scanned = state.scanDelims(state.pos, marker == "*")
    end = state.pos + scanned.length
    before, after = state.src[state.pos - 1 : state.pos] or " ", state.src[end : end + 1] or " "
    beside_chinese = marker == "*" and (not before.isascii() or not after.isascii())
    for _ in range(scanned.length):
        token = state.push("text", "", 0)
        token.content = marker
        state.delimiters.append(
            Delimiter(
                marker=ord(marker),
                length=scanned.length,
                token=len(state.tokens) - 1,
                end=-1,
                open=scanned.can_open or (beside_chinese and not after.isspace()),
                close=scanned.can_close or (beside_chinese and not before.isspace()),
            )
        )
    state.pos = end
    return True


class _Walk:
    """One pass over the parser's tokens; knows in which lists and quotes it stands."""

    def __init__(self, source_lines: Sequence[int]) -> None:
        self._source_lines = source_lines
        self._quotes = 0
        self._lists: list[_List] = []
        self._blocks: list[Block] = []
        self._marker = ""
        self._kind: BlockKind = "paragraph"
        self._level = 0

    def blocks(self, tokens: Sequence[Token]) -> list[Block]:
        handlers = self._handlers()
        for token in tokens:
            handler = handlers.get(token.type)
            if handler is not None:
                handler(token)
        return self._blocks

    def _handlers(self) -> dict[str, Callable[[Token], None]]:
        return {
            "blockquote_open": lambda _: self._quote(1),
            "blockquote_close": lambda _: self._quote(-1),
            "bullet_list_open": lambda _: self._lists.append(_List(None)),
            "ordered_list_open": lambda token: self._lists.append(_List(int(token.attrs.get("start", 1)))),
            "bullet_list_close": lambda _: self._close_list(),
            "ordered_list_close": lambda _: self._close_list(),
            "list_item_open": self._open_item,
            "heading_open": self._open_heading,
            "heading_close": lambda _: self._open("paragraph"),
            "tr_open": lambda _: self._open("table"),
            "tr_close": lambda _: self._open("paragraph"),
            "table_open": self._open_table,
            "inline": self._inline,
            "fence": self._fence,
            "code_block": self._indented,
            "math_block": self._formula,
            "html_block": self._html,
            "hr": lambda token: self._add("rule", ["---"], token),
        }

    def _quote(self, step: int) -> None:
        self._quotes += step

    def _open(self, kind: BlockKind) -> None:
        self._kind = kind

    def _close_list(self) -> None:
        self._lists.pop()
        self._marker = ""

    def _open_item(self, _: Token) -> None:
        self._marker = self._lists[-1].next_marker()

    def _open_heading(self, token: Token) -> None:
        self._level = int(token.tag[1:])
        setext = token.markup in {"=", "-"}
        length = (token.map[1] - token.map[0]) if token.map else 1
        # Text above a dashed line is a heading only if it looks like one; scraped pages rule off their paragraphs.
        self._kind = "paragraph" if setext and length > 2 else "heading"  # noqa: PLR2004  the line and its underline

    def _open_table(self, token: Token) -> None:
        self._add("table", [], token, allow_empty=True)

    def _inline(self, token: Token) -> None:
        text = InlineText(token.children or [])
        if self._kind == "table":
            self._table_cell(token, text)
            return
        kind, level = self._kind, self._level
        if kind == "heading" and len(text.plain) > _MAX_SETEXT_CHARACTERS * 2:
            kind = "paragraph"
        if kind == "paragraph" and self._marker:
            kind = "item"
        self._add(
            kind,
            text.lines,
            token,
            level=level if kind == "heading" else 0,
            strong=text.strong,
            points_elsewhere=text.points_elsewhere,
        )

    def _table_cell(self, token: Token, text: InlineText) -> None:
        number = self._number(token.map[0] if token.map else 0)
        table = self._blocks[-1]
        cell = " ".join(line.strip() for line in text.lines).replace("|", "\\|")
        if table.lines and table.lines[-1].number == number:
            row = Line(f"{table.lines[-1].text} {cell} |", number)
            lines = (*table.lines[:-1], row)
        else:
            lines = (*table.lines, Line(f"| {cell} |", number))
        self._blocks[-1] = replace(table, lines=lines)

    def _fence(self, token: Token) -> None:
        language = token.info.strip().split()[0] if token.info.strip() else ""
        self._add("code", token.content.rstrip("\n").split("\n"), token, skip=1, language=language)

    def _indented(self, token: Token) -> None:
        if _INDENTED_CODE.search(token.content) or not _HAN.search(token.content):
            self._add("code", token.content.rstrip("\n").split("\n"), token)
            return
        # Prose that is only indented: scraped pages and first-line indents.
        first = token.map[0] if token.map else 0
        dedented = [line.strip() for line in token.content.rstrip("\n").split("\n")]
        inner = read_blocks(dedented, [self._number(first + offset) for offset in range(len(dedented))])
        self._blocks += [
            replace(block, depth=block.depth + len(self._lists), quotes=self._quotes + block.quotes) for block in inner
        ]

    def _formula(self, token: Token) -> None:
        self._add("formula", ["$$", *token.content.strip("\n").split("\n"), "$$"], token)

    def _html(self, token: Token) -> None:
        self._add("paragraph", html_text(token.content).split("\n"), token)

    def _number(self, index: int) -> int:
        return self._source_lines[min(index, len(self._source_lines) - 1)]

    def _add(
        self,
        kind: BlockKind,
        texts: Sequence[str],
        token: Token,
        *,
        skip: int = 0,
        level: int = 0,
        strong: str = "",
        language: str = "",
        points_elsewhere: bool = False,
        allow_empty: bool = False,
    ) -> None:
        first, end = token.map or (0, 1)
        last = max(first, end - 1)
        numbered = [Line(text, self._number(min(first + skip + i, last))) for i, text in enumerate(texts)]
        lines = numbered if kind in {"code", "formula"} else [line for line in numbered if line.text.strip()]
        if not lines and not points_elsewhere and not allow_empty:
            return
        if not lines and points_elsewhere:
            lines = [Line("", self._number(first))]
        self._blocks.append(
            Block(
                kind,
                tuple(lines),
                level=level,
                depth=len(self._lists),
                quotes=self._quotes,
                marker=self._marker if kind == "item" else "",
                strong=strong,
                language=language,
                points_elsewhere=points_elsewhere,
            )
        )
        self._marker = ""


class _List:
    """A list that is open: its next number, or None for bullets."""

    def __init__(self, start: int | None) -> None:
        self._next = start

    def next_marker(self) -> str:
        if self._next is None:
            return "-"
        self._next += 1
        return f"{self._next - 1}."
