"""Where two names of one thing stand side by side in cleaned text.

``自注意力（self-attention）``, ``RAG（Retrieval-Augmented Generation，检索增强生成）``, ``交叉熵，也叫对数损失``,
a title ``投机解码 speculative decoding``, a table with a column of each. Where a Chinese name in front of a bracket
begins is not known here: a sighting then holds all words that may belong to it, and the notes as a whole decide
(ingest/glossary.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise

from index.normalise import unify
from ingest.sentences import verbatim_spans
from ingest.term_shapes import (
    HAN,
    can_translate,
    ends_name,
    find_abbreviated,
    find_long_form,
    han_count,
    head_fits,
    is_acronym,
    is_chinese_name,
    is_latin_name,
    is_short_for,
    links,
    starts_as_verb,
    tagged,
    word_count,
)
from ingest.titles import strip_number

_HIDDEN = "\x00"
_EMPHASIS = re.compile(r"\*\*|__|==|`")
_BRACKET = re.compile(r"[”\"」』]?\s?\(([^()\n]{2,80})\)")
_CHINESE_RUN = re.compile(rf"(?:[{HAN}]|(?<![A-Za-z])[A-Za-z](?=[{HAN}])|(?<=[{HAN}])-(?=[{HAN}]))+$")
_LATIN_RUN = re.compile(r"(?<![A-Za-z0-9_.-])[A-Za-z][A-Za-z0-9+#.'’&-]*(?: [A-Za-z][A-Za-z0-9+#.'’&-]*)*$")
_LINE_HEAD = re.compile(r"(?:.*[|“\"「『《:>]|[\s\-*•#]*|[\s\-*•#]*\(?[\w]{1,3}[.)、,:])\s*")
_MARK = re.compile(
    r"(?:即|(?:也|又|亦|或)(?:叫|称|名|被称)(?:为|作|做)?|别名|俗称|简称|简写(?:为|是)?|缩写(?:为|是)?|全称(?:为|是)?"
    r"|英文(?:名|全称|缩写)?(?:为|是|叫)?|英语|中文(?:名|译名)?(?:为|是|叫)?|译为|译作"
    r"|aka|a\.k\.a\.?|also (?:known as|called)|i\.e\.|short for)\s*[:：]?\s*",
    re.IGNORECASE,
)
_ALIAS_WORDS = (
    r"(?:也|又|亦)(?:常)?(?:被)?(?:叫|称)(?:为|作|做)?|简称(?:为)?|俗称|缩写(?:为|是)|全称(?:为|是)?|aka|a\.k\.a\."
)
_ALIAS_MARK = re.compile(_ALIAS_WORDS)
_ALIAS = re.compile(
    rf"(?:^|(?<=[。;,!?:\s]))(?P<first>[{HAN}\w-]{{2,20}}(?: [A-Za-z-]+){{0,4}}?),?\s?(?P<mark>{_ALIAS_WORDS})"
    rf"\s?[“\"「]?(?P<second>[{HAN}\w-]{{2,20}}(?: [A-Za-z-]+){{0,4}})[”\"」]?(?=[,。;、()]|\s*$)"
)
_TITLE = re.compile(
    rf"(?P<chinese>[{HAN}-]+)(?P<joint>\s*/\s*|\s+)(?P<latin>[A-Za-z][A-Za-z -]*)"
    rf"|(?P<latin_first>[A-Za-z][A-Za-z -]*?)(?P<joint_after>\s*/\s*|\s+)(?P<chinese_last>[{HAN}-]+)"
)
_LABEL = re.compile(r"[\s\-*•]*([^:]{4,36}):")
_NAME_COLUMNS_LIST = """
    中文 中文名 中文名称 中文术语 英文 英文名 英文名称 英文全称 英文术语 英语 缩写 简称 全称 术语 译名 又名 别名
    名称 概念 同义词
    chinese english abbreviation acronym term translation synonym
