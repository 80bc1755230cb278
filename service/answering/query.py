"""A question as the index sees it: vectors and terms, of the question itself and of other ways to ask it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.concept_index import ConceptMatch
from index.encoder import Encoding, TextEncoder
from index.late import TokenVectors
from index.tokenizer import Tokenizer
from ingest.language import language_of


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A passage that might answer a question (hyde.py), its vector, (d,) float32, and its weight beside the question.

    The weight counts twice: in rank fusion, and as that of its z-score where late interaction orders.
    """

    text: str
    vector: np.ndarray
    weight: float


@dataclass(frozen=True, slots=True)
class Described:
    """The concepts that a question describes without naming them, if any, and their weight beside late interaction."""

    matches: tuple[ConceptMatch, ...]
    weight: float


@dataclass(frozen=True, slots=True)
class Query:
    """A question, and what it is searched with beside itself.

    ``described`` is None where it was not looked for. ``variants`` are other ways to ask the same, ``parts`` the
    questions that it consists of; neither has any of its own, but parts describe concepts themselves.
    """

    text: str
    encoding: Encoding
    terms: tuple[str, ...]
    language: str
    hypothesis: Hypothesis | None = None
    described: Described | None = None
    variants: tuple[Variant, ...] = ()
    parts: tuple[Query, ...] = ()

    @property
    def tokens(self) -> TokenVectors:
        """The question's token vectors, as late interaction takes them."""
        return TokenVectors.of(self.encoding, self.language.split("-")[0])


@dataclass(frozen=True, slots=True)
class Variant:
    """Another way to ask a question: the stage that made it, and its weight beside the question's own 1."""

    stage: str
    query: Query
    weight: float


def understand(question: str, encoder: TextEncoder, tokenizer: Tokenizer, language: str | None = None) -> Query:
    """Encode and segment a question, which is to be read and answered in its own language unless another is given."""
    return Query(
        text=question,
        encoding=encoder.encode_query(question),
        terms=tuple(tokenizer.terms(question)),
        language=language or language_of(question),
    )
