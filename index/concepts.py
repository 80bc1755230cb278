"""What people call a thing who do not have its name: the field's concepts, each with names and descriptions.

A note says 过拟合, its reader asks why the model 一到新数据就不行. No encoder of the size used here brings the two
together; a list of concepts does, in which each has its names, as notes write them, and descriptions in everyday words
that have none of the names. Those that come with asknotes (``concept_files/``) are about machine learning, language
processing and language models; they were written from general knowledge, without sight of any notes or test questions.
A file of one's own, in the same format, adds those of another field (``index.concepts.files``).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from index.config import ConceptsConfig
from index.errors import ConfigInvalid
from index.names import NameFinder, units_of
from index.passages import heading_lines
from index.schema import Chunk

CONCEPT_FILES = Path(__file__).with_name("concept_files")
_IN_HEADING = 2  # uses in the text that one in the heading path counts for


@dataclass(frozen=True, slots=True)
class Concept:
    """A thing, its names, the most usual one first, and what it is called by who does not name it."""

    names: tuple[str, ...]
    descriptions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NamedConcept:
    """A concept that chunks name: their ``rows`` (n,), ascending, and its ``salience`` in each, (n,) float32 in (0, 1].

    It grows with the uses of the concept's names and is less for what many chunks name.
    """

    concept: Concept
    rows: np.ndarray
    salience: np.ndarray


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    names: list[str] = Field(min_length=1)
    descriptions: list[str] = Field(min_length=1)


def concepts_of(config: ConceptsConfig) -> tuple[Concept, ...]:
    """The configured concepts, those that come with asknotes first; none where they are off.

    Raises ConfigInvalid for a file that is not there or not of the format, with the line.
    """
    if not config.enabled:
        return ()
    own = sorted(CONCEPT_FILES.glob("*.jsonl")) if config.built_in else []
    return tuple(concept for path in [*own, *config.files] for concept in _read(path, _content(path)))


def concepts_digest(concepts: Sequence[Concept]) -> str:
    """Short digest of what concepts say."""
    said = "\n".join("\t".join([*concept.names, "", *concept.descriptions]) for concept in concepts)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def named_concepts(chunks: Sequence[Chunk], concepts: Sequence[Concept]) -> list[NamedConcept]:
    """The concepts that these chunks name in heading path or text, in their order."""
    finder = NameFinder(
        (name, (number, _has_capitals_within(name)))
        for number, concept in enumerate(concepts)
        for name in concept.names
    )
    uses: dict[int, dict[int, int]] = {}
    for row, chunk in enumerate(chunks):
        for text, weight in ((chunk.text, 1), ("\n".join(heading_lines(chunk)), _IN_HEADING)):
            for use in finder.uses(text):
                # Among Chinese `rag` is the name, among English words `zero` is not ZeRO.
                written_small = chunk.language == "en" and text[use.start : use.end].islower()
                meant = {number for number, has_capitals in use.values if not (has_capitals and written_small)}
                for number in meant:  # once, though BLEU and `bleu` are names of one concept
                    counts = uses.setdefault(number, {})
                    counts[row] = counts.get(row, 0) + weight
    return [_named(concepts[number], uses[number], len(chunks)) for number in sorted(uses)]


def _has_capitals_within(name: str) -> bool:
    """Whether a name is one Latin word with a capital that is not its first letter: ZeRO, not Dropout."""
    return name.isascii() and len(units_of(name)) == 1 and any(letter.isupper() for letter in name[1:])


def _named(concept: Concept, uses: dict[int, int], chunks: int) -> NamedConcept:
    rows = np.array(sorted(uses), dtype=np.int64)
    counts = np.array([uses[row] for row in rows.tolist()], dtype=np.float32)
    rarity = math.sqrt(math.log1p(chunks / len(rows)) / math.log1p(chunks))
    return NamedConcept(concept, rows, np.asarray(counts / (1 + counts) * rarity, dtype=np.float32))


def _content(path: Path) -> bytes:
    try:
        return path.expanduser().read_bytes()
    except (OSError, RuntimeError) as error:
        raise ConfigInvalid(
            f"index.concepts.files: {path} cannot be read: {error}.", hint="Correct the path, or leave the file out."
        ) from error


@lru_cache(maxsize=32)
def _read(path: Path, content: bytes) -> tuple[Concept, ...]:
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{path} is not UTF-8 text: {error}.", hint="Save it as UTF-8.") from error
    return tuple(_concept(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip())


def _concept(line: str, place: str) -> Concept:
    hint = 'A line is {"names": ["过拟合", "overfitting"], "descriptions": ["换新数据就不行"]}, none of them empty.'
    try:
        read = _Line.model_validate_json(line)
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in details["loc"])
        raise ConfigInvalid(f"{place}: {key + ': ' if key else ''}{details['msg']}.", hint=hint) from error
    for text in (*read.names, *read.descriptions):
        if not units_of(text):
            raise ConfigInvalid(f"{place}: {text!r} has no letter or digit.", hint=hint)
    return Concept(tuple(dict.fromkeys(read.names)), tuple(dict.fromkeys(read.descriptions)))
