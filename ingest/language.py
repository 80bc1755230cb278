"""The language that a passage is written in, as far as searching needs it: ``en``, ``zh`` or ``zh-Hant``."""

from __future__ import annotations

import re
from functools import lru_cache

from opencc import OpenCC

from ingest.sentences import verbatim_spans

_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_WORD = re.compile(r"[A-Za-z]+")
# Han characters a word: below this share the Chinese is a name or a gloss in English text.
_CHINESE_SHARE = 0.1
# Of running Traditional text OpenCC changes a third; of Simplified text practically nothing.
_TRADITIONAL_SHARE = 0.1


def language_of(text: str) -> str:
    """``en`` when hardly anything outside code and formulas is Han, ``zh-Hant`` when Traditional, else ``zh``."""
    prose = _without_verbatim(text)
    han = _HAN.findall(prose)
    words = len(_WORD.findall(prose))
    if len(han) <= _CHINESE_SHARE * words or not (han or words):
        return "en" if words else "zh"
    return "zh-Hant" if _traditional_share("".join(han)) >= _TRADITIONAL_SHARE else "zh"


def _traditional_share(han: str) -> float:
    simplified: str = _converter().convert(han)
    return sum(a != b for a, b in zip(han, simplified, strict=False)) / len(han)


@lru_cache(maxsize=1)
def _converter() -> OpenCC:
    return OpenCC("t2s")


def _without_verbatim(text: str) -> str:
    kept, end = [], 0
    for start, stop in verbatim_spans(text):
        kept.append(text[end:start])
        end = stop
    return " ".join([*kept, text[end:]])
