"""Which of the notes' concepts a question describes, and which chunks name them.

Only concepts that the chunks name are kept, with the token vectors of their descriptions, encoded as questions. A
question describes a concept as well as it is like the best of its descriptions and, for a quarter, the second best:
MaxSim in both directions (LateIndex.mutual_scores) among the descriptions whose vectors are nearest. What counts as
alike is measured when the index is built, on questions about anything (calibration_questions.py), so that it holds for
every encoder.
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

CONCEPTS_VERSION = 2
_FILE = "concepts.json"
_DESCRIPTIONS = "descriptions"
_ARRAYS = {
    "counts": np.int64,
    "rows": np.int64,
    "salience": np.float32,
    "owners": np.int64,
    "vectors": np.float16,
    "anything": np.float32,
}
_NEAREST = 128  # descriptions compared token by token; twice as many change nothing that can be shown
_OF_SECOND = 0.25  # what a concept's second best description counts, beside its best
_MOST = 5  # concepts of one question
# Standard deviations above what a description reaches on average. Chosen on four sets of questions together, of which
# none stands out (docs/benchmarks.md): the neighbours, from 2 to 3 and 7 to 9, are as good.
_FROM, _FULL = 2.0, 8.0
_LEAST_WAY = 1e-4  # squared length; for the bundled encoder it is 0.026
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


@dataclass(frozen=True, slots=True)
class Unrelated:
    """How alike a question and a description are that have nothing to do with each other: mean, standard deviation."""

    average: float
    spread: float


class ConceptIndex:
    """The concepts that some chunks name. Never changes; shared by any number of threads.

    ``arrays``: ``counts`` (c,) and, one concept after the other, ``rows`` and ``salience`` (n,) are those of
    NamedConcept; ``owners`` (m,) says whose each description is, ``vectors`` (m, d) float16 are theirs; ``anything``
    (d,) is the mean vector of questions about anything. ``tokens`` are the descriptions' token vectors.
    """

    def __init__(
        self,
        concepts: Sequence[Concept],
        arrays: Mapping[str, np.ndarray],
        *,
        tokens: LateIndex,
        unrelated: Unrelated,
        chunks: int,
    ) -> None:
        self.concepts = tuple(concepts)
        self.chunks = chunks
        self._arrays = dict(arrays)
        self._starts = np.concatenate([[0], np.cumsum(arrays["counts"])])
        self._vectors = arrays["vectors"].astype(np.float32)
        self._tokens = tokens
        self._unrelated = unrelated
        self._counted = np.bincount(arrays["owners"], minlength=len(self.concepts))
        self._descriptions = [text for concept in self.concepts for text in concept.descriptions]
        described = self._vectors.mean(axis=0)
        self._middle = (described + arrays["anything"]) / 2
        self._way = described - arrays["anything"]

    @classmethod
    def build(
        cls,
        named: Sequence[NamedConcept],
        encodings: Sequence[Encoding],
        config: LateConfig,
        *,
        questions: Mapping[str, Sequence[Encoding]],
        chunks: int,
    ) -> ConceptIndex:
        """Build it for so many ``chunks`` from the encodings, as questions, of every description in order.

        ``questions`` are those about anything, by language. Raises ValueError for no concept or no question.
        """
        asked = {language: [TokenVectors.of(each, language) for each in texts] for language, texts in questions.items()}
        everything = [each for texts in asked.values() for each in texts]
        if not named or not everything:
            raise ValueError("concepts need descriptions, and questions to compare them with")
        means = {language: mean_token_vector(texts) for language, texts in asked.items()}
        tokens = LateIndex.build([TokenVectors.of(each) for each in encodings], _late(config), means)
        some = np.arange(0, tokens.rows, max(1, tokens.rows // _SURVEYED))
        reached = [tokens.mutual_scores(question, some) for question in everything]
        arrays = {
            "counts": np.array([len(each.rows) for each in named], dtype=np.int64),
            "rows": np.concatenate([each.rows for each in named]),
            "salience": np.concatenate([each.salience for each in named]),
            "owners": np.repeat(np.arange(len(named)), [len(each.concept.descriptions) for each in named]),
            "vectors": np.stack([each.vector for each in encodings]).astype(np.float16),
            "anything": np.mean([each.vector for texts in questions.values() for each in texts], axis=0),
        }
        unrelated = Unrelated(
            average=round(float(np.mean([scores.mean() for scores in reached])), 6),
            # One description has no spread by itself; that over the questions stands for it.
            spread=round(float(np.mean([scores.std() for scores in reached]) or np.std(reached)), 6),
        )
        return cls([each.concept for each in named], arrays, tokens=tokens, unrelated=unrelated, chunks=chunks)

    def matches(self, question: TokenVectors, vector: np.ndarray) -> tuple[ConceptMatch, ...]:
        """The concepts that a question describes, surest first, at most five; ``vector`` (d,) is its own."""
        nearest = np.argsort(-(self._vectors @ vector), kind="stable")[:_NEAREST]
        alike = self._tokens.mutual_scores(question, nearest)
        deviations = (alike - self._unrelated.average) / self._unrelated.spread
        owners = self._arrays["owners"][nearest]
        best: list[ConceptMatch] = []
        for number, (deviation, place) in _by_owner(deviations, owners, self._counted).items():
            strength = float(np.clip((deviation - _FROM) / (_FULL - _FROM), 0, 1))
            if not strength > 0 or len(best) == _MOST:
                break
            description = self._descriptions[int(nearest[place])]
            best.append(ConceptMatch(number, self.concepts[number].names, strength, description))
        return tuple(best)

    def relevance(self, matches: Sequence[ConceptMatch]) -> np.ndarray:
        """How much each chunk is about what a question describes: (chunks,) float32 in [0, 1].

        That of the concept by which a chunk has most: how surely it is meant times its salience there.
        """
        relevance = np.zeros(self.chunks, dtype=np.float32)
        for match in matches:
            span = slice(self._starts[match.number], self._starts[match.number + 1])
            rows = self._arrays["rows"][span]
            relevance[rows] = np.maximum(relevance[rows], match.strength * self._arrays["salience"][span])
        return relevance

    def likeness_to_field(self, vector: np.ndarray) -> float:
        """Whether a question's vector (d,) lies with the descriptions or with questions about anything.

        Along the way from the mean of the latter, -0.5, to that of the former, 0.5; no farther than -1 and 1. 0 where
        the two are the same, as far as can be told.
        """
        length = float(self._way @ self._way)
        return float(np.clip((vector - self._middle) @ self._way / length, -1, 1)) if length > _LEAST_WAY else 0.0

    def save(self, folder: Path) -> None:
        """Write ``concepts.json`` and its arrays, and the descriptions' token vectors, into a folder that exists."""
        header = {
            "version": CONCEPTS_VERSION,
            "chunks": self.chunks,
            "average": self._unrelated.average,
            "spread": self._unrelated.spread,
            "concepts": [[list(concept.names), list(concept.descriptions)] for concept in self.concepts],
        }
        (folder / _FILE).write_text(json.dumps(header, ensure_ascii=False), encoding="utf-8")
        for name in _ARRAYS:
            np.save(folder / f"concepts_{name}.npy", self._arrays[name], allow_pickle=False)
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
            chunks, unrelated = int(header["chunks"]), Unrelated(float(header["average"]), float(header["spread"]))
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _corrupt(folder, str(error)) from error
        tokens = LateIndex.load(folder, _late(config), _DESCRIPTIONS)
        sane = np.isfinite(unrelated.average) and 0 < unrelated.spread < np.inf
        if not (_fit(concepts, arrays, tokens, chunks) and sane):
            raise _corrupt(folder, "concepts, descriptions and chunks disagree")
        return cls(concepts, arrays, tokens=tokens, unrelated=unrelated, chunks=chunks)


