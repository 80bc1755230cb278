"""Lines that only point elsewhere: bare URLs, credits, link lists and their labels. They answer nothing themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

from ingest.characters import HAN

_URL_CHARACTERS = rf"[^\s()<>\[\]（）【】《》「」，。；：！？、“”‘’\"'`{HAN}]"
# An address on one's own machine or network is what a sentence is about, not where it comes from.
URL = rf"<?https?://(?!localhost\b|\d)(?:{_URL_CHARACTERS}|\([^\s()]*\))++>?"
_LINK = rf"\[(?:[^\[\]]|\[[^\[\]]*\])*\]\({URL}(?:[ \t]+\"[^\"]*\")?[ \t]*\)"
_POINTING = r"(?:可以|可|请)?(?:参考|参见|参阅|详见|细节见|请见|引自|转自|摘自|来源|出处|原文|\bsee|\bsource)"
_CREDIT = (
    r"(?:参考|参见|参阅|详见|详情|细节|来源|出处|原文|转载|转自|引用|引自|摘自|请看|可看|见|阅读|链接|论文|博客|文章|教程|视频"
    r"|作者|reference|source|credit|paper|see|via|from|link)"
)

# A line of nothing but URLs or links, after a label at most that gives credit (`参考：`, `Paper:`).
_URL_LINE = re.compile(
    rf"^(?:[^，。；！？,;!?\n]{{0,10}}?{_CREDIT}[^，。；！？,;!?\n]{{0,10}}?[:：]?[ \t]*)?(?:{URL}[ \t,，、;；。]*)+$",
    re.IGNORECASE,
)
_LABELLED_LINK_LINE = re.compile(
    rf"^[（(【\[]?{_CREDIT}[^，。；！？\n]{{0,10}}?[:：]?[ \t]*(?:{_LINK}[ \t,，、;；。]*)+[）)】\]]?$", re.IGNORECASE
)
_LINK_LINE = re.compile(rf"^(?:{_LINK}[ \t,，、;；|·]*)+$")
_ANCHOR_ITEM = re.compile(r"^(?:\*\*)?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(#[^()\s]*(?:\([^()\s]*\)[^()\s]*)*\)(?:\*\*)?$")
_SITE = (
    r"(?:CSDN博客|CSDN|知乎(?:专栏)?|博客园|稀土掘金|掘金|简书|腾讯云开发者社区|阿里云开发者社区|SegmentFault\s?思否"
    r"|哔哩哔哩(?:_bilibili)?|bilibili|51CTO博客|微信公众平台)"
)
SITE_SUFFIX = re.compile(rf"\s*[-_—–|]+\s*{_SITE}\s*(?:[（(][\w.-]+[）)])?$", re.IGNORECASE)
"""The name of its site at the end of a page's title."""

_URL_IN_BRACKETS = re.compile(rf"[ ]?[（(][^（）()]{{0,14}}?{URL}[^（）()]{{0,4}}[）)]", re.IGNORECASE)
_URL_AFTER_POINTING = re.compile(rf"[，,、；;]?[ ]?{_POINTING}[^，。；！？\n]{{0,4}}?[:：]?[ ]?{URL}", re.IGNORECASE)

_LABEL = re.compile(
    r"^\W*(?:参考(?:资料|文献|链接|文章|来源)?|引用|来源|出处|原文|原文链接|延伸阅读|相关链接|扩展阅读|references?|links?|sources?)\W*$",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[。！？；，,;!?：:][*_”\"'）)]*$")
_TITLE_LENGTH = 40


class _Kind(Enum):
    EMPTY = 0
    EDGE = 1  # a heading, or the end of the note
    POINTER = 2
    CONTENT = 3


def is_pointer(mark: str, body: str) -> bool:
    """Whether a line's body, behind its list mark ``mark``, is only a way to another page."""
    if mark.startswith("#"):
        return False
    plain = body.strip(" \t")
    bare = plain.strip("*_")
    if _URL_LINE.match(bare) or _LABELLED_LINK_LINE.match(bare):
        return True
    if mark:
        return bool(_ANCHOR_ITEM.match(plain))
    if _LINK_LINE.match(bare):
        return _has_site_name(bare)
    return bool(SITE_SUFFIX.search(bare)) and not bare.startswith("!")


def _has_site_name(body: str) -> bool:
    return any(SITE_SUFFIX.search(label) for label in re.findall(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(", body))


def drop_inline_pointers(body: str) -> str:
    """Drop a URL in brackets or behind `参考`, `详见`, `see`; a URL that the sentence is about stays."""
    return _URL_AFTER_POINTING.sub("", _URL_IN_BRACKETS.sub("", body))


def pointer_lines(lines: Sequence[tuple[str, str]]) -> frozenset[int]:
    """Return the indices of the lines to drop, of ``lines`` given as (list or heading mark, body).

    With a pointer goes its label (`**参考：**`), and a short line standing over it that is only its title: that is so
    where nothing but further pointers follows up to the next heading or the end.
    """
    dropped: set[int] = set()
    follows = _Kind.EDGE
    only_pointers_follow = False
    for number in range(len(lines) - 1, -1, -1):
        kind = _kind(*lines[number])
        if kind is _Kind.EMPTY:
            continue
        if kind is _Kind.POINTER:
            dropped.add(number)
            only_pointers_follow = follows is _Kind.EDGE or (follows is _Kind.POINTER and only_pointers_follow)
        elif kind is _Kind.CONTENT and follows is _Kind.POINTER and _goes_along(*lines[number], only_pointers_follow):
            dropped.add(number)
            kind = _Kind.EDGE if only_pointers_follow else _Kind.CONTENT
        follows = kind
    return frozenset(dropped)


def _goes_along(mark: str, body: str, only_pointers_follow: bool) -> bool:
    if _LABEL.match(body):
        return True
    short = len(body) <= _TITLE_LENGTH and not _SENTENCE_END.search(body) and not mark
    return only_pointers_follow and short and not body.startswith(("$", "|", "\\"))


def _kind(mark: str, body: str) -> _Kind:
    if not body.strip(" \t"):
        return _Kind.EDGE if mark.startswith("#") else _Kind.EMPTY
    if mark.startswith("#"):
        return _Kind.EDGE
    return _Kind.POINTER if is_pointer(mark, body) else _Kind.CONTENT
