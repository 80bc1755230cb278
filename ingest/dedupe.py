"""Duplicates among chunks: one is kept, the others become its `alternatives`.

Exact duplicates by normalised text, near duplicates by MinHash (Broder 1997) over character shingles with banded
locality-sensitive hashing, verified by their real Jaccard similarity, and short chunks that stand whole inside a longer
one. What differs in a number, a name, a negation, a formula or in code is not the same, however alike it looks.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rensa import RMinHash, RMinHashLSH

from index.schema import Chunk, Place
from ingest.config import DuplicateConfig
from ingest.sentences import verbatim_spans

_NUMBER = re.compile(r"(?:(?<!\w)-)?\d+(?:[.,]\d+)*")
_LATIN_WORD = re.compile(r"[a-z]+")
_NEGATION = re.compile(r"[不没無无非未否别勿莫]|\b(?:not|no|never|without|cannot)\b|n't")
_OPERATOR = re.compile(r"[<>≤≥≠≈±×÷%^]|[=!<>]=|(?<![=-])=(?!=)")
_MARKER = re.compile(r"^[ \t]*(?:[-*•]|\d{1,3}[.)])[ \t]+", re.MULTILINE)
_ANCHOR = 20
"""Characters that find a short text in longer ones; what is compared is the whole."""


def fold_duplicates(chunks: Sequence[Chunk], config: DuplicateConfig) -> list[Chunk]:
    """Keep one chunk of each set of duplicates, with the others as its ``alternatives``.

    The longest is kept (of equals the one with the longer heading path, then the first in note path and line order), so
    that nothing that is said gets lost. The result is ordered by note path and lines, whatever the order of ``chunks``.
    Linear in the text's length but for the candidates that have to be compared.
    """
    texts = sorted((_Text.of(chunk, config.shingle) for chunk in chunks), key=_preference)
    found = _Candidates(texts, config)
    kept: list[int] = []
    folded: dict[int, list[Chunk]] = {}
    for index, text in enumerate(texts):
        home = next(
            (other for other in found.before(index) if other in folded and _same(texts[other], text, config)), None
        )
        if home is None:
            kept.append(index)
            folded[index] = []
        else:
            folded[home].append(text.chunk)
    result = [_with_alternatives(texts[index].chunk, folded[index]) for index in kept]
    return sorted(result, key=_reading_order)


def are_duplicates(first: Chunk, second: Chunk, config: DuplicateConfig) -> bool:
    """Whether two chunks would be folded into one."""
    one, other = sorted((_Text.of(first, config.shingle), _Text.of(second, config.shingle)), key=_preference)
    return _same(one, other, config)


@dataclass(frozen=True, slots=True)
class _Text:
    """A chunk with what is compared of it: letters and digits, character shingles, and what must not differ."""

    chunk: Chunk
    letters: str
    shingles: frozenset[str]
    numbers: Counter[str]
    words: frozenset[str]
    negations: int
    operators: Counter[str]
    verbatim: frozenset[str]

    @classmethod
    def of(cls, chunk: Chunk, shingle: int) -> _Text:
        text = unicodedata.normalize("NFKC", chunk.text).casefold()
        prose = _MARKER.sub("", text)
        letters = "".join(character for character in prose if unicodedata.category(character)[0] in "LN")
        return cls(
            chunk=chunk,
            letters=letters,
            shingles=frozenset(letters[i : i + shingle] for i in range(max(1, len(letters) - shingle + 1))),
            numbers=Counter(_NUMBER.findall(prose)),
            words=frozenset(_LATIN_WORD.findall(prose)),
            negations=len(_NEGATION.findall(prose)),
            operators=Counter(_OPERATOR.findall(prose)),
            verbatim=frozenset("".join(text[start:end].split()) for start, end in verbatim_spans(text)),
        )


class _Candidates:
    """For each text those preferred to it that may be duplicates; a superset, found without comparing all pairs."""

    def __init__(self, texts: Sequence[_Text], config: DuplicateConfig) -> None:
        self._similar = _similar(texts, config)
        self._containing = _containing(texts, config.contained_characters)
        self._equal: dict[str, list[int]] = defaultdict(list)
        for index, text in enumerate(texts):
            self._equal[text.letters].append(index)
        self._texts = texts

    def before(self, index: int) -> Iterator[int]:
        equal = self._equal[self._texts[index].letters]
        candidates = {*equal, *self._similar[index], *self._containing[index]}
        return (other for other in sorted(candidates) if other < index)


def _similar(texts: Sequence[_Text], config: DuplicateConfig) -> list[list[int]]:
    # Bands of four rows find pairs at Jaccard 0.85 with probability above 1 - 1e-9 (128 permutations, 32 bands).
    index = RMinHashLSH(threshold=config.threshold, num_perm=config.permutations, num_bands=config.permutations // 4)
    hashes = []
    for number, text in enumerate(texts):
        minhash = RMinHash(num_perm=config.permutations, seed=config.seed)
        minhash.update(sorted(text.shingles))
        hashes.append(minhash)
        index.insert(number, minhash)
    return [list(index.query(minhash)) for minhash in hashes]


def _containing(texts: Sequence[_Text], least: int) -> list[list[int]]:
    """For each text the longer ones in which its letters stand as they are."""
    anchors: dict[str, list[int]] = defaultdict(list)
    for number, text in enumerate(texts):
        if len(text.letters) > least:
            anchors[text.letters[:_ANCHOR]].append(number)
    found: list[list[int]] = [[] for _ in texts]
    for number, text in enumerate(texts):
        for start in range(len(text.letters) - _ANCHOR + 1):
            for short in anchors.get(text.letters[start : start + _ANCHOR], ()):
                if short != number and text.letters.startswith(texts[short].letters, start):
                    found[short].append(number)
    return found


def _same(kept: _Text, other: _Text, config: DuplicateConfig) -> bool:
    if kept.letters == other.letters:
        return _equal_details(kept, other) and (
            len(other.letters) > config.contained_characters or kept.chunk.heading[-1:] == other.chunk.heading[-1:]
        )
    if len(other.letters) <= config.contained_characters:
        return False
    if other.letters in kept.letters:
        return _within(other, kept)
    return _equal_details(kept, other) and _jaccard(kept.shingles, other.shingles) >= config.threshold


def _equal_details(first: _Text, second: _Text) -> bool:
    return (
        first.numbers == second.numbers
        and first.words == second.words
        and first.negations == second.negations
        and first.operators == second.operators
        and first.verbatim == second.verbatim
    )


def _within(short: _Text, long: _Text) -> bool:
    """Numbers, words, operators and formulas of the short one are all in the long one (`40` is not in `4096`)."""
    return (
        short.numbers <= long.numbers
        and short.words <= long.words
        and short.operators <= long.operators
        and short.verbatim <= long.verbatim
    )


def _jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    return len(first & second) / len(first | second)


def _preference(text: _Text) -> tuple[int, int, str, tuple[int, int], str]:
    return (-len(text.letters), -len(text.chunk.heading), *_reading_order(text.chunk))


def _reading_order(chunk: Chunk) -> tuple[str, tuple[int, int], str]:
    return (chunk.note, chunk.lines, chunk.id)


def _with_alternatives(chunk: Chunk, duplicates: Sequence[Chunk]) -> Chunk:
    places = {place.chunk_id: place for place in chunk.alternatives}
    for duplicate in duplicates:
        for place in (_place(duplicate), *duplicate.alternatives):
            places.setdefault(place.chunk_id, place)
    ordered = sorted(places.values(), key=lambda place: (place.note, place.lines, place.chunk_id))
    return replace(chunk, alternatives=tuple(ordered))


def _place(chunk: Chunk) -> Place:
    return Place(chunk.id, chunk.note, chunk.heading, chunk.lines, chunk.text)
