"""What a name looks like, and whether a Chinese and a Latin one can be names for the same thing.

Three things are asked of a pair. Each side must be a name: a noun phrase, no aside (``默认``), clause or example. Their
lengths must fit: a word, and each letter of an acronym, is about two Chinese characters. And where the last Chinese
word has a common English one, an acronym or a proper name must have its initial: ``激活函数（ReLU）`` has no F, so
ReLU is an example of it and not its name.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import rjieba

from ingest.term_words import (
    CHINESE_ASIDES,
    CLAUSE_WORDS,
    DROPPED_HEADS,
    FUNCTION_WORDS,
    INITIALS,
    LATIN_ASIDES,
    OPERATORS,
    SINGLE_OPERATORS,
)

HAN: Final = "\u3400-\u4dbf\u4e00-\u9fff"
_HAN_CHARACTER = re.compile(f"[{HAN}]")
_CHINESE_NAME = re.compile(rf"(?:[{HAN}]|[A-Za-z](?=[{HAN}])|(?<=[{HAN}])-(?=[{HAN}]))+")
_LATIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9+#'’&-]*(?: [A-Za-z][A-Za-z0-9+#'’&-]*){0,5}")
_LATIN_WORD = re.compile(r"[^\s-]+")
_HUMP = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_LONGEST_CHINESE = 14
_SHORTEST_CHINESE = 2
_LONGEST_ACRONYM = 10
# Han characters for each word of the other name: at least, where the Chinese name's beginning is known and where it
# had to be found; and at most, with what a single word may have more.
_FEWEST_BOUNDED, _FEWEST_OPEN, _FEWEST_ACRONYM = 1.0, 1.5, 4 / 3
_MOST, _MOST_MORE = 3, 3

_LINKS = frozenset("的与和及")
_WITHIN_NAMES = frozenset(["自我"])  # pronouns to the dictionary
_GRAMMATICAL_TAGS = frozenset({"p", "c", "r", "y", "e", "o", "uj", "ul", "uz", "ug", "ud", "uv", "x"})
_VERBAL_TAGS = frozenset({"v", "d", "m", "q", "ad", "vg", "t"})
_LONGEST_HEAD = max(map(len, INITIALS))


def find_abbreviated(short: str, long: str) -> str:
    """The end of a Chinese phrase that begins with a short form's first character and holds the others, or "".

    ``以下简介台湾电视公司`` and ``台视`` give ``台湾电视公司``.
    """
    start = long.rfind(short[0], 0, len(long) - len(short) + 1)
    while start >= 0:
        rest = iter(long[start:])
        if all(character in rest for character in short):
            return long[start:]
        start = long.rfind(short[0], 0, start)
    return ""


@lru_cache(maxsize=50_000)
def tagged(chinese: str) -> tuple[tuple[str, str], ...]:
    """The words of Chinese text with rjieba's part-of-speech tags."""
    return tuple((str(word), str(tag)) for word, tag in rjieba.tag(chinese, False))


def ends_name(word: str, tag: str) -> bool:
    """Whether a word stands outside of names: a name that follows begins behind it."""
    if word in OPERATORS or word in _LINKS or word.endswith("于") or (tag == "m" and word[0] in "一两几"):
        return True
    if len(word) == 1:
        return word in SINGLE_OPERATORS or (tag == "x" and word != "-")
    return tag in _GRAMMATICAL_TAGS and word not in _WITHIN_NAMES


def links(word: str) -> bool:
    """Whether a word may stand inside of a long name (``基于人类反馈的强化学习``)."""
    return word in _LINKS or word == "基于"


def starts_as_verb(tag: str) -> bool:
    """Whether a phrase whose first word has this tag may be a verb and its object."""
    return tag.startswith("v") or tag in _VERBAL_TAGS


def is_chinese_name(text: str, *, linked: bool = False) -> bool:
    """Whether the whole text reads as a Chinese name; ``linked`` allows 的 and 与 within."""
    if not _CHINESE_NAME.fullmatch(text) or text in CHINESE_ASIDES:
        return False
    if not _SHORTEST_CHINESE <= han_count(text) <= _LONGEST_CHINESE:
        return False
    words = tagged(text)
    outside = [word for word, tag in words if ends_name(word, tag) and not (linked and links(word))]
    return not outside and not links(words[-1][0])


def ends_as_verb(chinese: str) -> bool:
    """Whether a whole word is followed by a verb of one character (``纯暴力|扫``)."""
    words = tagged(chinese)
    word, tag = words[-1]
    return tag == "v" and len(word) == 1 and len(words) > 1 and len(words[-2][0]) > 1