"""
_NAME_COLUMNS = frozenset(_NAME_COLUMNS_LIST.split())
_SURE_COLUMNS = _NAME_COLUMNS - {"术语", "名称", "概念", "term"}
_LONGEST_FRONT = 48
_MOST_WORDS = 4
_LONGEST_RENAMED = 6
_LONG_LATIN_NAME = 3  # words, from which a Chinese name may have 的 or 与 within
_LATIN_GLOSS_WORDS = 2
_SHORTEST_CHINESE_GLOSS = 3


@dataclass(frozen=True, slots=True)
class Sighting:
    """Two names side by side.

    ``first`` is a name as it stands. Where it is empty, ``words`` are those before the bracket of which some last ones
    are the name, ``before`` the word in front of them, ``bounded`` whether the line or a quotation begins with them.
    ``sure``: it needs no second sighting.
    """

    second: str
    first: str = ""
    words: tuple[tuple[str, str], ...] = ()
    before: str = ""
    bounded: bool = False
    sure: bool = True


def prose(text: str) -> str:
    """Cleaned text in one script and width, with code, formulas and addresses as a character that no name has."""
    parts, end = [], 0
    for start, stop in verbatim_spans(text):
        parts += [text[end:start], _HIDDEN]
        end = stop
    return _EMPHASIS.sub("", unify("".join([*parts, text[end:]])))


def sightings(prose: str) -> Iterator[Sighting]:
    """All sightings in the ``prose`` of a chunk or of a title."""
    for line in prose.split("\n"):
        if "(" in line:
            for match in _BRACKET.finditer(line):
                yield from _bracketed(line[: match.start()][-_LONGEST_FRONT:].rstrip(), match[1].strip())
        if _ALIAS_MARK.search(line):
            for match in _ALIAS.finditer(line):
                yield from _called(match["first"].strip(), match["mark"], match["second"].strip())
        label = _LABEL.match(line)
        if label:
            yield from title_sightings(label[1])
    if "|" in prose:
        yield from _table_rows(prose)


def title_sightings(title: str) -> Iterator[Sighting]:
    """What a title's ``prose`` puts side by side as a whole; its brackets are in ``sightings``."""
    match = _TITLE.fullmatch(strip_number(title).strip())
    if match is None:
        return
    latin = (match["latin"] or match["latin_first"]).strip()
    chinese = match["chinese"] or match["chinese_last"]
    if not is_latin_name(latin) or not is_chinese_name(chinese) or not can_translate(chinese, latin, bounded=False):
        return
    words = word_count(latin)
    common = latin.islower() or (words >= _LATIN_GLOSS_WORDS and latin[1:].islower())
    glosses = match["latin"] and common and (words >= _LATIN_GLOSS_WORDS or _is_noun(chinese))
    same_head = head_fits(chinese, latin) is True and "/" not in (match["joint"] or match["joint_after"])
    if glosses or same_head:
        yield Sighting(latin, chinese)


def _is_noun(chinese: str) -> bool:
    tags = [tag for _, tag in tagged(chinese)]
    return (
        not starts_as_verb(tags[0]) and not tags[-1].startswith("v") and han_count(chinese) >= _SHORTEST_CHINESE_GLOSS
    )


def _bracketed(front: str, inside: str) -> Iterator[Sighting]:
    marked = _MARK.match(inside)
    names = _names_inside(inside)
    if not names:
        return
    latin = [name for name in names if is_latin_name(name)]
    chinese = [name for name in names if name not in latin]
    if len(latin) > 1 and not _are_one(latin):
        return
    if len(latin) > 1:
        yield Sighting(latin[1], latin[0])
    run = _LATIN_RUN.search(front)
    if run is not None:
        yield from _after_latin(front, run, latin, chinese, marked=marked is not None)
    elif latin and chinese:
        yield from (
            Sighting(one, chinese[0], sure=True) for one in latin if can_translate(chinese[0], one, bounded=True)
        )
    elif latin:
        yield from _after_chinese(front, names)
    elif marked and not inside.startswith("即"):
        phrase = "".join(word for word, _ in _words_before(front))
        yield from _called(phrase, marked.group(), names[0])


def _names_inside(inside: str) -> list[str]:
    """Names that a bracket gives, none where it gives something else: an aside, an example, an enumeration."""
    names: list[str] = []
    for part in re.split(r"\s*[,;]\s*", inside):
        mark = _MARK.match(part)
        name = part[mark.end() if mark else 0 :].strip(" \"“”'")
        if not (is_latin_name(name) or is_chinese_name(name, linked=True)):
            break
        names.append(name)
    return names if len(names) <= 3 else []  # noqa: PLR2004  a name, its translation and its acronym


def _are_one(latin: list[str]) -> bool:
    return len(latin) == 2 and (is_short_for(latin[0], latin[1]) or is_short_for(latin[1], latin[0]))  # noqa: PLR2004


