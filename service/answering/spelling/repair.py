"""Misspelt words of a question, repaired by what the notes say.

A noisy channel (M. D. Kernighan, K. W. Church & W. A. Gale, "A spelling correction program based on a noisy channel
model", COLING 1990) with precision before recall. A Chinese stretch of the question is replaced by a word of the notes
that sounds like it or differs by one character, if the line then reads so much likelier, as a chain of words, that it
outweighs how unlikely the slip is (chinese.py). Stretches are taken from the characters, not from the words of
the question: a misspelt word is segmented wrongly. A Latin word is replaced by the closest of the notes
(latin.py). Never replaced is what the notes have themselves, an ordinary English word, a name with digits, an
identifier; and an ordinary Chinese word only where the notes have the repaired one beside the same characters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from index.normalise import normalise
from service.answering.spelling.chinese import chinese_candidates
from service.answering.spelling.latin import latin_candidates
from service.answering.spelling.vocabulary import Candidate, Means, Vocabulary

_PASSES = 3


@dataclass(frozen=True, slots=True)
class Repair:
    """One repaired word: ``question[start:end]`` is ``written``, in its place the result's text has ``repaired``."""

    written: str
    repaired: str
    start: int
    end: int
    by: Means


@dataclass(frozen=True, slots=True)
class SpellingResult:
    """The question to search with; ``repairs`` in reading order, their positions those of the question as written."""

    text: str
    repairs: tuple[Repair, ...] = ()


@dataclass(frozen=True, slots=True)
class _Folded:
    """Text as it is compared; character ``i`` comes from character ``origins[i]`` of the text as written."""

    text: str
    origins: tuple[int, ...]
    capitals: tuple[bool, ...]


def repair_spelling(question: str, vocabulary: Vocabulary) -> SpellingResult:
    """Repair what is misspelt in a question; its own text, without a copy changed, where nothing is.

    A word repaired may be the neighbour that makes another one clear, so it is gone through again until nothing is
    found: repairing the result's text repairs nothing more. Where that does not come to an end, nothing is repaired.
    """
    repairs: list[Repair] = []
    text = question
    for _ in range(_PASSES):
        found = _repairs(text, vocabulary)
        if not found:
            return SpellingResult(text, tuple(repairs))
        moved = [moved for repair in found if (moved := _as_written(repair, repairs))]
        if len(moved) < len(found):
            break
        repairs = sorted([*repairs, *moved], key=lambda repair: repair.start)
        text = _replaced(question, repairs)
    return SpellingResult(question)


def _repairs(text: str, vocabulary: Vocabulary) -> list[Repair]:
    """The best believed repairs that do not overlap, in reading order."""
    folded = _fold(text)
    candidates = [
        *chinese_candidates(folded.text, vocabulary),
        *latin_candidates(folded.text, folded.capitals, vocabulary),
    ]
    chosen: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda one: (-one.gain, one.start, one.end, one.term)):
        apart = all(candidate.end <= other.start or other.end <= candidate.start for other in chosen)
        if apart and _is_whole(candidate, folded):
            chosen.append(candidate)
    return [_repair(candidate, text, folded, vocabulary) for candidate in sorted(chosen, key=lambda one: one.start)]


def _fold(text: str) -> _Folded:
    """Fold a text character by character, so that every character of the result has a place it comes from."""
    characters = [
        (folded, position, character.isupper())
        for position, character in enumerate(text)
        for folded in _folded(character)
    ]
    return _Folded(
        text="".join(folded for folded, _, _ in characters),
        origins=tuple(position for _, position, _ in characters),
        capitals=tuple(capital for _, _, capital in characters),
    )


@lru_cache(maxsize=30_000)
def _folded(character: str) -> str:
    return normalise(character)


def _is_whole(candidate: Candidate, folded: _Folded) -> bool:
    """Whether both ends are ends of written characters too: ``㎏`` is one character and folds to two."""
    origins = folded.origins
    return not (
        (candidate.start > 0 and origins[candidate.start - 1] == origins[candidate.start])
        or (candidate.end < len(origins) and origins[candidate.end - 1] == origins[candidate.end])
    )


def _repair(candidate: Candidate, text: str, folded: _Folded, vocabulary: Vocabulary) -> Repair:
    start, end = folded.origins[candidate.start], folded.origins[candidate.end - 1] + 1
    written, term = text[start:end], candidate.term
    if candidate.by == "edit":
        repaired = vocabulary.capitals.get(term) or (term.capitalize() if written[0].isupper() else term)
    else:
        repaired = _with_characters_of(written, term)
    return Repair(written, repaired, start, end, candidate.by)


def _with_characters_of(written: str, term: str) -> str:
    """``term`` with what was right as it was: of a Traditional word only the wrong characters become Simplified."""
    if len(written) != len(term):
        return term
    return "".join(own if _folded(own) == new else new for own, new in zip(written, term, strict=True))


def _as_written(repair: Repair, earlier: Iterable[Repair]) -> Repair | None:
    """A repair of a text that ``earlier`` ones, in reading order, made, at its place before them.

    None where it repairs what one of them has put there.
    """
    longer = 0
    for one in earlier:
        if one.start + longer >= repair.end:
            break
        if one.start + longer + len(one.repaired) > repair.start:
            return None
        longer += len(one.repaired) - len(one.written)
    return replace(repair, start=repair.start - longer, end=repair.end - longer)


def _replaced(question: str, repairs: Iterable[Repair]) -> str:
    parts: list[str] = []
    done = 0
    for repair in repairs:
        parts += [question[done : repair.start], repair.repaired]
        done = repair.end
    return "".join([*parts, question[done:]])
