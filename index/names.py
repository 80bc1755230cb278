"""Where a text uses a name, whatever its script variant, case, joints or inflection: `KV cache`, `KV-Caches`.

A Chinese name is found wherever its characters stand, since no spaces bound it; a Latin one only as whole words. Where
several names begin at one place the longest is meant: in 多头注意力 nothing says 注意力.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

from index.normalise import normalise
from index.tokenizer import stem

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HAN_CHARACTER = re.compile(f"[{_HAN}]")
_UNIT = re.compile(rf"[{_HAN}]|[^\W\d_{_HAN}]+|\d+")
_HUMP = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SHORTEST_HUMP = 4

Units = tuple[str, ...]
Value = TypeVar("Value", bound=Hashable)


@dataclass(frozen=True, slots=True)
class NameUse(Generic[Value]):
    """Where a text uses a name, ``text[start:end]``, and what the name stands for."""

    start: int
    end: int
    values: tuple[Value, ...]


class NameFinder(Generic[Value]):
    """Names, each with the values that it stands for, in the order given. Never changes, so threads share it."""

    def __init__(self, names: Iterable[tuple[str, Value]]) -> None:
        self._values: dict[Units, dict[Value, None]] = {}
        for name, value in names:
            for spelling in _spellings(name):
                self._values.setdefault(spelling, {})[value] = None
        lengths: dict[str, set[int]] = {}
        for spelling in self._values:
            lengths.setdefault(spelling[0], set()).add(len(spelling))
        self._lengths = {first: sorted(found, reverse=True) for first, found in lengths.items()}

    def values(self, name: str) -> tuple[Value, ...]:
        """What a name stands for; nothing if it is unknown."""
        return tuple(self._values.get(units_of(name), ()))

    def uses(self, text: str) -> list[NameUse[Value]]:
        """Names in a text from left to right, the longest where several begin, none overlapping."""
        places = [match.span() for match in _UNIT.finditer(text)]
        units = tuple(_unit(text[start:end]) for start, end in places)
        found: list[NameUse[Value]] = []
        position = 0
        while position < len(units):
            length = self._longest(units, position)
            if length:
                values = tuple(self._values[units[position : position + length]])
                found.append(NameUse(places[position][0], places[position + length - 1][1], values))
            position += length or 1
        return found

    def _longest(self, units: Units, position: int) -> int:
        """How many units the longest name at a position has, 0 for none."""
        for length in self._lengths.get(units[position], ()):
            span = units[position : position + length]
            if len(span) == length and span in self._values:
                return length
        return 0


def name_key(name: str) -> str:
    """What spellings of one name share: script variants, case, joints and inflection apart."""
    return "".join(units_of(name))


def is_chinese(name: str) -> bool:
    """Whether a name has a Chinese character, so that its other names in Latin letters are translations."""
    return _HAN_CHARACTER.search(name) is not None


def units_of(text: str) -> Units:
    """The units that names are compared by: Chinese characters, stemmed Latin words, numbers; none of mere signs."""
    return tuple(_unit(unit) for unit in _UNIT.findall(text))


@lru_cache(maxsize=50_000)
def _unit(text: str) -> str:
    return stem(normalise(text))


def _spellings(name: str) -> set[Units]:
    """A name's units and, for Latin ones, those of its spellings with and without joints: LayerNorm, layer norm."""
    units = units_of(name)
    if not units or is_chinese(name):
        return {units} - {()}
    humps = _HUMP.findall(name)
    whole = "".join(humps) == "".join(_UNIT.findall(name))  # Lead-3 is no `lead`
    split = {units_of(" ".join(humps))} if whole and all(len(hump) >= _SHORTEST_HUMP for hump in humps) else set()
    joined = {(stem(normalise("".join(_UNIT.findall(name)))),)} if len(units) > 1 else set()
    return {units} | split | joined
