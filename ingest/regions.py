"""Which parts of a note are not prose: code, displayed and inline mathematics. Nothing rewrites them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_QUOTE = r"[ ]{0,3}(?:>[ \t]?[ ]{0,3})*"
_FENCE = re.compile(rf"^{_QUOTE}(?:[ \t]*(?:[-*+•]|\d{{1,9}}[.)])[ \t]+)?[ \t]*(?P<fence>`{{3,}}|~{{3,}})(?P<info>.*)$")
_MATHS_OPEN = re.compile(r"^[ \t>]*(?:\$\$|\\\[)")

# Inline code; display and inline mathematics by Pandoc's rule for dollars (no space inside, no digit after), and with
# spaces inside only where what stands between them looks like mathematics, so that prices are left alone.
_SPAN = re.compile(
    r"(?P<ticks>(?<!`)`+(?!`)).*?(?<!`)(?P=ticks)(?!`)"
    r"|(?<!\\)\$\$[^$]+?\$\$"
    r"|\\\(.{1,2000}?\\\)|\\\[.{1,2000}?\\\]"
    r"|(?<![\\$])\$(?![\s$])[^$]*?(?<![\s\\])\$(?![\d$])"
    r"|(?<![\\$])\$(?!\$)[^$]{0,400}[\\^_={}][^$]{0,400}?(?<!\\)\$(?![\d$])"
    r"|(?<![\\$])\$ [A-Za-z] \$(?!\$)"
)
_PLACEHOLDER = 0xF0000
_MOST_PLACEHOLDERS = 0xFFFD
_PLACEHOLDERS = re.compile("[\U000f0000-\U000ffffd]")


def code_lines(lines: Sequence[str]) -> frozenset[int]:
    """Return the indices of fenced code, fences included (CommonMark 0.31, 4.5); an unclosed fence runs to the end."""
    inside: set[int] = set()
    fence, quoted = "", False
    for number, line in enumerate(lines):
        match = _FENCE.match(line)
        if not fence:
            if match and not (match["fence"][0] == "`" and "`" in match["info"]):
                fence, quoted = match["fence"], line.lstrip(" ").startswith(">")
                inside.add(number)
            continue
        if quoted and not line.lstrip(" ").startswith(">"):
            fence = ""
            continue
        inside.add(number)
        if match and match["fence"].startswith(fence) and not match["info"].strip():
            fence = ""
    return frozenset(inside)


def maths_lines(lines: Sequence[str], code: frozenset[int]) -> frozenset[int]:
    r"""Return the indices of displayed formulas that span several lines, ``$$`` or ``\[`` and their ends included.

    A formula that is not closed before the next blank line but one, or before code, is not taken for one.
    """
    inside: set[int] = set()
    number = 0
    while number < len(lines):
        end = _maths_end(lines, number, code)
        if end is None:
            number += 1
        else:
            inside.update(range(number, end + 1))
            number = end + 1
    return frozenset(inside)


def _maths_end(lines: Sequence[str], start: int, code: frozenset[int]) -> int | None:
    opening = _MATHS_OPEN.match(lines[start]) if start not in code else None
    if opening is None:
        return None
    close = "$$" if opening.group().endswith("$") else "\\]"
    if close in lines[start][opening.end() :]:
        return None
    blanks = 0
    for number in range(start + 1, len(lines)):
        blanks = blanks + 1 if not lines[number].strip(" \t>") else 0
        if number in code or blanks > 1:
            return None
        if close in lines[number]:
            return number
    return None


def outside_spans(line: str, rewrite: Callable[[str], str]) -> str:
    """Apply ``rewrite`` to a line in which each inline formula and code span is one placeholder character.

    The placeholders are private-use characters of plane 15; others of that plane are dropped from the prose. A span
    that ``rewrite`` drops is gone, one that it keeps comes back as it was.
    """
    spans: list[str] = []
    hidden: list[str] = []
    position = 0
    for match in _SPAN.finditer(line):
        if len(spans) == _MOST_PLACEHOLDERS:
            break
        hidden += [_PLACEHOLDERS.sub("", line[position : match.start()]), chr(_PLACEHOLDER + len(spans))]
        spans.append(match.group())
        position = match.end()
    hidden.append(_PLACEHOLDERS.sub("", line[position:]))
    return _PLACEHOLDERS.sub(lambda match: spans[ord(match.group()) - _PLACEHOLDER], rewrite("".join(hidden)))
