"""Whether a passage holds a quote: the reference scorer's rule (../shared/eval/README.md), character for character.

Both are reduced to their letters and digits, so that cleaning markup or joining lines cannot change a score. A passage
holds a quote if the two share a run of at least 60 % of the quote's characters, and no fewer than 8.
"""

from __future__ import annotations

import bisect
import itertools
import math
import unicodedata
from collections.abc import Sequence

MAX_CHARS = 2_000
"""A passage is cut to so many characters before it is judged: returning a whole note wins nothing."""

_SHARE = 0.60
_FLOOR = 8
# The radicals that the reference maps. index/normalise.py maps more; a score must not depend on that.
_RADICALS = str.maketrans(
    {
        "⻓": "长", "⻔": "门", "⻅": "见", "⻆": "角", "⻉": "贝", "⻋": "车", "⻘": "青", "⻚": "页", "⻛": "风",
        "⻜": "飞", "⻝": "食", "⻢": "马", "⻣": "骨", "⻤": "鬼", "⻥": "鱼", "⻦": "鸟", "⻩": "黄", "⻬": "齐",
        "⻮": "齿", "⻰": "龙", "⺠": "民", "⺟": "母", "⻁": "虎", "⻄": "西", "⻨": "麦", "⻫": "齐",
        "⻑": "长", "⺎": "兀", "⺄": "乙", "⺒": "巳", "⺓": "幺",
    }
)  # fmt: skip


def normalised(text: str) -> str:
    """NFKC, radicals as characters, case-folded, and of that only letters and digits."""
    folded = unicodedata.normalize("NFKC", text).translate(_RADICALS).casefold()
    return "".join(character for character in folded if unicodedata.category(character)[0] in "LN")


def holds(passage: str, quote: str) -> bool:
    """Whether a passage holds a quote; both as they stand, the passage already cut."""
    return _shares_run(normalised(passage), normalised(quote))


def groups_held(passages: Sequence[str], groups: Sequence[Sequence[str]]) -> list[frozenset[int]]:
    """For each passage the positions of those groups of which it holds some quote."""
    quotes = [[normalised(quote) for quote in group] for group in groups]
    return [
        frozenset(
            position for position, group in enumerate(quotes) if any(_shares_run(passage, quote) for quote in group)
        )
        for passage in map(normalised, passages)
    ]


class PassageSearch:
    """All passages of an index at once: which of them hold some quote. Build once, ask for every question."""

    _GAP = " "  # normalised text has no spaces, so no run reaches from one passage into the next

    def __init__(self, passages: Sequence[str]) -> None:
        texts = [normalised(passage[:MAX_CHARS]) for passage in passages]
        self._text = self._GAP.join(texts)
        self._starts = [0, *itertools.accumulate(len(text) + 1 for text in texts)][: len(texts)]

    def holding(self, quote: str) -> set[int]:
        """Rows of the passages that hold a quote."""
        wanted, found = normalised(quote), set()
        length = _run_length(wanted)
        for run in {wanted[start : start + length] for start in range(len(wanted) - length + 1)} - {""}:
            place = self._text.find(run)
            while place >= 0:
                row = bisect.bisect_right(self._starts, place) - 1
                found.add(row)
                following = self._starts[row + 1] if row + 1 < len(self._starts) else len(self._text)
                place = self._text.find(run, following)
        return found


def fact_recall(key_facts: Sequence[Sequence[str]], answer: str) -> float | None:
    """Share of the facts of which the answer holds some spelling, as a substring; None where there are no facts."""
    said = normalised(answer)
    found = [any(spelling in said for spelling in map(normalised, spellings) if spelling) for spellings in key_facts]
    return sum(found) / len(found) if found else None


def _shares_run(passage: str, quote: str) -> bool:
    length = _run_length(quote)
    return any(quote[start : start + length] in passage for start in range(len(quote) - length + 1))


def _run_length(quote: str) -> int:
    return min(len(quote), max(_FLOOR, math.ceil(_SHARE * len(quote))))
