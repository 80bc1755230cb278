"""The notes' own glossary: pairs of names that they use for the same thing (`自注意力` and `self-attention`).

Mined at ingest (ingest/glossary.py), stored with the snapshot as ``glossary.json``, looked up in questions and chunks.
Only what stands in a pair is another name for something: names of names are not followed, because the notes use one
acronym for several things.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from index.errors import IndexCorrupt
from index.normalise import normalise
from index.tokenizer import Tokenizer, stem

GLOSSARY_VERSION = 1
GLOSSARY_FILE = "glossary.json"

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HAN_CHARACTER = re.compile(f"[{_HAN}]")
_UNIT = re.compile(rf"[{_HAN}]|[^\W\d_{_HAN}]+|\d+")
_HUMP = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SHORTEST_HUMP = 4

Units = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TermPair:
    """Two names for one thing, as the notes write them most often, in the order of their keys.

    ``count`` is at how many places of the notes they stand side by side, ``chunk_id`` one of them.
    """

    names: tuple[str, str]
    count: int
    chunk_id: str


@dataclass(frozen=True, slots=True)
class Mention:
    """Where a text uses a name of the glossary, and its other names, those of the other script first."""

    start: int
    end: int
    others: tuple[str, ...]


def name_key(name: str) -> str:
    """What spellings of one name share: script variants, case, joints and inflection apart."""
    return "".join(_units(name))


def is_chinese(name: str) -> bool:
    """Whether a name has a Chinese character, so that its other names in Latin letters are translations."""
    return _HAN_CHARACTER.search(name) is not None


class Glossary:
    """Pairs of names and where a text mentions them. Never changes, so threads share it."""

    def __init__(self, pairs: Iterable[TermPair]) -> None:
        self.pairs = tuple(sorted(pairs, key=lambda pair: (pair.names, pair.chunk_id)))
        self._others: dict[Units, dict[str, int]] = {}
        for pair in self.pairs:
            for name, other in (pair.names, pair.names[::-1]):
                for spelling in _spellings(name):
                    self._others.setdefault(spelling, {})[other] = pair.count
        lengths: dict[str, set[int]] = {}
        for spelling in self._others:
            lengths.setdefault(spelling[0], set()).add(len(spelling))
        self._lengths = {first: sorted(found, reverse=True) for first, found in lengths.items()}

    def other_names(self, name: str) -> tuple[str, ...]:
        """The other names of a name, those of the other script first, then the more frequent; none if unknown."""
        return self._ordered(_units(name))

    def mentions(self, text: str) -> list[Mention]:
        """Names in a text from left to right, the longest where several begin, none overlapping."""
        places = [match.span() for match in _UNIT.finditer(text)]
        units = tuple(_unit(text[start:end]) for start, end in places)
        found: list[Mention] = []
        position = 0
        while position < len(units):
            length = self._longest(units, position)
            if length:
                span = units[position : position + length]
                last = places[position + length - 1]
                found.append(Mention(places[position][0], last[1], self._ordered(span)))
            position += length or 1
        return found

    def _longest(self, units: Units, position: int) -> int:
        """How many units the longest name at a position has, 0 for none."""
        for length in self._lengths.get(units[position], ()):
            span = units[position : position + length]
            if len(span) == length and span in self._others:
                return length
        return 0

    def _ordered(self, units: Units) -> tuple[str, ...]:
        chinese = any(is_chinese(unit) for unit in units)
        others = self._others.get(units, {})
        return tuple(sorted(others, key=lambda other: (is_chinese(other) == chinese, -others[other], other)))

    def save(self, folder: Path) -> None:
        """Write ``glossary.json`` into a folder that exists; equal pairs give equal bytes."""
        pairs = [[*pair.names, pair.count, pair.chunk_id] for pair in self.pairs]
        content = json.dumps({"version": GLOSSARY_VERSION, "pairs": pairs}, ensure_ascii=False, indent=0)
        (folder / GLOSSARY_FILE).write_text(content + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Glossary:
        """Read what ``save`` wrote; raises IndexCorrupt."""
        try:
            content = json.loads((folder / GLOSSARY_FILE).read_text(encoding="utf-8"))
            return cls(_pairs(content))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise IndexCorrupt(
                f"{GLOSSARY_FILE} in {folder} cannot be read: {error}.",
                hint="Run `asknotes index --full` on your notes, or `asknotes rollback` to the snapshot before.",
            ) from error


def expansion_terms(text: str, glossary: Glossary, tokenizer: Tokenizer) -> list[str]:
    """Terms of what a text's names are called elsewhere, each once, without those that the text has itself."""
    others = [other for mention in glossary.mentions(text) for other in mention.others]
    if not others:
        return []
    own = set(tokenizer.terms(text))
    return [term for term in dict.fromkeys(tokenizer.terms("\n".join(dict.fromkeys(others)))) if term not in own]


def _pairs(content: Mapping[str, Any]) -> list[TermPair]:
    if content["version"] != GLOSSARY_VERSION:
        raise ValueError(f"it has version {content['version']}, not {GLOSSARY_VERSION}")
    return [_pair(entry) for entry in content["pairs"]]


def _pair(entry: Sequence[Any]) -> TermPair:
    first, second, count, chunk_id = entry
    texts = isinstance(first, str) and isinstance(second, str) and isinstance(chunk_id, str)
    if not texts or type(count) is not int or count < 1 or not _units(first) or not _units(second):
        raise ValueError(f"{entry!r} is no pair of names")
    return TermPair((first, second), count, chunk_id)


def _units(text: str) -> Units:
    return tuple(_unit(unit) for unit in _UNIT.findall(text))


@lru_cache(maxsize=50_000)
def _unit(text: str) -> str:
    return stem(normalise(text))


def _spellings(name: str) -> set[Units]:
    """A name's units and, for Latin ones, those of its spellings with and without joints: LayerNorm, layer norm."""
    units = _units(name)
    if is_chinese(name):
        return {units}
    humps = _HUMP.findall(name)
    split = {_units(" ".join(humps))} if all(len(hump) >= _SHORTEST_HUMP for hump in humps) and humps else set()
    joined = {(stem(normalise("".join(_UNIT.findall(name)))),)} if len(units) > 1 else set()
    return {units} | split | joined


NO_GLOSSARY = Glossary([])
"""That of notes that name nothing twice."""
