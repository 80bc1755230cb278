"""Markup that is for another program or for the eye: Obsidian, Hexo, CSDN, images, inline HTML, broken list marks.

Every function takes one line (or all lines) and returns the same number of lines; what is dropped leaves an empty one.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Sequence

from ingest.characters import HAN

# A line is its quote marks, its indentation, its list mark or heading mark, and its body.
_LINE = re.compile(
    r"^(?P<quote>[ ]{0,3}>(?:[ ]?[ ]{0,3}>)*(?:[ ]|(?=\S)|(?=\t)|$))?(?P<indent>[ \t]*)"
    r"(?P<mark>#{1,6}(?=[ \t]|$)|(?:[-*+]|\d{1,9}[.)])(?=[ \t]+\S))?(?P<body>.*)$"
)
_BULLET = re.compile(r"^(?:[❖•●○◦‣⁃▪▫■◆◇►▸➢➤✦⬥◉](?![❖•●○◦‣⁃▪▫■◆◇►▸➢➤✦⬥◉])[ \t]*|[·□▶※][ \t]+)(?=\S)")
_TIGHT_NUMBER = re.compile(rf"^(\d{{1,2}}[.)])(?=\*\*|[{HAN}“「（《【\"]|[A-Za-z]{{2}})")
_INNER_MARK = re.compile(r"^(?:[-+*•●]|\d{1,2}[.)])[ \t]+(?=\S)")
_INNER_BULLET = re.compile(r"^[•●][ \t]*(?=\S)")
_RULE = re.compile(r"^[ \t>]*(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$")
_TIGHT_HEADING = re.compile(rf"^(#{{2,6}})(?=[{HAN}*\d])")

_CALLOUT = re.compile(r"^\[!\w+(?:\|[^\]]*)?\][-+]?[ \t]*(?P<title>.*)$")
_TASK = re.compile(r"^\[[ xX/-]\][ \t]+(?=\S)")
_BLOCK_ID = re.compile(r"(?:^|[ \t]+)\^(?=[A-Za-z0-9-]*[A-Za-z])[A-Za-z0-9-]{3,}$")
_TAG_LINE = re.compile(r"^(?:#[^\s#]+[ \t]+)+#[^\s#]+$")
_TEMPLATE_TAG = re.compile(r"^\{%.*%\}$")
_CONTENTS = re.compile(r"^(?:@?\[toc\](?:\([^)]*\))?|\[\[toc\]\])$", re.IGNORECASE)

_EMBED = re.compile(r"!\[\[[^\[\]]*\]\]")
_WIKI_LINK = re.compile(r"(?<!!)\[\[(?!\s)(?P<target>[^\[\]|]*?)(?:\|(?P<label>[^\[\]]*))?\]\]")
_NUMBERS_ONLY = re.compile(r"^[\d\s,.;:+-]*$")
_WIKI_ONLY = re.compile(r"^(?:\[\[(?!\s)[^\[\]]+\]\][ \t，,、；;]*)+$")
_COMMENT_SPAN = re.compile(r"%%(?!%)(?:[^%]|%(?!%))*%%")
_STRUCK = re.compile(r"~~(?![\s~])(?:[^~]|~(?!~))*?(?<![\s~])~~(?!~)")

_LINK_TARGET = r"\((?:<[^<>]*>|(?:[^()\s]|\([^()\s]*\))*)(?:[ \t]+(?:\"[^\"]*\"|'[^']*'))?[ \t]*\)"
_IMAGE = re.compile(rf"!\[[^\[\]]*\](?:{_LINK_TARGET}|\[[^\[\]]*\])")
_LINK = re.compile(rf"(?<!!)\[(?P<label>(?:[^\[\]]|\[[^\[\]]*\])*)\]{_LINK_TARGET}")
_FOOTNOTE = re.compile(r"\[\^[^\[\]\s]+\](?!:)")
_FOOTNOTE_HEAD = re.compile(r"^\[\^[^\[\]\s]+\]:[ \t]*")
_REFERENCE_DEFINITION = re.compile(r"^\[[^\[\]]+\]:[ \t]*<?(?:https?://|[./#])\S*(?:[ \t]+[\"'(].*)?$")

_INLINE_TAG = re.compile(
    r"</?(?:a|abbr|b|big|blockquote|center|cite|details|div|em|figcaption|figure|font|i|img|iframe|ins|kbd|mark|p|"
    r"small|span|strong|sub|summary|sup|u|video|audio|source)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_BREAK_TAG = re.compile(r"[ \t]*<br\s*/?>[ \t]*", re.IGNORECASE)
_SPACE_ENTITY = re.compile(r"&(?:nbsp|ensp|emsp|thinsp|#160|#xa0);", re.IGNORECASE)


def split_line(line: str) -> tuple[str, str, str, str]:
    """Cut a line into quote marks, indentation, list or heading mark, and body (with the space before it)."""
    match = _LINE.match(line)
    if match is None:
        return "", "", "", line
    return match["quote"] or "", match["indent"], match["mark"] or "", match["body"]


def is_rule(line: str) -> bool:
    """Whether a line is a thematic break (`---`, `* * *`), which is no list."""
    return bool(_RULE.match(line))


def tidy_marks(line: str) -> str:
    """Make quote, list and heading marks regular Markdown: bullets, doubled marks, numbers without a space, tabs.

    ``- • x`` is one level said twice, ``- - x`` and ``- 1. x`` are an item of a deeper list (the first mark becomes
    indentation, so that the item stays in line with its sisters); ``  3.**x**`` goes back to the margin.
    """
    quote, indent, mark, body = split_line(line)
    quote = "> " * quote.count(">")
    indent, body = indent.replace("\t", "    "), body.strip(" \t")
    if not mark:
        body = _TIGHT_HEADING.sub(r"\1 ", body) if not indent else body
        body = _BULLET.sub("- ", body)
        tight = _TIGHT_NUMBER.sub(r"\1 ", body)
        if tight != body and len(indent) < 4:  # noqa: PLR2004 - four spaces are a deeper level, fewer are debris
            indent = ""
        return (quote + indent + tight).rstrip(" ")
    if mark.startswith("#"):
        return f"{quote}{indent}{mark} {body}".rstrip(" ")
    body = _INNER_BULLET.sub("", body)
    if mark in "-*+" and _INNER_MARK.match(body):
        return f"{quote}{indent[:2]}  {body}"
    return f"{quote}{indent}{mark} {body}"


def drop_comments(lines: Sequence[str], kept: Collection[int]) -> list[str]:
    """Drop HTML comments and Obsidian ``%%`` comments, also those over several lines; ``kept`` lines are not looked at.

    What is not closed is not a comment.
    """
    result = _drop_between(lines, kept, "<!--", "-->")
    result = [line if number in kept else _COMMENT_SPAN.sub("", line) for number, line in enumerate(result)]
    return _drop_alone(result, kept)


def _drop_between(lines: Sequence[str], kept: Collection[int], opening: str, closing: str) -> list[str]:
    result = list(lines)
    closings = [number for number, line in enumerate(lines) if closing in line and number not in kept]
    number = 0
    while number < len(result):
        start = result[number].find(opening) if number not in kept else -1
        if start < 0:
            number += 1
            continue
        end = result[number].find(closing, start + len(opening))
        if end >= 0:
            result[number] = (result[number][:start] + result[number][end + len(closing) :]).rstrip(" \t")
            continue
        following = bisect_right(closings, number)
        last = closings[following] if following < len(closings) else -1
        if last < 0 or any(inner in kept for inner in range(number, last)):
            number += 1
            continue
        tail = result[last][result[last].find(closing) + len(closing) :]
        result[number] = result[number][:start].rstrip(" \t")
        result[number + 1 : last] = [""] * (last - number - 1)
        result[last] = tail.strip(" \t")
        number = last
    return result


def _drop_alone(lines: Sequence[str], kept: Collection[int]) -> list[str]:
    """Drop blocks between two lines that are nothing but ``%%``."""
    result = list(lines)
    marks = [number for number, line in enumerate(lines) if line.strip(" \t") == "%%" and number not in kept]
    for first, last in zip(marks[::2], marks[1::2], strict=False):
        if not any(number in kept for number in range(first, last)):
            result[first : last + 1] = [""] * (last - first + 1)
    return result


def drop_markup(body: str) -> str:
    """Keep of a line's body what a reader of the rendered page would read, images and embeds apart.

    A body that is nothing but links into the notes becomes ``见「…」``: it names where the answer is and is none.
    """
    if _TAG_LINE.match(body) or _TEMPLATE_TAG.match(body) or _CONTENTS.match(body) or _REFERENCE_DEFINITION.match(body):
        return ""
    body = _STRUCK.sub("", _IMAGE.sub("", _EMBED.sub("", body)))
    body = _BREAK_TAG.sub(" ", _SPACE_ENTITY.sub(" ", body))
    body = _INLINE_TAG.sub("", body)
    body = _TASK.sub("", _FOOTNOTE.sub("", _FOOTNOTE_HEAD.sub("", body)))
    body = _BLOCK_ID.sub("", body)
    if _WIKI_ONLY.match(body):
        return "、".join(f"见「{_wiki_text(match)}」" for match in _WIKI_LINK.finditer(body))
    body = _WIKI_LINK.sub(
        lambda match: match.group() if _NUMBERS_ONLY.match(match["target"]) else _wiki_text(match), body
    )
    return drop_highlights(body)


def drop_links(body: str) -> str:
    """Keep a link's words, drop its target."""
    return _LINK.sub(lambda match: match["label"], body)


