"""BM25 over terms in weighted fields: bm25s for speed, rank-bm25 as the reference, one score from both.

The score is Lucene's BM25 (C. Kamphuis et al., "Which BM25 Do You Mean?", ECIR 2020, table 1): a question's terms are
summed, repetitions included, over

    ln(1 + (N - df + 0.5) / (df + 0.5)) * tf / (tf + k1 * (1 - b + b * length / mean length))

with N, lengths and the mean over all rows, empty ones included; tf and length are added up from the fields by weight
(postings.py). This idf is never negative. rank-bm25's BM25Okapi takes the Robertson idf, which is, and replaces it by
a quarter of the mean idf where it is: a term in more than half of the chunks would then rank differently in the two
engines, so ``_ReferenceOkapi`` overrides its idf, and its constant factor k1 + 1 is divided out. Both engines add up
in 64 bits and are rounded to 32 once, at the end, so that sums that are equal on paper tie in both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import bm25s
import numpy as np
import numpy.typing as npt
import rank_bm25

from index.config import LexicalConfig
from index.postings import (
    LexicalDocument,
    Postings,
    WeightedPostings,
    count_postings,
    load_postings,
    save_postings,
    weighted_postings,
)

_NO_VARIANCE = 1e-12  # of the squared mean: what two sums in 64 bits may leave of equal scores


@dataclass(frozen=True, slots=True)
class LexicalScores:
    """What every row scores for one question: float32 of shape (rows,), 0 where none of its terms occurs."""

    values: npt.NDArray[np.float32]

    def best(self, k: int, *, allowed: npt.NDArray[np.bool_] | None = None) -> list[tuple[int, float]]:
        """Return the best ``k`` rows with their scores, best first, ties by row.

        A row without any of the terms is never returned. ``allowed``, bool of shape (rows,), keeps only its true rows.
        """
        if k < 1:
            return []
        scores = self.values if allowed is None else np.where(allowed, self.values, np.float32(0))
        least = np.partition(scores, -k)[-k] if k < len(scores) else np.float32(0)
        found = np.flatnonzero(scores >= least if least > 0 else scores)
        best = found[np.argsort(-scores[found], kind="stable")][:k]
        return list(zip(best.tolist(), scores[best].tolist(), strict=True))

    def standardised(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the z-scores of ``rows``, (len(rows),), over the whole collection; all 0 where all score alike."""
        scores = self.values.astype(np.float64)
        mean = scores.sum() / max(1, len(scores))
        # No product of vectors: BLAS would start threads for it and wait for them longer than the whole search takes.
        variance = np.square(scores).sum() / max(1, len(scores)) - mean**2
        if variance <= _NO_VARIANCE * mean**2:
            return np.zeros(len(rows), dtype=np.float32)
        return np.asarray((scores[rows] - mean) / np.sqrt(variance), dtype=np.float32)


