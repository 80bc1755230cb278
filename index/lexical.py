"""BM25 over terms: bm25s for speed, rank-bm25 as the reference, one score from both.

The score is Lucene's BM25 (C. Kamphuis et al., "Which BM25 Do You Mean?", ECIR 2020, table 1): a question's terms are
summed, repetitions included, over

    ln(1 + (N - df + 0.5) / (df + 0.5)) * tf / (tf + k1 * (1 - b + b * length / mean length))

with N, lengths and the mean over all rows, empty ones included. This idf is never negative. rank-bm25's BM25Okapi
takes the Robertson idf, which is, and replaces it by a quarter of the mean idf where it is: a term in more than half
of the chunks would then rank differently in the two engines, so ``_ReferenceOkapi`` overrides its idf, and its
constant factor k1 + 1 is divided out. Both engines add up in 64 bits and are rounded to 32 once, at the end, so
that sums that are equal on paper tie in both.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import bm25s
import numpy as np
import numpy.typing as npt
import rank_bm25

from index.config import LexicalConfig
from index.errors import IndexCorrupt

_VOCABULARY_FILE = "lexical_vocabulary.json"
_ARRAY_TYPES: dict[str, type[np.generic]] = {
    "starts": np.int64,
    "rows": np.int32,
    "counts": np.int32,
    "lengths": np.int32,
}
_FORMAT = 1
_REBUILD = "Run `asknotes index --full` on your notes, or `asknotes rollback` to the snapshot before."


@dataclass(frozen=True)
class Postings:
    """Term counts by term, the one thing that is stored: every engine and every k1 and b start from it.

    ``vocabulary`` is sorted. Term ``t`` occurs ``counts[i]`` times in row ``rows[i]`` for ``i`` from ``starts[t]`` up
    to ``starts[t + 1]``, rows ascending. ``lengths`` are the terms per row. dtypes: starts int64, the others int32.
    """

    vocabulary: tuple[str, ...]
    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int32]


class LexicalIndex:
    """What BM25 searches. Row ``i`` is the ``i``-th document, also where that document is empty.

    Nothing changes after building, so threads share one index.
    """

    def __init__(self, postings: Postings, config: LexicalConfig) -> None:
        self._postings = postings
        self._term_ids = {term: i for i, term in enumerate(postings.vocabulary)}
        self._engine: _Engine | None = None
        if postings.vocabulary:
            self._engine = (
                _Bm25sEngine(postings, config) if config.engine == "bm25s" else _ReferenceEngine(postings, config)
            )

    @classmethod
    def build(cls, documents: Sequence[Sequence[str]], config: LexicalConfig) -> LexicalIndex:
        """Index ``documents``, each a list of terms."""
        return cls(_count(documents), config)

    @property
    def rows(self) -> int:
        """Documents in the index, empty ones included."""
        return len(self._postings.lengths)

    def search(
        self, terms: Sequence[str], k: int, *, allowed: npt.NDArray[np.bool_] | None = None
    ) -> list[tuple[int, float]]:
        """Return the best ``k`` rows with their scores, best first, ties by row.

        A row without any of ``terms`` is never returned. ``allowed``, bool of shape (rows,), keeps only its true rows.
        """
        scores = self.scores(terms)
        found = np.flatnonzero(scores > 0 if allowed is None else (scores > 0) & allowed)
        if k < 1 or not found.size:
            return []
        if found.size > k:
            worst_kept = np.partition(scores[found], -k)[-k]
            found = found[scores[found] >= worst_kept]
        best = found[np.lexsort((found, -scores[found]))][:k]
        return [(int(row), float(scores[row])) for row in best]

    def scores(self, terms: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return every row's score, shape (rows,); 0 where none of ``terms`` occurs. Unknown terms add nothing."""
        known = [self._term_ids[term] for term in terms if term in self._term_ids]
        if self._engine is None or not known:
            return np.zeros(self.rows, dtype=np.float32)
        return self._engine.scores(known).astype(np.float32)

    def known_share(self, terms: Sequence[str]) -> float:
        """Return which share of the distinct ``terms`` occurs in the index, 0 to 1; 0 for no terms."""
        distinct = set(terms)
        return sum(term in self._term_ids for term in distinct) / len(distinct) if distinct else 0.0

    def idf(self, terms: Sequence[str]) -> npt.NDArray[np.float64]:
        """Inverse document frequency of each term, (terms,); a term of no document has the greatest there is."""
        frequencies = np.diff(self._postings.starts)
        known = [int(frequencies[self._term_ids[term]]) if term in self._term_ids else 0 for term in terms]
        return _idf(np.array(known, dtype=np.int64), self.rows)

    def save(self, folder: Path) -> None:
        """Write the index into ``folder``, which exists: four .npy files and a JSON vocabulary.

        Equal documents give equal bytes. Neither atomic nor synced: whoever publishes the folder does that.
        """
        for name in _ARRAY_TYPES:
            np.save(_array_file(folder, name), getattr(self._postings, name), allow_pickle=False)
        vocabulary = {"format": _FORMAT, "terms": self._postings.vocabulary}
        (folder / _VOCABULARY_FILE).write_text(json.dumps(vocabulary), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, config: LexicalConfig) -> LexicalIndex:
        """Read what ``save`` wrote; engine, k1 and b are those of ``config``, whatever they were at building.

        Raises IndexCorrupt, with the file's name, for a file that is missing, truncated or does not fit the others.
        """
        vocabulary = _load_vocabulary(folder / _VOCABULARY_FILE)
        postings = Postings(vocabulary, *(_load_array(folder, name) for name in _ARRAY_TYPES))
        _check(postings, folder)
        return cls(postings, config)


