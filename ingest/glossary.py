"""The glossary of a set of notes, mined from their cleaned chunks: which names they use for the same thing.

First every place where two names stand side by side (ingest/term_pairs.py). Then, for Chinese names in front of a
bracket, where they begin: with the longest of their last words that read as a name of a fitting length, or that the
notes use elsewhere with something else in front (``利用自注意力机制（self-attention）`` holds 自注意力机制).
Mined anew from all chunks each time, so that no history of runs can show; 20,000 chunks take seconds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import rjieba

from index.glossary import Glossary, TermPair
from index.names import name_key
from index.schema import Chunk
from ingest.term_pairs import Sighting, prose, sightings, title_sightings
from ingest.term_shapes import (
    can_translate,
    ends_as_verb,
    han_count,
    is_acronym,
    is_chinese_name,
    is_latin_name,
    starts_as_verb,
    word_count,
)

GLOSSARY_MINING_VERSION = 1
"""Raise it with every change that could find other pairs in the same chunks."""

_TIGHT = 2  # Han characters a word, and as many more: a phrase of this length is taken as it stands

Words = tuple[str, ...]


def mine_glossary(chunks: Sequence[Chunk]) -> Glossary:
    """The names that chunks use for the same thing, whatever the order of the chunks."""
    ordered = sorted(chunks, key=lambda chunk: chunk.id)
    texts = [prose(chunk.text) for chunk in ordered]
    seen = [*_in_texts(ordered, texts), *_in_titles(ordered)]
    usage = _usage(texts, [sighting for sighting, _ in seen])
    found: dict[tuple[str, str], _Found] = defaultdict(_Found)
    for sighting, chunk_id in seen:
        first = sighting.first or _beginning(sighting, usage)
        names = sorted((first, sighting.second), key=lambda name: (name_key(name), name))
        keys = (name_key(names[0]), name_key(names[1]))
        if first and keys[0] != keys[1]:
            found[keys].add((names[0], names[1]), chunk_id, sure=sighting.sure)
    return Glossary(each.pair() for each in found.values() if each.sure or each.count > 1)


@dataclass(slots=True)
class _Found:
    """A pair of names with how it was written, and where."""

    spellings: Counter[tuple[str, str]] = field(default_factory=Counter)
    chunk_id: str = ""
    sure: bool = False

    @property
    def count(self) -> int:
        return self.spellings.total()

    def add(self, names: tuple[str, str], chunk_id: str, *, sure: bool) -> None:
        self.spellings[names] += 1
        self.chunk_id = self.chunk_id or chunk_id
        self.sure = self.sure or sure

    def pair(self) -> TermPair:
        names = min(self.spellings, key=lambda names: (-self.spellings[names], names))
        return TermPair(names, self.count, self.chunk_id)


def _in_texts(chunks: Iterable[Chunk], texts: Iterable[str]) -> Iterator[tuple[Sighting, str]]:
    for chunk, text in zip(chunks, texts, strict=True):
        for sighting in sightings(text):
            yield sighting, chunk.id


def _in_titles(chunks: Iterable[Chunk]) -> Iterator[tuple[Sighting, str]]:
    """Sightings in titles: one counts once in a note, however many chunks stand under it."""
    seen: set[tuple[str, str]] = set()
    for chunk in chunks:
        for title in (chunk.title, *chunk.heading):
            if (chunk.note, title) not in seen:
                seen.add((chunk.note, title))
                text = prose(title)
                for sighting in (*sightings(text), *title_sightings(text)):
                    yield sighting, chunk.id


@dataclass(frozen=True, slots=True)
class _Usage:
    """Which phrases the notes use, and what stands in front of them, "" for punctuation and beginnings of lines."""

    befores: dict[Words, Counter[str]]
    words: Counter[str]

    def elsewhere(self, phrase: Words, before: str) -> bool:
        """Whether a phrase is also used without this word in front of it."""
        found = self.befores.get(phrase, Counter())
        return any(other != before for other in found) or (not before and found[before] > 1)

    def common(self, word: str) -> bool:
        """Whether the notes use a word at more than one place: one that is used only here is part of the name."""
        return self.words[word] > 1


def _usage(texts: Iterable[str], seen: Iterable[Sighting]) -> _Usage:
    """Count the phrases that may be names, and their words, in one pass over all texts."""
    by_first: dict[str, set[Words]] = defaultdict(set)
    for sighting in seen:
        candidates = tuple(word for word, _ in sighting.words)
        for start in range(len(candidates)):
            by_first[candidates[start]].add(candidates[start:])
    befores: dict[Words, Counter[str]] = defaultdict(Counter)
    counts: Counter[str] = Counter()
    for text in texts if by_first else ():
        words = ["", *rjieba.cut(text, False)]
        for position in [position for position, word in enumerate(words) if word in by_first]:
            counts[words[position]] += 1
            before = words[position - 1]
            for phrase in by_first[words[position]]:
                if tuple(words[position : position + len(phrase)]) == phrase:
                    befores[phrase][before if before.isalnum() else ""] += 1
    return _Usage(befores, counts)


def _beginning(sighting: Sighting, usage: _Usage) -> str:
    """The Chinese name before a bracket, empty where it cannot be told."""
    whole = "".join(word for word, _ in sighting.words)
    if sighting.bounded and _fits(whole, sighting, bounded=True):
        return whole
    if sighting.before.isascii() and sighting.before.isalnum():
        return ""  # the name has a Latin part in front
    return next(_endings(sighting, usage), "")


def _endings(sighting: Sighting, usage: _Usage) -> Iterator[str]:
    """Last words of what stands before a bracket that may be a name, the longest first."""
    longest = _TIGHT * word_count(sighting.second) + _TIGHT
    words, tags = [word for word, _ in sighting.words], [tag for _, tag in sighting.words]
    for start in range(len(words)):
        if start and _belongs(words[start - 1], words[start:], usage, longest=longest):
            return
        phrase: Words = tuple(words[start:])
        name = "".join(phrase)
        before = words[start - 1] if start else sighting.before
        reads_as_name = any(len(word) > 1 for word in phrase) and not ends_as_verb(name)
        named = tags[start].startswith("n") or (not start and not starts_as_verb(tags[0]))
        tight = reads_as_name and named and han_count(name) <= longest
        bounded = not start and is_acronym(sighting.second)
        if (tight or usage.elsewhere(phrase, before)) and _fits(name, sighting, bounded=bounded):
            yield name


def _belongs(word: str, rest: Sequence[str], usage: _Usage, *, longest: int) -> bool:
    """Whether a word cannot be taken off a name: half of an unknown word, or a word used only here that has room."""
    has_room = han_count("".join([word, *rest])) <= longest
    return len(word) == 1 or (has_room and not usage.common(word))


def _fits(chinese: str, sighting: Sighting, *, bounded: bool) -> bool:
    if not is_latin_name(sighting.second):
        return is_chinese_name(chinese)
    long_name = sighting.bounded and chinese == "".join(word for word, _ in sighting.words)
    return is_chinese_name(chinese, linked=long_name) and can_translate(chinese, sighting.second, bounded=bounded)
