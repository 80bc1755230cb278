"""Misspelt Chinese words of a question: stretches that read much likelier with a word of the notes in their place.

Likelier is not enough: names and rare words read badly too. A repair is believed where the line falls into single
characters just there and a word of the notes sounds the same; where one character of a word of three or more is wrong,
missing, doubled or swapped with the next; and, whatever is written, where the notes have the repaired word beside the
same two characters and the written one nowhere.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from service.answering.spelling.ordinary_words import CHINESE_TOTAL, chinese_count
from service.answering.spelling.vocabulary import HAN, LONGEST_TERM, Candidate, Means, Vocabulary, same_sound

_HAN_RUN = re.compile(f"[{HAN}]{{2,}}")
_SHORTEST = 2
_LONGEST_WORD = 8
_UNKNOWN_COUNT = 0.5  # of a character that is in neither dictionary nor notes
_NEIGHBOURS = 2  # characters of a context
_LEAST_OCCURRENCES = 3  # of a compound
_LONG = 4  # characters of a word from which one wrong one needs no context

# Words of one character: beside them anything may stand, and they are seldom a slip.
_SMALL_WORDS = frozenset(
    "的了是在和与及或也都就而又还则但吗呢吧啊呀嘛把被对从到以于为么什怎如何哪这那此其之有不没个请问用让给会能要想"
    "得地所因由将各某每另等者第几多少中上下里外前后内时我你他她它们谁很太更最越再只零一二三四五六七八九十百千万亿两半"
)

# How much likelier the repaired line must be, natural logarithms; set on the sample notes.
_SAME_SOUND = 7.0
_CONFUSED_SOUND = 10.0
_FURTHER_CHARACTER = 3.0
_ONE_CHARACTER = 7.0
_LOOSE_NEIGHBOUR = 2.0  # for a character on its own beside the stretch: there may be a longer unknown name
_CONTEXT = 3.0  # what it counts, a character, that the notes have the repaired word beside the same one or two


def chinese_candidates(text: str, vocabulary: Vocabulary) -> Iterator[Candidate]:
    """Yield the repairs of folded text that are believed, overlapping ones too."""
    for run in _HAN_RUN.finditer(text):
        reading = _read(run.group(), vocabulary)
        for repair in (*_words(reading, vocabulary), *_compounds(reading, vocabulary)):
            yield replace(repair, start=run.start() + repair.start, end=run.start() + repair.end)


def _words(reading: _Reading, vocabulary: Vocabulary) -> Iterator[Candidate]:
    """Yield the repairs of a run to single words of the notes."""
    for start in range(len(reading.text)):
        for end in range(start + _SHORTEST, min(len(reading.text), start + LONGEST_TERM + 1) + 1):
            stretch = _Stretch(reading, start, end)
            for term, by in _found(stretch, vocabulary):
                gain = _gain(stretch, term, by, vocabulary)
                if gain > 0:
                    yield Candidate(start, end, term, by, gain)


@dataclass(frozen=True, slots=True)
class _Reading:
    """A run of Chinese as the likeliest chain of words, each by its share of the notes and of Chinese in general.

    ``words`` are where they begin and end, ``cuts`` the same as a set; ``before[i]`` and ``after[i]`` the
    log-probabilities of the likeliest chains up to and from position ``i``.
    """

    text: str
    words: tuple[tuple[int, int], ...]
    cuts: frozenset[int]
    before: tuple[float, ...]
    after: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Characters ``[start, end)`` of a run that may be misspelt."""

    reading: _Reading
    start: int
    end: int

    @property
    def written(self) -> str:
        return self.reading.text[self.start : self.end]

    @property
    def inside(self) -> list[str]:
        """The words of the run of which some part is inside."""
        return [
            self.reading.text[first:end] for first, end in self.reading.words if first < self.end and end > self.start
        ]

    @property
    def beside(self) -> list[str]:
        """The words of the run that end where it begins or begin where it ends."""
        words = self.reading.words
        return [self.reading.text[first:end] for first, end in words if end == self.start or first == self.end]

    @property
    def falls_apart(self) -> bool:
        """Whether it is a chain of whole words of the run, one of which at least has but one character."""
        cuts = self.reading.cuts
        if self.start not in cuts or self.end not in cuts:
            return False
        return any(place in cuts and place + 1 in cuts for place in range(self.start, self.end))

    def gain(self, weight: float) -> float:
        """How much likelier the run is with something of this log-probability in its place."""
        return self.reading.before[self.start] + weight + self.reading.after[self.end] - self.reading.before[-1]


def _read(run: str, vocabulary: Vocabulary) -> _Reading:
    words = _possible_words(run, vocabulary)
    before: list[tuple[float, int]] = [(0.0, 0)] + [(-math.inf, 0)] * len(run)
    for start, found in enumerate(words):
        for end, weight in found:
            before[end] = max(before[end], (before[start][0] + weight, start))
    after = [0.0] * (len(run) + 1)
    for start in range(len(run) - 1, -1, -1):
        after[start] = max(weight + after[end] for end, weight in words[start])
    chain: list[tuple[int, int]] = []
    end = len(run)
    while end:
        chain.append((before[end][1], end))
        end = before[end][1]
    return _Reading(
        text=run,
        words=tuple(reversed(chain)),
        cuts=frozenset({0, *(end for _, end in chain)}),
        before=tuple(weight for weight, _ in before),
        after=tuple(after),
    )