def is_latin_name(text: str) -> bool:
    """Whether the whole text reads as a Latin name: no clause, unit, year, identifier or single letter."""
    if not _LATIN_NAME.fullmatch(text) or text.endswith(("-", "'", "’", "&")):
        return False
    letters, digits = sum(c.isalpha() for c in text), sum(c.isdigit() for c in text)
    words = [word.lower() for word in re.split(r"[ -]", text)]
    return (
        letters >= 2  # noqa: PLR2004  one letter is a symbol
        and digits < letters
        and words[0] not in FUNCTION_WORDS
        and words[-1] not in FUNCTION_WORDS
        and (text.isupper() or not CLAUSE_WORDS & set(words))
        and text.lower() not in LATIN_ASIDES
    )


def is_acronym(name: str) -> bool:
    """Whether a Latin name is one word that is mostly capitals: RAG, RoPE, TF-IDF, LLMs."""
    bare = re.sub(r"(?<=[A-Z])s$", "", name)
    capitals = sum(character.isupper() for character in bare)
    letters = sum(character.isalpha() for character in bare)
    return " " not in name and 2 <= capitals <= _LONGEST_ACRONYM and capitals * 2 > letters  # noqa: PLR2004


def word_count(name: str) -> int:
    """How many words a Latin name stands for: an acronym's capitals, else its words and their CamelCase parts."""
    if is_acronym(name):
        return sum(character.isupper() for character in name)
    words = [word for word in _LATIN_WORD.findall(name) if word.lower() not in FUNCTION_WORDS]
    return sum(max(1, sum(len(hump) > 1 for hump in _HUMP.findall(word))) for word in words)


def han_count(text: str) -> int:
    """How many Chinese characters a text has."""
    return len(_HAN_CHARACTER.findall(text))


def can_translate(chinese: str, latin: str, *, bounded: bool) -> bool:
    """Whether the lengths and the last word of a Chinese name allow a Latin one to mean the same.

    ``bounded``: it is known where the Chinese name begins.
    """
    characters, words = han_count(chinese), word_count(latin)
    fewest = _FEWEST_BOUNDED if bounded else _FEWEST_OPEN
    if is_acronym(latin):
        fewest = max(fewest, _FEWEST_ACRONYM)
    fits = max(_SHORTEST_CHINESE, fewest * words) <= characters <= _MOST * words + _MOST_MORE
    return fits and head_fits(chinese, latin) is not False


def head_fits(chinese: str, latin: str) -> bool | None:
    """Whether an acronym or proper name has an initial of the Chinese name's last word; None where none is known.

    Words that are written small are common words: nothing is asked of them, nor of several words.
    """
    head = next((chinese[-size:] for size in range(_LONGEST_HEAD, 0, -1) if chinese[-size:] in INITIALS), "")
    if not head or latin.islower():
        return None
    # Capitals, and letters that begin a word or follow a digit: Doc2vec has D and V.
    starts = {start.upper() for start in re.findall(r"[A-Z]|(?<![A-Za-z])[a-z]", latin)}
    if starts & set(INITIALS[head]) or (head in DROPPED_HEADS and head_fits(chinese.removesuffix(head), latin)):
        return True
    return None if re.search(r"[ -]", latin) else False


def is_short_for(acronym: str, long_form: str) -> bool:
    """Whether an acronym abbreviates a long form, all of it.

    A. S. Schwartz and M. A. Hearst, "A Simple Algorithm for Identifying Abbreviation Definitions in Biomedical Text",
    PSB 2003: its letters are found in the long form from the right, the first at the start of a word.
    """
    return find_long_form(acronym, long_form) == long_form


def find_long_form(acronym: str, text: str) -> str:
    """The end of a text that an acronym abbreviates (Schwartz and Hearst), empty for none."""
    short = re.sub(r"(?<=[A-Z])s$", "", acronym)
    if not is_acronym(acronym) or acronym.lower() in text.lower().split():
        return ""
    capitals = "".join(character for character in short if character.isupper())
    place = len(text)
    for position in range(len(capitals) - 1, -1, -1):
        place = _found_before(capitals[position].lower(), text, place, at_start=position == 0)
        if place < 0:
            return ""
    found = text[place:]
    words = len(re.split(r"[ -]", found))
    return found if len(capitals) // 2 <= words <= min(len(short) + 5, 2 * len(short)) and words > 1 else ""


def _found_before(letter: str, text: str, end: int, *, at_start: bool) -> int:
    for place in range(end - 1, -1, -1):
        if text[place].lower() == letter and (not at_start or place == 0 or not text[place - 1].isalnum()):
            return place
    return -1
