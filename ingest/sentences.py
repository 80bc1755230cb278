"""Text to sentences, for Chinese and English, without losing a character.

A full stop is only a boundary where the sentence is really over: not inside a formula, inline code or brackets,
not in ``3.14``, ``v1.2``, ``e.g.`` or an initial. Line breaks end a sentence where a list item ends.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import pairwise

_TERMINATOR = re.compile(r"[。！？；…!?]+|\.+")
_CLOSERS = "\"'”’」』）)】]》〉*_"
_SPACES = re.compile(r"\s*")
_VERBATIM = re.compile(
    r"(?P<fence>^```.*?(?:^```[^\n]*$|\Z))|\$\$.+?\$\$|(?<!\$)\$(?!\s)[^$\n]+?(?<!\s)\$(?!\$)|(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)",
    re.DOTALL | re.MULTILINE,
)
_ADDRESS = re.compile(r"(?:https?://|www\.)[^\s，。；、）)】》”]+")
_BRACKETS = {"（": "）", "(": ")", "【": "】", "[": "]", "《": "》", "“": "”", "「": "」", "『": "』"}
# A bracket that is not closed within this many characters was never meant to hold a sentence together.
_BRACKET_REACH = 200
# Marks further apart than this enclose no formula or code that anyone could read.
_VERBATIM_REACH = 8000
_ITEM_START = re.compile(r"[ \t>]*(?:[-*+•❖]\s|\(?\d{1,3}[.)、）]|（\d{1,3}）|[①-⑳]|\|)")
_ABBREVIATION = re.compile(
    r"(?:^|[^A-Za-z])(?:e\.g|i\.e|etc|vs|cf|al|Fig|Figs|Eq|Eqs|Sec|Ch|No|Nos|Vol|pp|Dr|Mr|Mrs|Ms|Prof|St|Jr|Sr|approx|resp"
    r"|[A-Z]|(?:[A-Za-z]\.)+[A-Za-z])$"
)
_LIST_NUMBER = re.compile(r"(?:^|\n)[ \t>]*\d{1,3}$")


def split_sentences(text: str) -> list[str]:
    """Cut ``text`` after each sentence; the pieces joined give the text back, none of them is empty.

    White space after a sentence belongs to it, as do its closing quotes and brackets.
    """
    shielded = _shielded_spans(text)
    cuts = sorted({*_punctuation_cuts(text, shielded), *_line_cuts(text, shielded)})
    bounds = [0, *(cut for cut in cuts if 0 < cut < len(text)), len(text)]
    return [text[start:end] for start, end in pairwise(bounds) if end > start]


def verbatim_spans(text: str) -> list[tuple[int, int]]:
    """Where formulas, code and web addresses stand in ``text``: what must never be cut or counted as prose."""
    spans = [match.span() for pattern in (_VERBATIM, _ADDRESS) for match in pattern.finditer(text)]
    return _merge([(start, end) for start, end in spans if end - start <= _VERBATIM_REACH])


def _shielded_spans(text: str) -> list[tuple[int, int]]:
    verbatim = verbatim_spans(text)
    return _merge(verbatim + _bracket_spans(text, verbatim))


def _bracket_spans(text: str, verbatim: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Outermost bracketed spans that stay on one line and are short enough to belong to one sentence."""
    spans: list[tuple[int, int]] = []
    stack: list[tuple[str, int]] = []
    for position, character in enumerate(text):
        if _inside(position, verbatim):
            continue
        if character == "\n":
            stack.clear()
        elif character in _BRACKETS:
            stack.append((_BRACKETS[character], position))
        elif stack and character == stack[-1][0]:
            _, start = stack.pop()
            if position - start <= _BRACKET_REACH:
                spans.append((start, position + 1))
    return spans


def _merge(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _inside(position: int, spans: list[tuple[int, int]]) -> bool:
    index = bisect_right(spans, (position, len(spans) and spans[-1][1] + 1)) - 1
    return index >= 0 and spans[index][0] <= position < spans[index][1]


def _punctuation_cuts(text: str, shielded: list[tuple[int, int]]) -> list[int]:
    cuts = []
    span_ends = {end for _, end in shielded}
    for match in _TERMINATOR.finditer(text):
        if not _inside(match.start(), shielded) and _ends_sentence(text, match):
            cuts.append(_after_closers(text, match.end()))
        elif match.end() + 1 in span_ends and _ends_quotation(text, match.end()):
            cuts.append(_after_closers(text, match.end() + 1))
    return [cut for cut in cuts if not (_inside(cut - 1, shielded) and _inside(cut, shielded)) or cut in span_ends]


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    after = text[match.end() : match.end() + 1]
    mark = match.group()
    if mark.startswith("."):
        return _full_stop_ends(text, match.start(), after, len(mark))
    if mark[-1] in "!?":
        # `a != b`, `?query=1`: an ASCII mark ends a sentence only before a space, a closer or Chinese.
        return not after or not after.isascii() or after.isspace() or after in _CLOSERS
    return True


def _full_stop_ends(text: str, start: int, after: str, dots: int) -> bool:
    if after and not after.isspace() and after not in _CLOSERS:
        return False
    before = text[max(0, start - 24) : start]
    if not before or before[-1].isspace():
        return False
    return dots > 1 or not (_ABBREVIATION.search(before) or _LIST_NUMBER.search(before))


def _ends_quotation(text: str, end: int) -> bool:
    """Tell whether ``“…。”`` ends a sentence: the mark stands right before the closing quote and nothing goes on."""
    if text[end] not in _CLOSERS or text[end - 1] not in "。！？!?.":
        return False
    after = text[end + 1 : end + 2]
    return not after or after == "\n" or (after.isspace() and text[end] in '"”’')


def _after_closers(text: str, end: int) -> int:
    while end < len(text) and text[end] in _CLOSERS:
        end += 1
    match = _SPACES.match(text, end)
    return match.end() if match and match.end() < len(text) else len(text) if match else end


def _line_cuts(text: str, shielded: list[tuple[int, int]]) -> list[int]:
    """After a blank line, and before a line that starts a list item or a table row."""
    cuts = []
    for match in re.finditer(r"\n", text):
        if _inside(match.start(), shielded):
            continue
        blank = re.compile(r"[ \t]*\n").match(text, match.end())
        if blank or _ITEM_START.match(text, match.end()):
            cuts.append(blank.end() if blank else match.end())
    return cuts
