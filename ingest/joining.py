"""Sentences that a copy broke over blank lines: an inline element (a link, a formula) became its own paragraph."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

# A paragraph that may be part of a sentence: no heading, list, quotation, table, displayed formula or code.
_PLAIN = re.compile(r"^(?![ \t#>|\-*+]|```|~~~|\$\$|\d{1,3}[.)、．]|[(（]\d{1,3}[)）])")
_CLOSED = re.compile(r"[。！？；：.!?;:…][”\"’'）)】」*]*$")
_PUNCTUATION_FIRST = re.compile(r"^(?:[，；、。）,;](?!\s*$)|[，；、。）])")
# Particles that follow what they belong to; beside them stand the words that begin with the same character.
_PARTICLE_FIRST = re.compile(
    r"^(?:的(?![士确话])|地(?![理址图区点方球铁面位下板名形质域狱震毯道])|得(?![分票到出知以当失了意益罪体]))"
)
_LONGEST_FRAGMENT = 16
_SHORTEST_LEAD = 6


def join_broken(lines: Sequence[str], kept: Collection[int]) -> list[str]:
    """Join ``lead / fragment / rest`` where the rest begins as no paragraph can; ``kept`` lines (code) are left alone.

    The lead is open (no closing mark at its end), the fragment short, and the rest begins with a particle or with a
    mark that closes; with such a mark it joins the lead directly too. The text moves to the lead's line, the others
    become empty.
    """
    result = list(lines)
    single = list(_single_line_paragraphs(lines, kept))
    index = len(single) - 1
    while index > 0:
        start = _start_of_sentence(result, single, index)
        if start is None:
            index -= 1
            continue
        parts = single[start : index + 1]
        result[parts[0]] = _glue([result[part] for part in parts])
        for part in parts[1:]:
            result[part] = ""
        del single[start + 1 : index + 1]
        index = start  # what was joined may itself go on with the paragraph before it
    return result


def _start_of_sentence(lines: Sequence[str], single: Sequence[int], index: int) -> int | None:
    rest = lines[single[index]]
    if (
        index >= 1
        and _PUNCTUATION_FIRST.match(rest)
        and _follows(lines, single, index)
        and _open(lines[single[index - 1]])
    ):
        between = len(lines[single[index - 1]]) <= _LONGEST_FRAGMENT
        if between and index > 1 and _follows(lines, single, index - 1) and _leads(lines[single[index - 2]]):
            return index - 2
        return index - 1
    if index > 1 and _PARTICLE_FIRST.match(rest) and _follows(lines, single, index):
        fragment = lines[single[index - 1]]
        short = len(fragment) <= _LONGEST_FRAGMENT and _open(fragment)
        if short and _follows(lines, single, index - 1) and _leads(lines[single[index - 2]]):
            return index - 2
    return None


def _single_line_paragraphs(lines: Sequence[str], kept: Collection[int]) -> Iterator[int]:
    for number, line in enumerate(lines):
        alone = not "".join(lines[max(0, number - 1) : number]) and not "".join(lines[number + 1 : number + 2])
        if line and alone and number not in kept and _PLAIN.match(line):
            yield number


def _follows(lines: Sequence[str], single: Sequence[int], index: int) -> bool:
    """Whether nothing stands between a paragraph and the one before it in ``single``."""
    return not any(lines[single[index - 1] + 1 : single[index]])


def _open(text: str) -> bool:
    return not _CLOSED.search(text)


def _leads(text: str) -> bool:
    return len(text) >= _SHORTEST_LEAD and _open(text)


def _glue(parts: Sequence[str]) -> str:
    text = parts[0]
    for part in parts[1:]:
        latin = text[-1:].isascii() and text[-1:].isalnum() and part[:1].isascii() and part[:1].isalnum()
        text += (" " if latin else "") + part
    return text
