"""Concepts of made-up words, their index by the toy encoder, and what a question is in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from index.building import calibration_encodings
from index.concept_index import ConceptIndex, ConceptMatch
from index.concepts import Concept, NamedConcept
from index.config import LateConfig
from index.encoder import Encoding
from index.late import TokenVectors
from tests.toys import ToyEncoder

ENCODER = ToyEncoder(size=64)
LATE = LateConfig()


def made_up(number: int, descriptions: int = 3) -> Concept:
    """A concept whose descriptions share no word with those of another."""
    texts = tuple(" ".join(f"w{number}x{each}x{word}" for word in range(6)) for each in range(descriptions))
    return Concept((f"name{number}",), texts)


MANY = [made_up(number) for number in range(30)]


def named(concept: Concept, rows: Sequence[int] = (0,), salience: float = 0.5) -> NamedConcept:
    return NamedConcept(concept, np.array(rows, dtype=np.int64), np.full(len(rows), salience, dtype=np.float32))


def concept_index(
    found: Sequence[NamedConcept], *, chunks: int = 4, questions: dict[str, list[Encoding]] | None = None
) -> ConceptIndex:
    return ConceptIndex.build(
        found,
        [ENCODER.encode_query(text) for each in found for text in each.concept.descriptions],
        LATE,
        questions=calibration_encodings(ENCODER.encode_query) if questions is None else questions,
        chunks=chunks,
    )


def question(text: str) -> TokenVectors:
    encoding = ENCODER.encode_query(text)
    return TokenVectors(encoding.token_vectors, encoding.token_ids, "en")


def matches(index: ConceptIndex, text: str) -> tuple[ConceptMatch, ...]:
    return index.matches(question(text), ENCODER.encode_query(text).vector)