def _after_latin(
    front: str, run: re.Match[str], latin: list[str], chinese: list[str], *, marked: bool
) -> Iterator[Sighting]:
    name = run.group()
    for other in latin:
        long_form = find_long_form(other, name)
        if is_latin_name(long_form):
            yield Sighting(other, long_form)
        elif is_short_for(name.split()[-1], other):
            yield Sighting(other, name.split()[-1])
    for other in chinese[:1]:
        yield from (Sighting(one, other) for one in latin if can_translate(other, one, bounded=True))
        if not is_latin_name(name) or len(name.split()) > _MOST_WORDS or not _stands_apart(front, run):
            continue
        linked = word_count(name) >= _LONG_LATIN_NAME
        if is_chinese_name(other, linked=linked) and can_translate(other, name, bounded=True):
            sure = marked or is_acronym(name) or han_count(other) >= _SHORTEST_CHINESE_GLOSS
            yield Sighting(other, name, sure=sure)


def _stands_apart(front: str, run: re.Match[str]) -> bool:
    """Whether a Latin name begins where its run begins: behind Chinese, punctuation or nothing."""
    before = front[: run.start()].rstrip()
    return not before or not before[-1].isascii() or not before[-1].isalnum()


def _after_chinese(front: str, names: list[str]) -> Iterator[Sighting]:
    run = _CHINESE_RUN.search(front)
    if run is None:
        return
    bounded = _LINE_HEAD.fullmatch(front[: run.start()]) is not None
    words = tagged(run.group())
    stops = [position for position, (word, tag) in enumerate(words) if ends_name(word, tag)]
    if any(_splits_word(words, stop) for stop in stops):
        return
    start = stops[-1] + 1 if stops else 0
    for name in names:
        begin, starts_line = start, bounded and start == 0
        if bounded and stops and all(links(words[stop][0]) for stop in stops) and _takes_all(words, start, name):
            begin, starts_line = 0, True
        if begin < len(words):
            before = words[begin - 1][0] if begin else front[: run.start()][-1:]
            yield Sighting(name, words=words[begin:], before=before if before.isalnum() else "", bounded=starts_line)


def _words_before(front: str) -> tuple[tuple[str, str], ...]:
    """The last Chinese words of a line that may all belong to a name."""
    run = _CHINESE_RUN.search(front)
    words = tagged(run.group()) if run else ()
    stops = [position for position, (word, tag) in enumerate(words) if ends_name(word, tag)]
    return words[stops[-1] + 1 if stops else 0 :]


def _splits_word(words: tuple[tuple[str, str], ...], stop: int) -> bool:
    """Whether a single character that ends a name may be half of a word that the dictionary lacks (外|在)."""
    word, before = words[stop][0], words[stop - 1][0] if stop else ""
    return len(word) == 1 and not links(word) and stop == 1 and len(before) == 1 and not ends_name(*words[0])


def _takes_all(words: tuple[tuple[str, str], ...], start: int, name: str) -> bool:
    """Whether what stands behind the last 的 is too short for a long name, so that the name holds the 的."""
    last = "".join(word for word, _ in words[start:])
    needed = word_count(name)
    return needed >= _LONG_LATIN_NAME and not can_translate(last, name, bounded=False) and han_count(last) < 2 * needed


def _called(first: str, mark: str, second: str) -> Iterator[Sighting]:
    """``X，也叫 Y``; between Chinese names, an abbreviation must be one, and what is renamed a short name."""
    if not (han_count(first) and han_count(second)):
        yield from _named(first, second)
    elif mark.startswith(("简称", "缩写", "全称")):
        short, long = sorted((first, second), key=len)
        if short:
            yield from _named(short, find_abbreviated(short, long))
    elif first and han_count(first) <= _LONGEST_RENAMED and not starts_as_verb(tagged(first)[0][1]):
        yield from _named(first, second)


def _named(first: str, second: str) -> Iterator[Sighting]:
    """Two names as they stand."""
    for name in (first, second):
        if not (is_latin_name(name) or is_chinese_name(name)):
            return
    chinese = [name for name in (first, second) if han_count(name)]
    if len(chinese) == 1:
        latin = second if chinese[0] == first else first
        if not can_translate(chinese[0], latin, bounded=True):
            return
    if first != second:
        yield Sighting(second, first)


def _table_rows(text: str) -> Iterator[Sighting]:
    """Rows of tables whose header says that columns hold names of the same thing."""
    for is_table, lines in groupby(text.split("\n"), key=lambda line: line.lstrip().startswith("|")):
        if not is_table:
            continue
        rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
        columns = [number for number, cell in enumerate(rows[0]) if cell.lower() in _NAME_COLUMNS]
        if len(columns) < 2 or not any(rows[0][number].lower() in _SURE_COLUMNS for number in columns):  # noqa: PLR2004
            continue
        for row in rows[1:]:
            named = [row[number] for number in columns if number < len(row)]
            for first, second in pairwise(named):
                yield from _named(first, second)
