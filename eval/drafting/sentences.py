"""Sentences of the notes that a question can be drafted for, each with its verbatim quote: picked by program.

A small model cannot copy a sentence without changing it. So the program picks one from the cleaned chunks, finds the
same characters in the note as it stands on disk, and takes the quote from there: exact by construction.
"""

from __future__ import annotations

import random
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from eval.gold import Evidence
from eval.quotes import normalised
from index.schema import Chunk, Note
from ingest.sentences import split_sentences, verbatim_spans

SHORTEST_QUOTE, LONGEST_QUOTE = 20, 80
_LONGEST_SENTENCE = 220
_LEAST_WORDS_SHARE = 0.6  # of a sentence's characters that are letters or digits: less is markup or arithmetic
_MARKUP = re.compile(r"[|`$<>]|\\[a-zA-Z]|https?://|!\[|\]\(")
_LEAD_IN = re.compile(r"[:：]\s*$")
_QUESTION = re.compile(r"[?？]\s*[\"”’」』）)]*\s*$")
_LIST_MARK = re.compile(r"^(?:[-*+•❖]\s+|\(?\d{1,3}[.)、）]\s*(?!\d)|（\d{1,3}）\s*|[①-⑳]\s*)+")
_POINTS_BACK = re.compile(
    r"(?:它|他们|这|那|此|其(?!实)|该|前者|后者|两者|二者|上述|以上|如上|因此|所以|于是|但|而|不过|然而|另外|同时|同样|也就是说|换句话说|"
    r"例如|比如|結果|结果|否则|接着|然后|最后|还有|再|则|這|後者|兩者|於是|不過|另外|同時|也就是說|換句話說|否則|接著|然後|最後|還有|則)"
    r"|(?:it|this|that|these|those|they|he|she|but|so|then|thus|hence|therefore|however|also|and|or|for example|"
    r"otherwise|instead|here|there|such|both)\b",
    re.IGNORECASE,
)
_TOO_SHORT = "too short"
_TWICE = "stands in its note twice"
_BREAKS = "，。；、,;：: \u3000"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence to draft a question for: where it stands, and the quotes that are its evidence.

    The first of ``evidence`` is the sentence's own; others are the same words in other notes.
    """

    note: str
    heading: tuple[str, ...]
    title: str
    sentence: str
    evidence: tuple[Evidence, ...]

    @property
    def quote(self) -> str:
        """The verbatim quote."""
        return self.evidence[0].quote


@dataclass(frozen=True, slots=True)
class Candidates:
    """Every sentence that will do, in the order in which to draft; ``unsuitable`` counts the others by reason."""

    sentences: tuple[Candidate, ...]
    unsuitable: Mapping[str, int]


def choose_sentences(chunks: Sequence[Chunk], notes: Sequence[Note], *, seed: int) -> Candidates:
    """Find the sentences and shuffle them, spread over notes and, within a note, over its headings."""
    texts = [_Lettered(note) for note in notes]
    by_path = {text.note.path: text for text in texts}
    found: list[Candidate] = []
    unsuitable: Counter[str] = Counter()
    seen: set[str] = set()
    for chunk in chunks:
        for sentence in split_sentences(chunk.text):
            text = _LIST_MARK.sub("", sentence.strip())
            key = normalised(text)
            reason = "a repetition" if key in seen else _unsuitable(text)
            seen.add(key)
            outcome = reason or _candidate(text, chunk, by_path, texts)
            if isinstance(outcome, Candidate):
                found.append(outcome)
            else:
                unsuitable[outcome] += 1
    return Candidates(tuple(_spread(found, seed)), dict(unsuitable.most_common()))


def _unsuitable(sentence: str) -> str:
    """Why no question is drafted for a sentence; empty where one can be."""
    words = len(normalised(sentence)) / max(1, len(sentence))
    reasons = {
        _TOO_SHORT: len(sentence) < SHORTEST_QUOTE,
        "too long": len(sentence) > _LONGEST_SENTENCE,
        "code, formula, table or link": bool(_MARKUP.search(sentence) or verbatim_spans(sentence))
        or words < _LEAST_WORDS_SHARE,
        "a question itself": bool(_QUESTION.search(sentence)),
        "only leads up to what follows": bool(_LEAD_IN.search(sentence)),
        "begins by pointing back": bool(_POINTS_BACK.match(sentence)),
    }
    return next((reason for reason, applies in reasons.items() if applies), "")


def _candidate(
    sentence: str, chunk: Chunk, by_path: Mapping[str, _Lettered], texts: Sequence[_Lettered]
) -> Candidate | str:
    own = by_path.get(chunk.note)
    if own is None:
        return "its note is gone"
    quote = own.quote_of(sentence)
    if isinstance(quote, str):
        return quote
    others = (text.quote_of(sentence) for text in texts if text is not own)
    alternatives = tuple(other for other in others if isinstance(other, Evidence))
    return Candidate(chunk.note, chunk.heading, chunk.title, sentence, (quote, *alternatives))


class _Lettered:
    """A note reduced to its letters and digits, each with its place in the note."""

    def __init__(self, note: Note) -> None:
        self.note = note
        letters: list[str] = []
        self._places: list[int] = []
        for place, character in enumerate(note.text):
            for letter in normalised(character):
                letters.append(letter)
                self._places.append(place)
        self._letters = "".join(letters)
        self._lines = [match.start() for match in re.finditer("\n", note.text)]

    def quote_of(self, sentence: str) -> Evidence | str:
        """Return the sentence as it stands in this note, cut to a quote's length, or why it cannot be quoted."""
        wanted = normalised(sentence)
        start = self._letters.find(wanted)
        if start < 0:
            return "not verbatim in its note"
        if self._letters.find(wanted, start + 1) >= 0:
            return _TWICE
        begin, end = self._places[start], self._places[start + len(wanted) - 1] + 1
        if bisect_right(self._lines, begin) != bisect_right(self._lines, end - 1):
            return "goes over several lines"
        quote = _shortened(self.note.text[begin:end])
        if len(quote) < SHORTEST_QUOTE:
            return _TOO_SHORT
        if self.note.text.count(quote) != 1:
            return _TWICE
        return Evidence(self.note.path, quote)


