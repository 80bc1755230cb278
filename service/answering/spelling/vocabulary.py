"""The words of one snapshot's notes, found by what a misspelt word looks or sounds like.

Three ways lead from what was written to a word: the syllables of a Chinese word without their tones, a Chinese word of
three or more characters with one of them left out (the deletion index of W. Garbe's SymSpell), and the edit distance of
a Latin one. Which of the words found is meant, if any, is for repair.py.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import pypinyin
from pypinyin.constants import PHRASES_DICT
from pypinyin.contrib.tone_convert import to_normal
from rapidfuzz import process
from rapidfuzz.distance import OSA

from index.normalise import normalise
from index.tokenizer import stem
from service.answering.spelling.ordinary_words import chinese_count, english_count

HAN = "\u3400-\u4dbf\u4e00-\u9fff"
LONGEST_TERM = 5
"""Characters of a Chinese word that can be repaired."""

_CHINESE_TERM = re.compile(f"[{HAN}]{{2,{LONGEST_TERM}}}")
_CHARACTER = re.compile(f"[{HAN}]")
_LATIN_WORD = re.compile(r"[A-Za-z]+")
_SHORTEST_LATIN = 4
_LONG_NAME = 7  # letters from which a word of no word list is taken even from one chunk
_ENDINGS = ("", "e", "s", "es", "ed", "ing")
_SHORTEST_BY_CHARACTER = 3
_USUAL = 0.05  # of the phrases with a character
_LEAST_UNLISTED = 2  # chunks that a word of no word list must be in: one written once may be misspelt itself

_PAIR_HASHES = 1 << 22  # 4 MB
_PAIR_FACTOR = 2_654_435_761  # Knuth's multiplicative hash
_LEAST_TOGETHER = 0.3  # of the chunks with the rarer character of a pair

# What many speakers of Chinese do not tell apart: both of a pair count as the second.
_CONFUSED_INITIALS = {"zh": "z", "ch": "c", "sh": "s", "l": "n"}
_CONFUSED_FINALS = {"ang": "an", "eng": "en", "ing": "in"}

Means = Literal["edit", "pinyin", "character"]
"""What a repair was found by: the edit distance of a Latin word, the sound of a Chinese one, or one character of it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A believed repair of folded text: ``term`` for ``[start, end)``; of overlapping ones the greatest gain counts."""

    start: int
    end: int
    term: str
    by: Means
    gain: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Vocabulary:
    """What the notes of a snapshot are written with. Nothing changes after building, so threads share it.

    ``document_frequency`` counts the chunks by normalised term, ``latin`` by folded Latin word, unstemmed;
    ``capitals`` is how the notes mostly write such a word that has capitals inside. ``text`` is all that they say,
    normalised.
    """

    document_frequency: Mapping[str, int]
    latin: Mapping[str, int]
    capitals: Mapping[str, str]
    text: str
    chinese_total: int
    _pairs: npt.NDArray[np.bool_]
    _stems: frozenset[str]
    _latin_words: Sequence[str]
    _by_sound: Mapping[tuple[str, ...], Sequence[str]]
    _characters: Mapping[tuple[str, ...], Sequence[str]]
    _by_deletion: Mapping[str, Sequence[str]]

    @classmethod
    def build(cls, document_frequency: Mapping[str, int], texts: Iterable[str]) -> Vocabulary:
        """Index the terms of a snapshot, with the chunks each is in, beside the texts of its chunks, as they are shown.

        About 0.2 s for 20,000 terms, and 0.3 s for every million characters of text; the first time in a process a
        second more, for the word lists.
        """
        folded: list[str] = []
        written: Counter[str] = Counter()
        for text in texts:
            folded.append(normalise(text))
            written.update(set(_LATIN_WORD.findall(text)))
        latin: Counter[str] = Counter()
        for word, count in written.items():
            latin[word.lower()] += count
        joined = "\n".join(folded)
        terms = [
            term
            for term in document_frequency
            if _CHINESE_TERM.fullmatch(term) and (chinese_count(term) or _is_name(term, document_frequency))
        ]
        return cls(
            document_frequency=document_frequency,
            latin=latin,
            capitals=_capitals(written),
            text=joined,
            chinese_total=sum(document_frequency[term] for term in document_frequency if not term.isascii()) or 1,
            _pairs=_pairs(joined),
            _stems=frozenset(stem(word) for word in latin),
            _latin_words=_latin_words(latin),
            _by_sound=_by_sound(terms),
            _characters=_by_sound([term for term in document_frequency if _CHARACTER.fullmatch(term)]),
            _by_deletion=_by_deletion(terms),
        )

    def knows(self, word: str) -> bool:
        """Whether the notes have a folded word, in this form or another of its inflections."""
        return word in self.latin or word in self.document_frequency or stem(word) in self._stems

    def says(self, text: str) -> bool:
        """Whether the notes have a normalised text just like this, however it is segmented there."""
        if text in self.document_frequency:
            return True
        # Most of what is asked for has two characters that never stand together: the text need not be gone through.
        return bool(self._pairs[_pair_hashes(text)].all()) and text in self.text

    def sounding_like(self, written: str) -> set[str]:
        """Chinese words of the syllables of ``written``, tones and the usual confusions aside, itself excluded."""
        found: set[str] = set()
        for key in _sounds(written):
            found.update(self._by_sound.get(key, ()))
        found.discard(written)
        return found

    def characters_sounding_like(self, written: str) -> set[str]:
        """Characters that the notes have in some word outside the dictionary and that sound like ``written``."""
        return {one for key in _sounds(written) for one in self._characters.get(key, ())} - {written}

    def beside(self, text: str, *, before: bool) -> list[str]:
        """The character before each occurrence of a normalised text in the notes, or the one after it; "" at an end."""
        if not self._pairs[_pair_hashes(text)].all():
            return []
        found = re.finditer(re.escape(text), self.text)
        places = [match.start() - 1 if before else match.end() for match in found]
        return [self.text[place : place + 1] if place >= 0 else "" for place in places]

    def one_character_from(self, written: str) -> set[str]:
        """Chinese words of three or more characters that one wrong, missing, added or swapped character makes it."""
        if len(written) < _SHORTEST_BY_CHARACTER:
            return set()
        found: set[str] = set()
        for key in (written, *_deletions(written)):
            found.update(self._by_deletion.get(key, ()))
        return {term for term in found if OSA.distance(term, written, score_cutoff=1) == 1}

    def close_to(self, word: str, distance: int) -> list[tuple[str, int]]:
        """Latin words at most ``distance`` edits from a folded one, with the edits (optimal string alignment)."""
        found = process.extract(
            word, self._latin_words, scorer=OSA.distance, processor=None, score_cutoff=distance, limit=None
        )
        return [(close, int(edits)) for close, edits, _ in found]


def same_sound(written: str, term: str) -> bool:
    """Whether two Chinese texts of one length can be read alike, tones aside and without any confusion of sounds."""
    return all(set(_readings(one)) & set(_readings(other)) for one, other in zip(written, term, strict=True))


def _capitals(written: Counter[str]) -> dict[str, str]:
    usual = {word.lower(): word for word, _ in reversed(written.most_common())}
    return {folded: word for folded, word in usual.items() if not word[1:].islower()}


def _latin_words(counts: Mapping[str, int]) -> list[str]:
    """What a Latin word may be repaired to: words of the notes, and the inflections of those that are English."""
    sure = [
        word
        for word, count in counts.items()
        if len(word) >= _SHORTEST_LATIN and (count >= _LEAST_UNLISTED or len(word) >= _LONG_NAME or english_count(word))
    ]
    return list(dict.fromkeys([*sure, *(form for word in sure for form in _inflected(word))]))


def _inflected(word: str) -> list[str]:
    bases = {word, stem(word)}
    forms = (base + ending for base in bases for ending in _ENDINGS)
    return [form for form in forms if len(form) >= _SHORTEST_LATIN and english_count(form) and stem(form) in bases]


def _is_name(pair: str, document_frequency: Mapping[str, int]) -> bool:
    """Whether characters that are no word of the dictionary stand together more often than by chance."""
    rarer = min(document_frequency.get(character, 0) for character in pair)
    return document_frequency[pair] >= max(_LEAST_UNLISTED, _LEAST_TOGETHER * rarer)


def _pairs(text: str) -> npt.NDArray[np.bool_]:
    """Which pairs of neighbouring characters occur, by their hashes."""
    found = np.zeros(_PAIR_HASHES, dtype=np.bool_)
    found[_pair_hashes(text)] = True
    return found


def _pair_hashes(text: str) -> npt.NDArray[np.uint32]:
    characters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    hashes: npt.NDArray[np.uint32] = (characters[:-1] * np.uint32(_PAIR_FACTOR) + characters[1:]) % np.uint32(
        _PAIR_HASHES
    )
    return hashes


def _by_sound(terms: Iterable[str]) -> dict[tuple[str, ...], list[str]]:
    index: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for term in terms:
        for key in _sounds(term):
            index[key].append(term)
    return dict(index)


def _by_deletion(terms: Iterable[str]) -> dict[str, list[str]]:
    index: defaultdict[str, list[str]] = defaultdict(list)
    for term in terms:
        if len(term) >= _SHORTEST_BY_CHARACTER:
            for key in {term, *_deletions(term)}:
                index[key].append(term)
    return dict(index)


def _deletions(text: str) -> list[str]:
    return [text[:position] + text[position + 1 :] for position in range(len(text))]


def _sounds(text: str) -> Iterable[tuple[str, ...]]:
    return itertools.product(*map(_confused_readings, text))


@lru_cache(maxsize=30_000)
def _confused_readings(character: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_confused(syllable) for syllable in _readings(character)))


@lru_cache(maxsize=30_000)
def _readings(character: str) -> tuple[str, ...]:
    usual = _usual_readings().get(character)
    return usual or tuple(pypinyin.lazy_pinyin(character))


@lru_cache(maxsize=3_000)
def _toneless(syllable: str) -> str:
    return str(to_normal(syllable))


@cache
def _usual_readings() -> dict[str, tuple[str, ...]]:
    """Readings of each character that pypinyin's phrases use, without those of names and old texts."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for phrase, syllables in PHRASES_DICT.items():
        for character, (syllable, *_) in zip(phrase, syllables, strict=False):
            counts[character][_toneless(syllable)] += 1
    return {
        character: tuple(one for one, count in found.items() if count >= _USUAL * found.total())
        for character, found in counts.items()
    }


def _confused(syllable: str) -> str:
    for initial, heard in _CONFUSED_INITIALS.items():
        if syllable.startswith(initial):
            syllable = heard + syllable.removeprefix(initial)
            break
    for final, heard in _CONFUSED_FINALS.items():
        if syllable.endswith(final):
            return syllable.removesuffix(final) + heard
    return syllable
