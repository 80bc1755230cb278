"""The notes' own glossary: pairs of names that they use for the same thing (`自注意力` and `self-attention`).

Mined at ingest (ingest/glossary.py), stored with the snapshot as ``glossary.json``, looked up in questions and chunks.
Only what stands in a pair is another name for something: names of names are not followed, because the notes use one
acronym for several things.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index.errors import IndexCorrupt
from index.names import NameFinder, is_chinese, units_of
from index.tokenizer import Tokenizer

GLOSSARY_VERSION = 1
GLOSSARY_FILE = "glossary.json"


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


class Glossary:
    """Pairs of names and where a text mentions them. Never changes, so threads share it."""

    def __init__(self, pairs: Iterable[TermPair]) -> None:
        self.pairs = tuple(sorted(pairs, key=lambda pair: (pair.names, pair.chunk_id)))
        self._names = NameFinder(
            (name, (other, pair.count)) for pair in self.pairs for name, other in (pair.names, pair.names[::-1])
        )

    def other_names(self, name: str) -> tuple[str, ...]:
        """The other names of a name, those of the other script first, then the more frequent; none if unknown."""
        return _ordered(name, self._names.values(name))

    def mentions(self, text: str) -> list[Mention]:
        """Names in a text from left to right, the longest where several begin, none overlapping."""
        return [
            Mention(use.start, use.end, _ordered(text[use.start : use.end], use.values))
            for use in self._names.uses(text)
        ]

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
    if not texts or type(count) is not int or count < 1 or not units_of(first) or not units_of(second):
        raise ValueError(f"{entry!r} is no pair of names")
    return TermPair((first, second), count, chunk_id)


def _ordered(name: str, others: Sequence[tuple[str, int]]) -> tuple[str, ...]:
    counts, chinese = dict(others), is_chinese(name)
    return tuple(sorted(counts, key=lambda other: (is_chinese(other) == chinese, -counts[other], other)))


NO_GLOSSARY = Glossary([])
"""That of notes that name nothing twice."""