def _possible_words(run: str, vocabulary: Vocabulary) -> list[list[tuple[int, float]]]:
    """Words from each position of a run: where they end and their log-probabilities, every character on its own too."""
    return [
        [
            (end, _log_probability(run[start:end], vocabulary))
            for end in range(start + 1, min(len(run), start + _LONGEST_WORD) + 1)
            if end == start + 1 or run[start:end] in vocabulary.document_frequency or chinese_count(run[start:end])
        ]
        for start in range(len(run))
    ]


def _log_probability(word: str, vocabulary: Vocabulary) -> float:
    share = vocabulary.document_frequency.get(word, 0) / vocabulary.chinese_total
    count = chinese_count(word) or (0 if share else _UNKNOWN_COUNT)
    return math.log((count / CHINESE_TOTAL + share) / 2)


def _found(stretch: _Stretch, vocabulary: Vocabulary) -> list[tuple[str, Means]]:
    """Words of the notes that a stretch may stand for."""
    written = stretch.written
    by_sound = vocabulary.sounding_like(written)
    by_character = vocabulary.one_character_from(written) - by_sound if stretch.falls_apart else set()
    return [
        *((term, "pinyin") for term in sorted(by_sound) if not _SMALL_WORDS & (set(term) - set(written))),
        *((term, "character") for term in sorted(by_character) if _is_slip(written, term)),
    ]


def _is_slip(written: str, term: str) -> bool:
    """Whether what differs is more than a word of one character within the term or beside it."""
    if len(written) > len(term):
        return set(written) == set(term)
    return written not in term and not _SMALL_WORDS & (set(written) ^ set(term))


def _gain(stretch: _Stretch, term: str, by: Means, vocabulary: Vocabulary) -> float:
    """How much more likely the repaired line is than a slip of this kind must be; 0 where it is not believed."""
    gain = stretch.gain(_log_probability(term, vocabulary)) - _unlikeliness(stretch.written, term, by)
    if gain + _CONTEXT * _NEIGHBOURS <= 0 or vocabulary.says(stretch.written):
        return 0.0
    unreadable = _is_unreadable(stretch, term, by)
    neighbours = _known_neighbours(stretch, term, vocabulary) if by == "pinyin" or unreadable else 0
    if neighbours == _NEIGHBOURS or (neighbours and unreadable and by == "pinyin"):
        return gain + _CONTEXT * neighbours
    if unreadable and _is_clear(stretch, term, by):
        return gain - _LOOSE_NEIGHBOUR * sum(len(word) == 1 and word not in _SMALL_WORDS for word in stretch.beside)
    return 0.0


def _unlikeliness(written: str, term: str, by: Means) -> float:
    if by == "character":
        return _ONE_CHARACTER
    changed = sum(one != other for one, other in zip(written, term, strict=True))
    sound = _SAME_SOUND if same_sound(written, term) else _CONFUSED_SOUND
    return sound + _FURTHER_CHARACTER * (changed - 1)


def _is_unreadable(stretch: _Stretch, term: str, by: Means) -> bool:
    """Whether a stretch is no word and falls into words of which one at least has but one character.

    A small word among them is right as it is, unless it is a part of a longer word that sounds the same.
    """
    wrong = set(term) if by == "pinyin" and len(term) > _SHORTEST else set()
    right = _SMALL_WORDS & (set(stretch.inside) - wrong)
    return stretch.falls_apart and not right and not chinese_count(stretch.written)


def _is_clear(stretch: _Stretch, term: str, by: Means) -> bool:
    """Whether a repair of what is unreadable can be believed without a context."""
    written = stretch.written
    if by == "pinyin":
        return any(one == other for one, other in zip(written, term, strict=True))
    return set(written) <= set(stretch.inside) or len(term) >= _LONG or sorted(written) == sorted(term)


def _known_neighbours(stretch: _Stretch, term: str, vocabulary: Vocabulary) -> int:
    """Beside how many of the characters before or after a stretch, two at most, the notes have ``term``."""
    text, start, end = stretch.reading.text, stretch.start, stretch.end
    for count in range(_NEIGHBOURS, 0, -1):
        before, after = text[max(0, start - count) : start], text[end : end + count]
        if len(before) == count and not _SMALL_WORDS & set(before) and vocabulary.says(before + term):
            return count
        if len(after) == count and not _SMALL_WORDS & set(after) and vocabulary.says(term + after):
            return count
    return 0


def _compounds(reading: _Reading, vocabulary: Vocabulary) -> Iterator[Candidate]:
    """Yield repairs of one character beside a word of the notes to what is no word of a dictionary: 交叉熵, 学习率."""
    for (start, middle), (_, end) in itertools.pairwise(reading.words):
        first, second = reading.text[start:middle], reading.text[middle:end]
        single, word = sorted((first, second), key=len)
        if len(single) > 1 or len(word) < _SHORTEST or single in _SMALL_WORDS:
            continue
        stretch = _Stretch(reading, start, end)
        if word not in vocabulary.document_frequency:
            continue
        for other in sorted(vocabulary.characters_sounding_like(single) - _SMALL_WORDS):
            term = other + second if single == first else first + other
            count = _occurrences(term, other, vocabulary)
            if count >= _LEAST_OCCURRENCES:
                weight = math.log(count / vocabulary.chinese_total / 2)
                gain = stretch.gain(weight) - _unlikeliness(stretch.written, term, "pinyin")
                if gain > 0 and not vocabulary.says(stretch.written):
                    yield Candidate(start, end, term, "pinyin", gain)


def _occurrences(term: str, single: str, vocabulary: Vocabulary) -> int:
    """How often the notes have a compound, its single character being no part of a word that goes on beyond it."""
    if term.startswith(single):
        return sum(not chinese_count(beside + single) for beside in vocabulary.beside(term, before=True))
    return sum(not chinese_count(single + beside) for beside in vocabulary.beside(term, before=False))
