"""A note's source to the text that is read, searched and cited: line by line, so that line numbers stay the file's.

The way of a note, in order: front matter out; comments out; characters, formulas and marks put right; what is only for
a program or for the eye out; pointers and page furniture out; broken sentences joined. Code and mathematics are never
touched. A pass is repeated until it changes nothing, so that cleaning what is clean changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from index.schema import Note
from ingest.characters import tidy_characters, tidy_punctuation, tidy_spacing
from ingest.formulas import has_tripled_formula, single_formulas
from ingest.front_matter import front_matter_lines
from ingest.furniture import furniture_lines
from ingest.html import html_to_text
from ingest.joining import join_broken
from ingest.markup import (
    balance_bold,
    callout_title,
    drop_comments,
    drop_links,
    drop_markup,
    is_rule,
    split_line,
    tidy_marks,
)
from ingest.pointers import drop_inline_pointers, pointer_lines
from ingest.regions import code_lines, maths_lines, outside_spans

CLEAN_VERSION = 1
"""Raise it with every change that alters cleaned text: it is part of a snapshot's fingerprint."""

HTML_SUFFIXES = frozenset({".html", ".htm"})

_MOST_PASSES = 12


@dataclass(frozen=True, slots=True)
class CleanText:
    """Cleaned lines and, for each, the line of the note's file (1-based) it came from; both have the same length."""

    lines: tuple[str, ...]
    source_lines: tuple[int, ...]


def clean_note(note: Note) -> CleanText:
    """Clean a note: a page by way of its extracted text, everything else as it stands."""
    suffix = PurePosixPath(note.path).suffix.lower()
    if suffix in HTML_SUFFIXES:
        text, source_lines = html_to_text(note.text)
        return CleanText(tuple(clean(text, suffix=suffix).split("\n")), source_lines)
    lines = tuple(clean(note.text, suffix=suffix).split("\n"))
    return CleanText(lines, tuple(range(1, len(lines) + 1)))


def clean(text: str, *, suffix: str = ".md") -> str:
    """Clean a note's text; line i of the result is what is left of line i, and dropped lines are empty.

    Lines are what line feeds separate. ``suffix`` is the file's: text extracted from a page (``.html``) has no front
    matter. A sentence broken over blank lines moves to the first of its lines. ``clean(clean(x)) == clean(x)``.
    """
    lines = text.split("\n")
    for _ in range(_MOST_PASSES):
        cleaned = _clean_once(lines, page=suffix in HTML_SUFFIXES)
        if cleaned == lines:
            break
        lines = cleaned
    return "\n".join(lines)


def _clean_once(source: Sequence[str], *, page: bool) -> list[str]:
    blanked = 0 if page else front_matter_lines(source)
    lines = [""] * blanked + list(source[blanked:])
    lines = drop_comments(lines, _kept(lines))
    kept = _kept(lines)
    _each(lines, kept, tidy_characters)
    tripled = any(_has_tripled(line) for number, line in enumerate(lines) if number not in kept)
    _each(lines, kept, lambda line: single_formulas(line, trust_plain=tripled))
    _each(lines, kept, _clean_line)
    _empty(lines, pointer_lines([_mark_and_body(line, number in kept) for number, line in enumerate(lines)]))
    _each(lines, kept, _unlink)
    _empty(lines, furniture_lines(["```" if number in kept else line for number, line in enumerate(lines)]))
    return join_broken(lines, kept)


def _kept(lines: Sequence[str]) -> frozenset[int]:
    code = code_lines(lines)
    return code | maths_lines(lines, code)


def _each(lines: list[str], kept: Collection[int], rewrite: Callable[[str], str]) -> None:
    for number, line in enumerate(lines):
        if line and number not in kept:
            lines[number] = outside_spans(line, rewrite)


def _empty(lines: list[str], dropped: Collection[int]) -> None:
    for number in dropped:
        lines[number] = split_line(lines[number])[0].rstrip(" ")


def _has_tripled(line: str) -> bool:
    found = False

    def look(prose: str) -> str:
        nonlocal found
        found = has_tripled_formula(prose)
        return prose

    outside_spans(line, look)
    return found


def _clean_line(line: str) -> str:
    if is_rule(line):
        return line.rstrip(" \t")
    quote, indent, mark, body = split_line(tidy_marks(line))
    before = body.strip(" \t")
    body = callout_title(before) if quote and not mark else before
    body = drop_markup(body).strip(" \t")
    body = balance_bold(tidy_punctuation(tidy_spacing(body)))
    if before and not body:
        return quote.rstrip(" ")
    return f"{quote}{indent}{mark}{' ' if mark else ''}{body}".rstrip(" \t")


def _unlink(line: str) -> str:
    quote, indent, mark, body = split_line(line)
    lead = body[: len(body) - len(body.lstrip(" \t"))]
    kept = drop_inline_pointers(drop_links(body.strip(" \t"))).strip(" \t")
    if body.strip(" \t") and not kept:
        return quote.rstrip(" ")
    return f"{quote}{indent}{mark}{lead}{kept}".rstrip(" \t")


def _mark_and_body(line: str, is_kept: bool) -> tuple[str, str]:
    if is_kept:
        return "", "```"
    _, _, mark, body = split_line(line)
    return mark, body.strip(" \t")