def callout_title(body: str) -> str:
    """Turn Obsidian's ``[!note] Title`` at the head of a quotation into a bold title; without a title it goes."""
    match = _CALLOUT.match(body)
    if match is None:
        return body
    title = match["title"].strip(" \t*")
    return f"**{title}**" if title else ""


def _wiki_text(match: re.Match[str]) -> str:
    if match["label"]:
        return str(match["label"]).strip()
    note, _, section = match["target"].partition("#")
    section = section.lstrip("^#").replace("#", " > ")
    return " > ".join(part.strip() for part in (note, section) if part.strip())


def drop_highlights(body: str) -> str:
    """Drop pairs of ``==``; those that compare (``a==b``, ``a == b``) and an odd one stay."""
    marks = [match.start() for match in re.finditer(r"(?<![=!<>])==(?!=)", body) if not _compares(body, match.start())]
    if len(marks) % 2:
        marks.pop()
    for start in reversed(marks):
        body = body[:start] + body[start + 2 :]
    return body


def _compares(body: str, start: int) -> bool:
    before, after = body[start - 1 : start], body[start + 2 : start + 3]
    words = all(side.isascii() and (side.isalnum() or side in "_)]('\"") for side in (before, after) if side)
    return (words and bool(before) and bool(after)) or (before == " " and after == " ")