class _Engine(Protocol):
    def scores(self, term_ids: list[int]) -> npt.NDArray[np.float64]:
        """Return the score of every row for known term ids, of which there is at least one."""


class _Bm25sEngine:
    """Every posting's score beforehand; a question only adds up a few columns."""

    def __init__(self, postings: Postings, config: LexicalConfig) -> None:
        # bm25s' own index() scores a document at a time in Python: 2 s for 20,000 chunks, at every start. Its sparse
        # matrix is filled from the postings in one go instead; tests/index/test_oracles.py compares the two.
        self._bm25s = bm25s.BM25(k1=config.k1, b=config.b, method="lucene", dtype="float64", backend="numpy")
        self._bm25s.nonoccurrence_array = None
        self._bm25s.scores = {
            "data": _posting_scores(postings, config),
            "indices": postings.rows,
            "indptr": postings.starts,
            "num_docs": len(postings.lengths),
        }

    def scores(self, term_ids: list[int]) -> npt.NDArray[np.float64]:
        return np.asarray(self._bm25s.get_scores_from_ids(term_ids), dtype=np.float64)


class _ReferenceEngine:
    """rank-bm25 with the idf of this module's docstring: slow, plain, and what the fast engine must agree with."""

    def __init__(self, postings: Postings, config: LexicalConfig) -> None:
        documents: list[list[int]] = [[] for _ in postings.lengths]
        for term in range(len(postings.vocabulary)):
            for i in range(postings.starts[term], postings.starts[term + 1]):
                documents[postings.rows[i]].extend([term] * int(postings.counts[i]))
        self._okapi = _ReferenceOkapi(documents, k1=config.k1, b=config.b)
        # A row of no terms would divide zero by zero where b is 1.
        self._filled = np.flatnonzero(postings.lengths)
        self._constant = config.k1 + 1

    def scores(self, term_ids: list[int]) -> npt.NDArray[np.float64]:
        scores = np.zeros(self._okapi.corpus_size)
        scores[self._filled] = self._okapi.get_batch_scores(term_ids, self._filled.tolist())
        return scores / self._constant


class _ReferenceOkapi(rank_bm25.BM25Okapi):  # type: ignore[misc]  # the library has no types
    def _calc_idf(self, nd: dict[int, int]) -> None:
        self.idf = {term: float(_idf(np.array(df), self.corpus_size)) for term, df in nd.items()}


