"""Late interaction: a chunk scores by how well each token of the question finds its best match in it.

MaxSim after Khattab & Zaharia, "ColBERT" (SIGIR 2020), over the encoder's own token vectors. Two changes,
both measured (docs/benchmarks.md). Every token vector is centred: the mean token vector is subtracted, which
takes out what all tokens of this encoder share. For the question it is the mean over questions of its language
(calibration_questions.py), so that an English question meets a Chinese passage by what it asks. And the
question's tokens are weighted by their idf over the chunks' tokens, so that 什么 and 的 do not outvote the term
asked for.

Half of a score is how well the question is met by the best window of a chunk, so that one passage about the question
beats words of it scattered over a long chunk (measured there too).

Token vectors are kept at 8 bits a component while there are up to ``full_precision_tokens`` of them, and beyond that in
a fifth of it, as differences from their chunk's mean (token_codes.py).
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from index.blas import one_blas_thread
from index.config import LateConfig
from index.errors import IndexCorrupt
from index.token_codes import FORMS, TRAINING_SAMPLE, ByteCodes, ResidualCodes, Selection, TokenCodes, residuals
from index.vectors import unit

if TYPE_CHECKING:
    from index.encoder import Encoding  # with torch, which scoring does not need

LATE_VERSION = 3
LATE = "late"
_CALIBRATION_CHUNKS = 256
_BLOCK = 2_048  # token vectors compared at once: so many, as floats, stay in a processor's cache


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """The token vectors of one text: ``vectors`` (t, d) float32 of length 1, ``ids`` (t,) int32.

    ``language`` chooses the mean that a question is centred with; None, or a language that the index has no mean
    for, means that of the chunks.
    """

    vectors: np.ndarray
    ids: np.ndarray
    language: str | None = None

    @classmethod
    def of(cls, encoding: Encoding, language: str | None = None) -> TokenVectors:
        """Those of what an encoder made of a text."""
        return cls(encoding.token_vectors, encoding.token_ids, language)


class LateIndex:
    """Token vectors of all chunks, one after the other; row r owns ``offsets[r]:offsets[r + 1]``."""

    def __init__(
        self,
        *,
        codes: TokenCodes,
        offsets: np.ndarray,
        mean: np.ndarray,
        query_means: Mapping[str, np.ndarray],
        document_frequency: Mapping[int, int],
        config: LateConfig,
        spread: float = 0.0,
    ) -> None:
        self._codes = codes
        self._offsets = offsets
        self._mean = mean
        self._query_means = query_means
        self._document_frequency = document_frequency
        self._config = config
        self.spread = spread
        """Standard deviation of a question's scores over chunks, the mean over the questions of ``calibrated``; 0 where
        it was not measured. What a score is divided by to be set beside that of another stage, however few chunks
        are scored."""

    @property
    def rows(self) -> int:
        """Number of chunks."""
        return len(self._offsets) - 1

    @property
    def tokens(self) -> int:
        """Number of token vectors over all chunks."""
        return int(self._offsets[-1])

    @property
    def dimension(self) -> int:
        """Length of every token vector."""
        return self._codes.dimension

    @property
    def bytes_per_chunk(self) -> float:
        """Stored bytes of token vectors a chunk, on average."""
        return self._codes.nbytes / self.rows if self.rows else 0.0

    @property
    def is_exhaustive(self) -> bool:
        """Whether the collection is small enough to score every chunk."""
        return self.tokens <= self._config.exhaustive_tokens

    @classmethod
    def build(
        cls,
        chunks: Sequence[TokenVectors],
        config: LateConfig,
        query_means: Mapping[str, np.ndarray] | None = None,
    ) -> LateIndex:
        """Centre, count and compress. Deterministic: equal chunks in equal order give equal bytes.

        ``chunks`` are gone through two or three times, one at a time: a sequence that reads them when it is asked for
        them keeps memory small. ``query_means`` maps a language to the mean token vector (d,) of questions in it
        (mean_token_vector). More than ``full_precision_tokens`` of them are compressed, if they are enough to compute
        axes from.
        """
        found = _survey(chunks, _dimension(chunks, query_means or {}))
        mean = found.mean if config.centre else np.zeros_like(found.mean)
        return cls(
            codes=_encoded(_Centred(chunks, mean), found, config),
            offsets=found.offsets,
            mean=mean,
            query_means=dict(query_means or {}) if config.centre else {},
            document_frequency=found.frequency,
            config=config,
        )

    def calibrated(self, questions: Sequence[TokenVectors]) -> LateIndex:
        """Return this index with the ``spread`` of these questions' scores over evenly spaced chunks."""
        rows = np.arange(0, self.rows, max(1, self.rows // _CALIBRATION_CHUNKS))
        spreads = [float(self.scores(question, rows).std()) for question in questions if len(rows)]
        return LateIndex(
            codes=self._codes,
            offsets=self._offsets,
            mean=self._mean,
            query_means=self._query_means,
            document_frequency=self._document_frequency,
            config=self._config,
            spread=round(float(np.mean(spreads)), 6) if spreads else 0.0,
        )

    def scores(self, query: TokenVectors, rows: np.ndarray | None = None) -> np.ndarray:
        """How well each of ``rows`` (all chunks when None) meets the question: (rows,) float32 in [-1, 1].

        The weighted mean of MaxSim over the whole chunk and of MaxSim over its best window. A chunk without tokens
        scores -1. Cost: one (q, d) x (d, t) product over the rows' t token vectors.
        """
        rows = np.arange(self.rows) if rows is None else np.asarray(rows, dtype=np.int64)
        scores = np.full(len(rows), -1.0, dtype=np.float32)
        filled = np.flatnonzero(np.diff(self._offsets)[rows])
        if not len(filled) or not len(query.ids):
            return scores
        asked, weights = self._centred(query), self.token_weights(query)
        with one_blas_thread():
            for block in _blocks(filled, self._selection(rows[filled]).lengths):
                chosen = self._selection(rows[block])
                scores[block] = self._mixed(weights, self._codes.cosines(asked, chosen), chosen.lengths)
        return scores

    def mutual_scores(self, query: TokenVectors, rows: np.ndarray) -> np.ndarray:
        """How alike the question and each of ``rows`` are: (rows,) float32 in [-1, 1].

        The mean of MaxSim in both directions: the question's tokens by their weights, and the text's, all alike. For
        texts as short as a question, which should say the same and not only hold it. -1 for one without tokens.
        """
        scores = np.full(len(rows), -1.0, dtype=np.float32)
        filled = np.flatnonzero(np.diff(self._offsets)[rows])
        if not len(filled) or not len(query.ids):
            return scores
        chosen = self._selection(rows[filled])
        with one_blas_thread():
            cosines = self._codes.cosines(self._centred(query), chosen)
        starts = np.cumsum(chosen.lengths) - chosen.lengths
        asked = self.token_weights(query) @ _best_of(cosines, chosen.lengths)
        scores[filled] = (asked + np.add.reduceat(cosines.max(axis=0), starts) / chosen.lengths) / 2
        return scores

    def _mixed(self, weights: np.ndarray, cosines: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Score chunks of ``lengths`` tokens by the cosines (q, t) of their tokens with the question's."""
        share = self._config.window_weight / (1 + self._config.window_weight)
        half = self._config.window_tokens // 2
        if not share:
            return np.asarray(weights @ _best_of(cosines, lengths))
        # A window is two halves side by side; a chunk of one half is a window itself.
        halves = -(-lengths // half)
        best = np.maximum.reduceat(cosines, _half_starts(lengths, halves, half), axis=1)
        windows = best.copy()
        np.maximum(best[:, :-1], best[:, 1:], out=windows[:, :-1])
        last = np.cumsum(halves) - 1
        windows[:, last] = best[:, last]  # the next half belongs to another chunk
        firsts = last - halves + 1
        whole = weights @ np.maximum.reduceat(best, firsts, axis=1)
        return np.asarray((1 - share) * whole + share * np.maximum.reduceat(weights @ windows, firsts))

    def match(self, query: TokenVectors, row: int) -> np.ndarray:
        """How well each token of the question meets each token of one chunk: (q, t) float32 cosines."""
        return self._codes.cosines(self._centred(query), self._selection(np.array([row])))

    def token_weights(self, query: TokenVectors) -> np.ndarray:
        """What each token of a question counts: (q,) float32, positive, adding up to 1."""
        if not self.rows or not len(query.ids):
            return np.full(len(query.ids), 1.0 / max(1, len(query.ids)), dtype=np.float32)
        frequency = np.array([self._document_frequency.get(int(token), 0) for token in query.ids], dtype=np.float64)
        # Lucene's BM25 idf: positive for every frequency.
        idf = np.log1p((self.rows - frequency + 0.5) / (frequency + 0.5)) ** self._config.idf_power
        return np.asarray(idf / idf.sum(), dtype=np.float32)

    def _centred(self, query: TokenVectors) -> np.ndarray:
        return unit(query.vectors - self._query_means.get(query.language or "", self._mean))

    def _selection(self, rows: np.ndarray) -> Selection:
        starts, ends = self._offsets[rows], self._offsets[rows + 1]
        lengths = ends - starts
        if np.array_equal(starts[1:], ends[:-1]):  # one after the other, so they need not be gathered
            return Selection(rows, lengths, slice(int(starts[0]), int(ends[-1])))
        before = np.cumsum(lengths) - lengths
        return Selection(rows, lengths, np.arange(lengths.sum()) + np.repeat(starts - before, lengths))

    def save(self, folder: Path, prefix: str = LATE) -> None:
        """Write ``late.json``, ``late_offsets.npy``, ``late_means.npy`` and the arrays of the codes beside them.

        ``prefix`` instead of ``late`` names those of another index in the same folder.
        """
        header = {
            "version": LATE_VERSION,
            "rows": self.rows,
            "tokens": self.tokens,
            "dimension": self.dimension,
            "form": self._codes.form,
            "spread": self.spread,
            "query_languages": sorted(self._query_means),
            "document_frequency": {str(token): n for token, n in sorted(self._document_frequency.items())},
        }
        (folder / f"{prefix}.json").write_text(json.dumps(header), encoding="utf-8")
        means = np.stack([self._mean, *(self._query_means[language] for language in sorted(self._query_means))])
        for name, array in {"offsets": self._offsets, "means": means, **self._codes.arrays()}.items():
            np.save(folder / f"{prefix}_{name}.npy", array, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, config: LateConfig, prefix: str = LATE) -> LateIndex:
        """Read what ``save`` wrote; raises IndexCorrupt where the parts do not fit together."""
        try:
            header = json.loads((folder / f"{prefix}.json").read_text(encoding="utf-8"))
            form = FORMS[header["form"]]
            offsets, means = _read(folder, prefix, "offsets"), _read(folder, prefix, "means")
            codes = form(**{field.name: _read(folder, prefix, field.name) for field in dataclasses.fields(form)})
            frequency = {int(token): int(n) for token, n in header["document_frequency"].items()}
            tokens, rows, dimension = int(header["tokens"]), int(header["rows"]), int(header["dimension"])
            languages = [str(language) for language in header["query_languages"]]
            spread = float(header["spread"])
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _corrupt(folder, str(error)) from error
        fits = (
            _are_offsets(offsets, rows, tokens)
            and codes.fits(rows, tokens, dimension)
            and means.dtype == np.float32
            and means.shape == (1 + len(languages), dimension)
        )
        if not fits:
            raise _corrupt(folder, "codes, offsets, means and header disagree")
        return cls(
            codes=codes,
            offsets=offsets,
            mean=means[0],
            query_means=dict(zip(languages, means[1:], strict=True)),
            document_frequency=frequency,
            config=config,
            spread=spread,
        )


@dataclass(frozen=True, slots=True)
class _Survey:
    """What is counted over all chunks: where their tokens start, in how many each occurs, their mean vector."""

    offsets: np.ndarray
    frequency: Counter[int]
    mean: np.ndarray

    @property
    def tokens(self) -> int:
        return int(self.offsets[-1])


def _survey(chunks: Sequence[TokenVectors], dimension: int) -> _Survey:
    offsets = np.zeros(len(chunks) + 1, dtype=np.int64)
    frequency: Counter[int] = Counter()
    total = np.zeros(dimension, dtype=np.float64)
    for row, chunk in enumerate(chunks):
        offsets[row + 1] = offsets[row] + len(chunk.ids)
        frequency.update(set(chunk.ids.tolist()))
        total += chunk.vectors.sum(axis=0, dtype=np.float64)
    return _Survey(offsets, frequency, (total / max(1, offsets[-1])).astype(np.float32))


@dataclass(frozen=True, slots=True)
class _Centred:
    """The chunks' token vectors, centred, made anew each time they are gone through."""

    chunks: Sequence[TokenVectors]
    mean: np.ndarray

    def __iter__(self) -> Iterator[np.ndarray]:
        return (unit(chunk.vectors - self.mean) for chunk in self.chunks)


def _encoded(chunks: _Centred, found: _Survey, config: LateConfig) -> TokenCodes:
    dimension = len(found.mean)
    if found.tokens <= config.full_precision_tokens or not ResidualCodes.can_train(found.tokens, dimension):
        return ByteCodes.encode(chunks, found.tokens, dimension)
    sample = _sampled_residuals(chunks, found)
    return ResidualCodes.encode(chunks, len(found.offsets) - 1, found.tokens, sample)


def _sampled_residuals(chunks: _Centred, found: _Survey) -> np.ndarray:
    """Every so manieth token's difference from its chunk's mean: (TRAINING_SAMPLE, d) float32 at most."""
    step = -(-found.tokens // TRAINING_SAMPLE)
    starts = found.offsets[:-1].tolist()
    parts = (residuals(vectors)[-start % step :: step] for start, vectors in zip(starts, chunks, strict=True))
    return np.concatenate([part.copy() for part in parts])  # a view would keep all of its chunk


def _blocks(filled: np.ndarray, lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Split chunks into runs of _BLOCK token vectors at most, or of one chunk that has more."""
    ends = np.cumsum(lengths)
    first = 0
    while first < len(filled):
        before = ends[first] - lengths[first]
        after = max(first + 1, int(np.searchsorted(ends, before + _BLOCK, side="right")))
        yield filled[first:after]
        first = after


def _best_of(cosines: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum.reduceat(cosines, np.cumsum(lengths) - lengths, axis=1))


def _half_starts(lengths: np.ndarray, halves: np.ndarray, half: int) -> np.ndarray:
    """Where each half window of each chunk begins, among the tokens of all chunks."""
    within = np.arange(halves.sum()) - np.repeat(np.cumsum(halves) - halves, halves)
    return np.asarray(np.repeat(np.cumsum(lengths) - lengths, halves) + half * within)


def _dimension(chunks: Sequence[TokenVectors], query_means: Mapping[str, np.ndarray]) -> int:
    lengths = [chunk.vectors.shape[1] for chunk in chunks[:1]] + [len(mean) for mean in query_means.values()]
    return lengths[0] if lengths else 1


def _are_offsets(offsets: np.ndarray, rows: int, tokens: int) -> bool:
    shaped = offsets.shape == (rows + 1,) and offsets.dtype == np.int64
    return shaped and offsets[0] == 0 and offsets[-1] == tokens and bool(np.all(np.diff(offsets) >= 0))


def _read(folder: Path, prefix: str, name: str) -> np.ndarray:
    array: np.ndarray = np.load(folder / f"{prefix}_{name}.npy", allow_pickle=False)
    return array


def mean_token_vector(texts: Sequence[TokenVectors]) -> np.ndarray:
    """The mean over all tokens of all texts: (d,) float32. Raises ValueError for no texts."""
    if not texts:
        raise ValueError("the mean of no texts")
    return _survey(texts, texts[0].vectors.shape[1]).mean


def _corrupt(folder: Path, reason: str) -> IndexCorrupt:
    return IndexCorrupt(
        f"The token vectors in {folder} cannot be read: {reason}.",
        hint="Run `asknotes index --full` to build the index anew.",
    )