def _by_owner(deviations: np.ndarray, owners: np.ndarray, counted: np.ndarray) -> dict[int, tuple[float, int]]:
    """How well each concept is described, best first: by number, and where its best description stands.

    Of two concepts that one description speaks for alike, the one that another speaks for as well is more surely meant.
    A second one that is not among these counts as the least of them, and as the average at most; a concept with one
    description is taken at its word.
    """
    least = float(deviations.min(initial=0.0))
    firsts: dict[int, int] = {}
    seconds: dict[int, float] = {}
    for place in np.argsort(-deviations, kind="stable").tolist():
        number = int(owners[place])
        if number not in firsts:
            firsts[number] = place
        else:
            seconds.setdefault(number, float(deviations[place]))
    described = {}
    for number, place in firsts.items():
        first = float(deviations[place])
        second = seconds.get(number, least if counted[number] > 1 else first)
        described[number] = ((1 - _OF_SECOND) * first + _OF_SECOND * second, place)
    return dict(sorted(described.items(), key=lambda entry: (-entry[1][0], entry[0])))


def _late(config: LateConfig) -> LateConfig:
    """Descriptions are short, so without windows; compressed, which loses nothing here (docs/benchmarks.md)."""
    return config.model_copy(update={"window_weight": 0.0, "full_precision_tokens": 0})


def _header(folder: Path) -> dict[str, Any]:
    header: dict[str, Any] = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    if header["version"] != CONCEPTS_VERSION:
        raise ValueError(f"it has version {header['version']}, not {CONCEPTS_VERSION}")
    return header


def _fit(concepts: Sequence[Concept], arrays: Mapping[str, np.ndarray], tokens: LateIndex, chunks: int) -> bool:
    if any(arrays[name].dtype != dtype for name, dtype in _ARRAYS.items()):
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
        and arrays["anything"].shape == (tokens.dimension,)
        and bool(np.isfinite(arrays["anything"]).all() and np.isfinite(arrays["vectors"]).all())
    )


def _corrupt(folder: Path, reason: str) -> IndexCorrupt:
    return IndexCorrupt(
        f"The concepts in {folder} cannot be read: {reason}.",
        hint="Run `asknotes index --full` to build the index anew.",
    )
