"""Which of the notes' concepts a question describes, and which chunks name them.

Only concepts that the chunks name are kept, with the token vectors of their descriptions, encoded as questions. A
question describes a concept as well as it is like the best of its descriptions: MaxSim in both directions
(LateIndex.mutual_scores) among the descriptions whose vectors are nearest. What counts as alike is measured when the
index is built, on questions about anything (calibration_questions.py), so that it holds for every encoder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from index.concepts import Concept, NamedConcept
from index.config import LateConfig
from index.encoder import Encoding
from index.errors import IndexCorrupt
from index.late import LateIndex, TokenVectors, mean_token_vector

CONCEPTS_VERSION = 1
_FILE = "concepts.json"
_DESCRIPTIONS = "descriptions"
_ARRAYS = ("counts", "rows", "salience", "owners", "vectors")
_NEAREST = 64  # descriptions compared token by token; among so many no best one was missed
_MOST = 5  # concepts of one question
# Standard deviations above what a description reaches on average. Chosen on four sets of questions together, of which
# none stands out (docs/benchmarks.md): the neighbours, from 2.5 to 3.5 and 8 to 11, are as good.
_FROM, _FULL = 3.0, 9.0
_SURVEYED = 512  # descriptions that the average is taken over


@dataclass(frozen=True, slots=True)
class ConceptMatch:
    """A concept that a question describes, its number in the index, and how surely, (0, 1].

    ``description`` is that of its descriptions which the question is most like.
    """

    number: int
    names: tuple[str, ...]
    strength: float
    description: str


class ConceptIndex:
    """The concepts that some chunks name. Never changes; shared by any number of threads.

    ``counts`` (c,) and, one concept after the other, ``rows`` and ``salience`` (n,) are those of NamedConcept;
    ``owners`` (m,) says whose each description is, ``vectors`` (m, d) float16 are theirs, ``tokens`` their token
    vectors; ``average`` and ``spread`` are the mean and the standard deviation of how alike a question and a
    description are that have nothing to do with each other.
    """

    def __init__(
        self,
        concepts: Sequence[Concept],
        *,
        counts: np.ndarray,
        rows: np.ndarray,
        salience: np.ndarray,
        owners: np.ndarray,
        vectors: np.ndarray,
        tokens: LateIndex,
        average: float,
        spread: float,
        chunks: int,
    ) -> None:
        self.concepts = tuple(concepts)
        self.chunks = chunks
        self._counts, self._rows, self._salience = counts, rows, salience
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._owners, self._vectors = owners, vectors.astype(np.float32)
        self._tokens = tokens
        self._average, self._spread = average, spread
        self._descriptions = [text for concept in self.concepts for text in concept.descriptions]

    @classmethod
    def build(
        cls,
        named: Sequence[NamedConcept],
        encodings: Sequence[Encoding],
        config: LateConfig,
        *,
        questions: Mapping[str, Sequence[TokenVectors]],
        chunks: int,
    ) -> ConceptIndex:
        """Build it for so many ``chunks`` from the encodings, as questions, of every description in order.

        ``questions`` are those about anything, by language. Raises ValueError for no concept or no question.
        """
        asked = [question for language in questions.values() for question in language]
        if not named or not asked:
            raise ValueError("concepts need descriptions, and questions to compare them with")
        means = {language: mean_token_vector(texts) for language, texts in questions.items()}
        tokens = LateIndex.build(
            [TokenVectors(each.token_vectors, each.token_ids) for each in encodings], _late(config), means
        )
        some = np.arange(0, tokens.rows, max(1, tokens.rows // _SURVEYED))
        reached = [tokens.mutual_scores(question, some) for question in asked]
        return cls(
            [each.concept for each in named],
            counts=np.array([len(each.rows) for each in named], dtype=np.int64),
            rows=np.concatenate([each.rows for each in named]),
            salience=np.concatenate([each.salience for each in named]),
            owners=np.repeat(np.arange(len(named)), [len(each.concept.descriptions) for each in named]),
            vectors=np.stack([each.vector for each in encodings]).astype(np.float16),
            tokens=tokens,
            average=round(float(np.mean([scores.mean() for scores in reached])), 6),
            # One description has no spread by itself; that over the questions stands for it.
            spread=round(float(np.mean([scores.std() for scores in reached]) or np.std(reached)), 6),
            chunks=chunks,
        )

    def matches(self, question: TokenVectors, vector: np.ndarray) -> tuple[ConceptMatch, ...]:
        """The concepts that a question describes, surest first, at most five; ``vector`` (d,) is its own."""
        nearest = np.argsort(-(self._vectors @ vector), kind="stable")[:_NEAREST]
        alike = self._tokens.mutual_scores(question, nearest)
        strengths = np.clip((alike - self._average) / self._spread - _FROM, 0, _FULL - _FROM) / (_FULL - _FROM)
        best: dict[int, ConceptMatch] = {}
        for place in np.argsort(-alike, kind="stable").tolist():
            row = int(nearest[place])
            number, strength = int(self._owners[row]), float(strengths[place])
            if not strength > 0 or len(best) == _MOST:
                break
            if number not in best:
                names = self.concepts[number].names
                best[number] = ConceptMatch(number, names, strength, self._descriptions[row])
        return tuple(best.values())

    def relevance(self, matches: Sequence[ConceptMatch]) -> np.ndarray:
        """How much each chunk is about what a question describes: (chunks,) float32 in [0, 1].

        That of the concept by which a chunk has most: how surely it is meant times its salience there.
        """
        relevance = np.zeros(self.chunks, dtype=np.float32)
        for match in matches:
            span = slice(self._starts[match.number], self._starts[match.number + 1])
            rows = self._rows[span]
            relevance[rows] = np.maximum(relevance[rows], match.strength * self._salience[span])
        return relevance

    def save(self, folder: Path) -> None:
        """Write ``concepts.json`` and its arrays, and the descriptions' token vectors, into a folder that exists."""
        header = {
            "version": CONCEPTS_VERSION,
            "chunks": self.chunks,
            "average": self._average,
            "spread": self._spread,
            "concepts": [[list(concept.names), list(concept.descriptions)] for concept in self.concepts],
        }
        (folder / _FILE).write_text(json.dumps(header, ensure_ascii=False), encoding="utf-8")
        arrays = (self._counts, self._rows, self._salience, self._owners, self._vectors.astype(np.float16))
        for name, array in zip(_ARRAYS, arrays, strict=True):
            np.save(folder / f"concepts_{name}.npy", array, allow_pickle=False)
        self._tokens.save(folder, _DESCRIPTIONS)

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether a folder holds what ``save`` writes."""
        return (folder / _FILE).exists()

    @classmethod
    def load(cls, folder: Path, config: LateConfig) -> ConceptIndex:
        """Read what ``save`` wrote; raises IndexCorrupt where the parts do not fit together."""
        try:
            header = _header(folder)
            concepts = [Concept(tuple(names), tuple(descriptions)) for names, descriptions in header["concepts"]]
            arrays = {name: np.load(folder / f"concepts_{name}.npy", allow_pickle=False) for name in _ARRAYS}
            chunks, average, spread = int(header["chunks"]), float(header["average"]), float(header["spread"])
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _corrupt(folder, str(error)) from error
        tokens = LateIndex.load(folder, _late(config), _DESCRIPTIONS)
        if not (_fit(concepts, arrays, tokens, chunks) and np.isfinite(average) and 0 < spread < np.inf):
            raise _corrupt(folder, "concepts, descriptions and chunks disagree")
        return cls(concepts, **arrays, tokens=tokens, average=average, spread=spread, chunks=chunks)


def _late(config: LateConfig) -> LateConfig:
    """Descriptions are short, so without windows; compressed, which loses nothing here (docs/benchmarks.md)."""
    return config.model_copy(update={"window_weight": 0.0, "full_precision_tokens": 0})


def _header(folder: Path) -> dict[str, Any]:
    header: dict[str, Any] = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    if header["version"] != CONCEPTS_VERSION:
        raise ValueError(f"it has version {header['version']}, not {CONCEPTS_VERSION}")
    return header


def _fit(concepts: Sequence[Concept], arrays: Mapping[str, np.ndarray], tokens: LateIndex, chunks: int) -> bool:
    expected = {"counts": np.int64, "rows": np.int64, "salience": np.float32, "owners": np.int64, "vectors": np.float16}
    if any(arrays[name].dtype != dtype for name, dtype in expected.items()):
        return False
    counts, rows = arrays["counts"], arrays["rows"]
    owners = np.repeat(np.arange(len(concepts)), [len(concept.descriptions) for concept in concepts])
    return (
        len(concepts) > 0
        and counts.shape == (len(concepts),)
        and bool(np.all(counts > 0))
        and rows.shape == arrays["salience"].shape == (int(counts.sum()),)
        and bool(np.all((rows >= 0) & (rows < chunks)))
        and np.array_equal(arrays["owners"], owners)
        and tokens.rows == len(owners)
        and arrays["vectors"].shape == (len(owners), tokens.dimension)
    )


def _corrupt(folder: Path, reason: str) -> IndexCorrupt:
    return IndexCorrupt(
        f"The concepts in {folder} cannot be read: {reason}.",
        hint="Run `asknotes index --full` to build the index anew.",
    )