def balance_bold(body: str) -> str:
    """Drop the one ``**`` of a line that has no partner, and put a colon or comma that ends a bold label behind it.

    The second is for CommonMark (6.2): ``**label：**text`` is not read as bold, ``**label**：text`` is.
    """
    marks = [
        match.start() for match in re.finditer(r"(?<![*\\])\*\*(?!\*)", body) if not _is_operator(body, match.start())
    ]
    pairs, stray = _pair_bold(body, marks)
    for start in sorted([*stray], reverse=True):
        body = body[:start] + body[start + 2 :]
    if stray or not pairs:
        return body
    for _, close in reversed(pairs):
        label = body[:close].rstrip("：:，。；、")
        behind = body[close + 2 : close + 3]
        if len(label) < close and behind.strip() and behind not in "*：:，。；、" and not label.endswith("*"):
            body = f"{label}**{body[len(label) : close]}{body[close + 2 :]}"
    return body


def _pair_bold(body: str, marks: Sequence[int]) -> tuple[list[tuple[int, int]], list[int]]:
    if len(marks) % 2 == 0:
        return list(zip(marks[::2], marks[1::2], strict=True)), []
    pairs: list[tuple[int, int]] = []
    stray: list[int] = []
    opening: int | None = None
    for start in marks:
        following = body[start + 2 : start + 3]
        if opening is not None:
            pairs.append((opening, start))
            opening = None
        elif not following or following in " \t：:，。；、）)！？!?,.;":
            stray.append(start)
        else:
            opening = start
    return pairs, [*stray, opening] if opening is not None else stray


def _is_operator(body: str, start: int) -> bool:
    """Powers (``2**3``) and Python's ``**kwargs`` are not bold."""
    before, after = body[start - 1 : start], body[start + 2 : start + 3]
    power = bool(before) and before.isascii() and before.isalnum() and after.isascii() and after.isalnum()
    return power or body.startswith(("kwargs", "kw)"), start + 2)