def _posting_scores(postings: Postings, config: LexicalConfig) -> npt.NDArray[np.float64]:
    """Return every posting's BM25 weight, shape (postings,), in the order of ``postings.rows``."""
    rarity = _idf(np.diff(postings.starts), len(postings.lengths))
    counts = postings.counts.astype(np.float64)
    lengths = postings.lengths[postings.rows]
    saturation = config.k1 * (1 - config.b + config.b * lengths / postings.lengths.mean())
    scores: npt.NDArray[np.float64] = np.repeat(rarity, np.diff(postings.starts)) * (counts / (saturation + counts))
    return scores


def _idf(document_frequency: npt.NDArray[np.int64], documents: int) -> npt.NDArray[np.float64]:
    """Return Lucene's idf: positive for every term that occurs."""
    return np.asarray(np.log(1 + (documents - document_frequency + 0.5) / (document_frequency + 0.5)), dtype=np.float64)


def _count(documents: Sequence[Sequence[str]]) -> Postings:
    found = [Counter(document) for document in documents]
    vocabulary = sorted(set().union(*found))
    term_ids = {term: i for i, term in enumerate(vocabulary)}
    terms = np.array([term_ids[term] for counter in found for term in counter], dtype=np.int64)
    rows = np.repeat(
        np.arange(len(found), dtype=np.int32), np.array([len(counter) for counter in found], dtype=np.int64)
    )
    counts = np.array([count for counter in found for count in counter.values()], dtype=np.int32)
    by_term = np.argsort(terms, kind="stable")
    return Postings(
        vocabulary=tuple(vocabulary),
        starts=np.concatenate([[0], np.cumsum(np.bincount(terms, minlength=len(vocabulary)))]).astype(np.int64),
        rows=rows[by_term],
        counts=counts[by_term],
        lengths=np.array([len(document) for document in documents], dtype=np.int32),
    )


def _array_file(folder: Path, name: str) -> Path:
    return folder / f"lexical_{name}.npy"


def _load_array(folder: Path, name: str) -> npt.NDArray[Any]:
    file = _array_file(folder, name)
    try:
        array = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise IndexCorrupt(f"{file.name} cannot be read: {error}", hint=_REBUILD) from error
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype != _ARRAY_TYPES[name]:
        raise IndexCorrupt(f"{file.name} does not hold one row of {_ARRAY_TYPES[name].__name__}.", hint=_REBUILD)
    return array


def _load_vocabulary(file: Path) -> tuple[str, ...]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IndexCorrupt(f"{file.name} cannot be read: {error}", hint=_REBUILD) from error
    terms = content.get("terms") if isinstance(content, dict) and content.get("format") == _FORMAT else None
    if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
        raise IndexCorrupt(f"{file.name} is not a vocabulary of format {_FORMAT}.", hint=_REBUILD)
    if any(left >= right for left, right in itertools.pairwise(terms)):
        raise IndexCorrupt(f"{file.name} is not sorted or names a term twice.", hint=_REBUILD)
    return tuple(terms)


def _check(postings: Postings, folder: Path) -> None:
    """Refuse arrays that no ``_count`` could have made, naming the file that does not fit."""
    starts, rows, counts, lengths = postings.starts, postings.rows, postings.counts, postings.lengths
    faults = {
        "starts": len(starts) != len(postings.vocabulary) + 1 or starts[0] != 0 or np.any(np.diff(starts) < 1),
        "rows": len(rows) != (starts[-1] if len(starts) else 0)
        or np.any((rows < 0) | (rows >= len(lengths)))
        or not _ascending_within_terms(rows, starts),
        "counts": len(counts) != len(rows) or np.any(counts < 1),
    }
    faulty = next((name for name, fault in faults.items() if fault), None)
    if faulty is None and not np.array_equal(np.bincount(rows, weights=counts, minlength=len(lengths)), lengths):
        faulty = "lengths"
    if faulty is not None:
        raise IndexCorrupt(f"{_array_file(folder, faulty).name} does not fit the rest of the index.", hint=_REBUILD)


def _ascending_within_terms(rows: npt.NDArray[np.int32], starts: npt.NDArray[np.int64]) -> bool:
    falls = np.flatnonzero(np.diff(rows) <= 0) + 1
    return bool(np.isin(falls, starts).all())
