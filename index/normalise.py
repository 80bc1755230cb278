"""Text as it is compared, never as it is shown: one spelling for what readers take to be the same text.

``normalise`` is what indexing and asking share. ``unify`` is the same without case folding, for whoever still
needs to see that ``PagedAttention`` is two words.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from importlib.metadata import version
from typing import cast

import opencc

NORMALISER_VERSION = f"1/unicode-{unicodedata.unidata_version}/opencc-{version('opencc')}"
"""Changes whenever the same text could normalise differently; part of every fingerprint built on top of it."""

# The CJK Radicals Supplement as Unicode's EquivalentUnifiedIdeograph.txt (15.0) maps it: text copied from PDF files
# holds these look-alikes, and NFKC maps only two of them (U+2E9F, U+2EF3). A row is the first code point and the
# characters of the code points from there on. U+2E80 has no equivalent, U+2E9A is unassigned.
_RADICAL_RUNS = {
    0x2E81: "厂乛乚乙亻冂𠘨刀刂卜㔾小小兀尣尢",
    0x2E91: "𡯂巳幺彑彐忄心扌攵",
    0x2E9B: "旡日月歺",
    0x2EA0: "民氵氺灬爫爫丬牛犭王𤴔目示礻𥫗糹",
    0x2EB0: "纟罓罒㓁冗𦉫羊𦍌𦍋耂肀聿肉𦥑艹艹",
    0x2EC0: "艹虎衤覀西见角𧢲讠贝𧾷车辶辶辶邑",
    0x2ED0: "钅長镸长门𨸏阝雨青韦页风飞食𩙿飠",
    0x2EE0: "饣𩠐马骨鬼鱼鸟卤麦黄黾斉齐歯齿竜",
    0x2EF0: "龙龜亀",
}

# OpenCC's t2s is applied once; this is the only character whose result it would convert again.
_SIMPLIFIED_TWICE = {"薴": "苎"}

_REPLACED = _SIMPLIFIED_TWICE | {
    chr(first + offset): character
    for first, characters in _RADICAL_RUNS.items()
    for offset, character in enumerate(characters)
}
_REPLACED_PATTERN = re.compile(f"[{''.join(_REPLACED)}]")

# Unicode's Default_Ignorable_Code_Point (zero width, variation selectors, direction marks, tags), and lone surrogates,
# which JSON can smuggle in and no UTF-8 library takes.
_INVISIBLE_PATTERN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\ud800-\udfff]"
)


def normalise(text: str) -> str:
    """``text`` for matching: ``unify`` and case folding, so that its length and offsets differ from the original's.

    Every call gives the same result in every thread; about 3 million characters a second for Chinese text.
    """
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unify(text).casefold())


def unify(text: str) -> str:
    """NFKC, radicals as characters, Traditional as Simplified Chinese, nothing invisible; case is kept.

    Traditional becomes Simplified character by character with OpenCC's ``t2s`` (and its phrase exceptions),
    vocabulary is not translated: 軟體 becomes 软体, not 软件.
    """
    if text.isascii():
        return text
    composed = unicodedata.normalize("NFKC", _INVISIBLE_PATTERN.sub("", text))
    plain = _REPLACED_PATTERN.sub(lambda match: _REPLACED[match.group()], composed)
    return cast(str, _simplifier().convert(plain))


@functools.cache
def _simplifier() -> opencc.OpenCC:
    """One converter for the process: its ``convert`` is const, so threads share it without a lock."""
    return opencc.OpenCC("t2s")
