"""How often words are written in general, by word lists that other packages carry, not by the notes.

English: the list of pyspellchecker, counts over film subtitles, cleaned of misspellings. Chinese: the dictionary that
is compiled into rjieba, the same that segments notes and questions.
"""

from __future__ import annotations

from functools import cache, lru_cache

import rjieba
from spellchecker import SpellChecker

CHINESE_TOTAL = 60_101_964
"""Sum of all counts in jieba's dictionary (0.42), which rjieba carries."""


def english_count(word: str) -> int:
    """Count of a folded word, inflected forms each their own, 50 and more; 0 for what is not in the list."""
    return _english().get(word, 0)


@lru_cache(maxsize=100_000)
def chinese_count(word: str) -> int:
    """Count of a Simplified Chinese word in the dictionary; 0 for what is no word of it."""
    return int(rjieba.suggest_freq(word)) if rjieba.has_word(word) else 0


@cache
def _english() -> dict[str, int]:
    return dict(SpellChecker(language="en").word_frequency.items())