class LexicalIndex:
    """What BM25 searches. Row ``i`` is the ``i``-th document, also where that document is empty.

    Nothing changes after building, so threads share one index.
    """

    def __init__(self, postings: Postings, config: LexicalConfig) -> None:
        self._postings = postings
        weighted = weighted_postings(
            postings,
            # Weighing the body too would only do once more what k1 does: all weights times c are k1 divided by c.
            {"heading": config.heading_weight, "body": 1.0, "expansion": config.expansion_weight},
        )
        self._term_ids = weighted.term_ids
        self._document_frequency = weighted.document_frequency
        self._engine: _Engine | None = None
        if weighted.term_ids:
            self._engine = (
                _Bm25sEngine(weighted, config) if config.engine == "bm25s" else _ReferenceEngine(weighted, config)
            )

    @classmethod
    def build(cls, documents: Sequence[LexicalDocument], config: LexicalConfig) -> LexicalIndex:
        """Index ``documents``."""
        return cls(count_postings(documents), config)

    @property
    def rows(self) -> int:
        """Documents in the index, empty ones included."""
        return self._postings.documents

    def scored(self, terms: Sequence[str]) -> LexicalScores:
        """Score every row once, for all that is made of the scores. Unknown terms add nothing."""
        known = [self._term_ids[term] for term in terms if term in self._term_ids]
        if self._engine is None or not known:
            return LexicalScores(np.zeros(self.rows, dtype=np.float32))
        return LexicalScores(self._engine.scores(known).astype(np.float32))

    def search(
        self, terms: Sequence[str], k: int, *, allowed: npt.NDArray[np.bool_] | None = None
    ) -> list[tuple[int, float]]:
        """Return the best ``k`` rows for ``terms`` with their scores: ``scored`` and its ``best`` in one."""
        return self.scored(terms).best(k, allowed=allowed)

    def scores(self, terms: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return every row's score, shape (rows,); 0 where none of ``terms`` occurs. Unknown terms add nothing."""
        return self.scored(terms).values

    def known_share(self, terms: Sequence[str]) -> float:
        """Return which share of the distinct ``terms`` occurs in the index, 0 to 1; 0 for no terms."""
        distinct = set(terms)
        return sum(term in self._term_ids for term in distinct) / len(distinct) if distinct else 0.0

    def idf(self, terms: Sequence[str]) -> npt.NDArray[np.float64]:
        """Inverse document frequency of each term, (terms,); a term of no document has the greatest there is."""
        known = [int(self._document_frequency[self._term_ids[t]]) if t in self._term_ids else 0 for t in terms]
        return _idf(np.array(known, dtype=np.int64), self.rows)

    def document_frequencies(self) -> dict[str, int]:
        """Return in how many documents each term of the index occurs, terms in sorted order."""
        return dict(zip(self._term_ids, self._document_frequency.tolist(), strict=True))

    def save(self, folder: Path) -> None:
        """Write the index into ``folder``, which exists. Equal documents give equal bytes, whatever the settings.

        Neither atomic nor synced: whoever publishes the folder does that.
        """
        save_postings(self._postings, folder)

    @classmethod
    def load(cls, folder: Path, config: LexicalConfig) -> LexicalIndex:
        """Read what ``save`` wrote; engine, k1, b and weights are those of ``config``, whatever they were at building.

        Raises IndexCorrupt, with the file's name, for a file that is missing, truncated or does not fit the others.
        """
        return cls(load_postings(folder), config)


class _Engine(Protocol):
    def scores(self, term_ids: list[int]) -> npt.NDArray[np.float64]:
        """Return the score of every row for known term ids, of which there is at least one."""


class _Bm25sEngine:
    """Every posting's score beforehand; a question only adds up those of its terms, row by row."""

    def __init__(self, postings: WeightedPostings, config: LexicalConfig) -> None:
        # bm25s' own index() scores a document at a time in Python: 2 s for 20,000 chunks, at every start. Its sparse
        # matrix is filled from the postings in one go instead; tests/index/test_oracles.py compares the two. Its
        # np.add.at takes rows of 64 bits as they are; those of 32 it would convert for every term of every question.
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

    def __init__(self, postings: WeightedPostings, config: LexicalConfig) -> None:
        documents: list[dict[int, float]] = [{} for _ in postings.lengths]
        for term in range(len(postings.term_ids)):
            for i in range(postings.starts[term], postings.starts[term + 1]):
                documents[postings.rows[i]][term] = float(postings.counts[i])
        self._okapi = _ReferenceOkapi(documents, k1=config.k1, b=config.b)
        # A row of no terms would divide zero by zero where b is 1.
        self._filled = np.flatnonzero(postings.lengths)
        self._constant = config.k1 + 1

    def scores(self, term_ids: list[int]) -> npt.NDArray[np.float64]:
        scores = np.zeros(self._okapi.corpus_size)
        scores[self._filled] = self._okapi.get_batch_scores(term_ids, self._filled.tolist())
        return scores / self._constant


class _ReferenceOkapi(rank_bm25.BM25Okapi):  # type: ignore[misc]  # the library has no types
    """Reads documents as term weights: the library itself can only count, and a weight need not be whole."""

    def _initialize(self, corpus: list[dict[int, float]]) -> dict[int, int]:
        self.corpus_size = len(corpus)
        self.doc_freqs = corpus
        self.doc_len = [sum(document.values()) for document in corpus]
        self.avgdl = sum(self.doc_len) / self.corpus_size
        return Counter(term for document in corpus for term in document)

    def _calc_idf(self, nd: dict[int, int]) -> None:
        self.idf = {term: float(_idf(np.array(df), self.corpus_size)) for term, df in nd.items()}


def _posting_scores(postings: WeightedPostings, config: LexicalConfig) -> npt.NDArray[np.float64]:
    """Return every posting's BM25 weight, shape (postings,), in the order of ``postings.rows``."""
    rarity = _idf(postings.document_frequency, len(postings.lengths))
    saturation = config.k1 * (1 - config.b + config.b * postings.lengths / postings.lengths.mean())
    shares = postings.counts / (saturation[postings.rows] + postings.counts)
    return np.asarray(np.repeat(rarity, postings.document_frequency) * shares)


def _idf(document_frequency: npt.NDArray[np.int64], documents: int) -> npt.NDArray[np.float64]:
    """Return Lucene's idf: positive for every term that occurs."""
    return np.asarray(np.log(1 + (documents - document_frequency + 0.5) / (document_frequency + 0.5)), dtype=np.float64)