def _shortened(quote: str) -> str:
    """The beginning of a long quote up to its last pause, if that leaves most of it."""
    if len(quote) <= LONGEST_QUOTE:
        return quote
    cut = quote[:LONGEST_QUOTE]
    pause = max(cut.rfind(mark) for mark in _BREAKS)
    return (cut[:pause] if pause > LONGEST_QUOTE // 2 else cut).rstrip(_BREAKS)


def _spread(candidates: Sequence[Candidate], seed: int) -> Iterator[Candidate]:
    """Take turns: every note gives one, then every note another; a note's headings take turns likewise."""
    shuffling = random.Random(seed)  # noqa: S311 - an order that can be had again, no secret
    by_note: dict[str, dict[tuple[str, ...], list[Candidate]]] = {}
    for candidate in candidates:
        by_note.setdefault(candidate.note, {}).setdefault(candidate.heading, []).append(candidate)
    queues = [
        list(_in_turn([_shuffled(sentences, shuffling) for sentences in _shuffled(list(headings.values()), shuffling)]))
        for headings in by_note.values()
    ]
    yield from _in_turn(_shuffled(queues, shuffling))


def _shuffled(values: Sequence[T], shuffling: random.Random) -> list[T]:
    return shuffling.sample(list(values), len(values))


def _in_turn(queues: Sequence[Sequence[T]]) -> Iterator[T]:
    for position in range(max((len(queue) for queue in queues), default=0)):
        for queue in queues:
            if position < len(queue):
                yield queue[position]
