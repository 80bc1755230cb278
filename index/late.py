"""Late interaction: a chunk scores by how well each token of the question finds its best match in it.

MaxSim after Khattab & Zaharia, "ColBERT" (SIGIR 2020), over the encoder's own token vectors. Two changes,
both measured (docs/benchmarks.md). Every token vector is centred: the mean token vector is subtracted, which
takes out what all tokens of this encoder share. For the question it is the mean over questions of its language
(calibration_questions.py), so that an English question meets a Chinese passage by what it asks. And the
question's tokens are weighted by their idf over the chunks' tokens, so that 什么 and 的 do not outvote the term
asked for.

Token vectors are stored as integers of 8 or 4 bits with one scale each. That needs no training, so a note's
codes depend on nothing but the note and the mean.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.config import LateConfig
from index.errors import IndexCorrupt

LATE_VERSION = 2


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """The token vectors of one text: ``vectors`` (t, d) float32 of length 1, ``ids`` (t,) int32.

    ``language`` chooses the mean that a question is centred with; None, or a language that the index has no mean
    for, means that of the chunks.
    """

    vectors: np.ndarray
    ids: np.ndarray
    language: str | None = None


@dataclass(frozen=True, slots=True)
class _Codes:
    """Quantised token vectors: ``values`` (t, d) int8 or, two to a byte, (t, ceil(d / 2)) uint8; ``scales`` (t,)."""

    values: np.ndarray
    scales: np.ndarray
    dimension: int

    @classmethod
    def quantise(cls, vectors: np.ndarray, bits: int) -> _Codes:
        largest = np.abs(vectors).max(axis=1, initial=1e-12)
        steps = 2 ** (bits - 1) - 1
        scales = (largest / steps).astype(np.float32)
        values = np.rint(vectors / scales[:, None]).astype(np.int8)
        return cls(values if bits == _BYTE else _packed(values), scales, vectors.shape[1])

    def decode(self, rows: slice) -> np.ndarray:
        """(rows, d) float32, each of length 1."""
        values = self.values[rows]
        if values.dtype == np.uint8:
            values = _unpacked(values, self.dimension)
        return _unit(values.astype(np.float32) * self.scales[rows][:, None])


_BYTE = 8


def _packed(values: np.ndarray) -> np.ndarray:
    """Two 4-bit integers in [-7, 7] to a byte, shifted by 8."""
    shifted = (values + 8).astype(np.uint8)
    if shifted.shape[1] % 2:
        shifted = np.pad(shifted, ((0, 0), (0, 1)), constant_values=8)
    return np.asarray(shifted[:, ::2] | (shifted[:, 1::2] << 4))


def _unpacked(packed: np.ndarray, dimension: int) -> np.ndarray:
    values = np.empty((len(packed), packed.shape[1] * 2), dtype=np.int8)
    values[:, ::2] = (packed & 15).astype(np.int8) - 8
    values[:, 1::2] = (packed >> 4).astype(np.int8) - 8
    return values[:, :dimension]


class LateIndex:
    """Token vectors of all chunks, one after the other; row r owns ``offsets[r]:offsets[r + 1]``."""

    def __init__(
        self,
        *,
        codes: _Codes,
        offsets: np.ndarray,
        mean: np.ndarray,
        query_means: Mapping[str, np.ndarray],
        document_frequency: Mapping[int, int],
        config: LateConfig,
    ) -> None:
        self._codes = codes
        self._offsets = offsets
        self._mean = mean
        self._query_means = query_means
        self._document_frequency = document_frequency
        self._config = config
        # A small collection is scored whole for every question, so it is decoded once; of a large one only the
        # candidates are, when they are asked for.
        self._decoded = codes.decode(slice(None)) if self.is_exhaustive else None

    @property
    def rows(self) -> int:
        """Number of chunks."""
        return len(self._offsets) - 1

    @property
    def tokens(self) -> int:
        """Number of token vectors over all chunks."""
        return int(self._offsets[-1])

    @property
    def bytes_per_chunk(self) -> float:
        """Stored bytes of token vectors a chunk, on average."""
        return float(self._codes.values.nbytes + self._codes.scales.nbytes) / max(1, self.rows)

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

        ``query_means`` maps a language to the mean token vector (d,) of questions in it (mean_token_vector).
        """
        offsets = np.zeros(len(chunks) + 1, dtype=np.int64)
        np.cumsum([len(chunk.ids) for chunk in chunks], out=offsets[1:])
        dimension = _dimension(chunks, query_means or {})
        vectors = np.concatenate([np.zeros((0, dimension), np.float32), *(chunk.vectors for chunk in chunks)])
        mean = mean_token_vector(chunks) if config.centre and len(vectors) else np.zeros(dimension, dtype=np.float32)
        frequency = Counter(token for chunk in chunks for token in set(chunk.ids.tolist()))
        return cls(
            codes=_Codes.quantise(_unit(vectors - mean), config.bits),
            offsets=offsets,
            mean=mean,
            query_means=dict(query_means or {}) if config.centre else {},
            document_frequency=frequency,
            config=config,
        )

    def scores(self, query: TokenVectors, rows: np.ndarray | None = None) -> np.ndarray:
        """MaxSim of the question with each of ``rows`` (all chunks when None): (rows,) float32 in [-1, 1].

        A chunk without tokens scores -1. Cost: one (q, d) x (d, t) product over the rows' t token vectors.
        """
        rows = np.arange(self.rows) if rows is None else np.asarray(rows, dtype=np.int64)
        scores = np.full(len(rows), -1.0, dtype=np.float32)
        lengths = self._offsets[rows + 1] - self._offsets[rows]
        filled = np.flatnonzero(lengths)
        if not len(filled) or not len(query.ids):
            return scores
        similarity = self._centred(query) @ self._vectors_of(rows[filled]).T
        starts = np.concatenate([[0], np.cumsum(lengths[filled])[:-1]])
        best = np.maximum.reduceat(similarity, starts, axis=1)
        scores[filled] = self.token_weights(query) @ best
        return scores

    def match(self, query: TokenVectors, row: int) -> np.ndarray:
        """How well each token of the question meets each token of one chunk: (q, t) float32 cosines."""
        return np.asarray(self._centred(query) @ self._vectors_of(np.array([row])).T)

    def token_weights(self, query: TokenVectors) -> np.ndarray:
        """What each token of a question counts: (q,) float32, positive, adding up to 1."""
        if not self.rows or not len(query.ids):
            return np.full(len(query.ids), 1.0 / max(1, len(query.ids)), dtype=np.float32)
        frequency = np.array([self._document_frequency.get(int(token), 0) for token in query.ids], dtype=np.float64)
        # Lucene's BM25 idf: positive for every frequency.
        idf = np.log1p((self.rows - frequency + 0.5) / (frequency + 0.5)) ** self._config.idf_power
        return np.asarray(idf / idf.sum(), dtype=np.float32)

    def _centred(self, query: TokenVectors) -> np.ndarray:
        return _unit(query.vectors - self._query_means.get(query.language or "", self._mean))

    def _vectors_of(self, rows: np.ndarray) -> np.ndarray:
        if self._decoded is not None and np.array_equal(rows, np.flatnonzero(np.diff(self._offsets))):
            return self._decoded  # every chunk that has tokens, in order
        spans = [slice(self._offsets[row], self._offsets[row + 1]) for row in rows]
        if self._decoded is not None:
            return np.concatenate([self._decoded[span] for span in spans])
        return np.concatenate([self._codes.decode(span) for span in spans])

    def save(self, folder: Path) -> None:
        """Write ``late.json``, ``late_codes.npy``, ``late_scales.npy``, ``late_offsets.npy`` and ``late_means.npy``."""
        header = {
            "version": LATE_VERSION,
            "rows": self.rows,
            "tokens": self.tokens,
            "dimension": self._codes.dimension,
            "query_languages": sorted(self._query_means),
            "document_frequency": {str(token): n for token, n in sorted(self._document_frequency.items())},
        }
        (folder / "late.json").write_text(json.dumps(header), encoding="utf-8")
        means = np.stack([self._mean, *(self._query_means[language] for language in sorted(self._query_means))])
        np.save(folder / "late_codes.npy", self._codes.values, allow_pickle=False)
        np.save(folder / "late_scales.npy", self._codes.scales, allow_pickle=False)
        np.save(folder / "late_offsets.npy", self._offsets, allow_pickle=False)
        np.save(folder / "late_means.npy", means, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, config: LateConfig) -> LateIndex:
        """Read what ``save`` wrote; raises IndexCorrupt where the parts do not fit together."""
        try:
            header = json.loads((folder / "late.json").read_text(encoding="utf-8"))
            values, scales, offsets, means = (
                np.load(folder / f"late_{part}.npy", allow_pickle=False)
                for part in ("codes", "scales", "offsets", "means")
            )
            frequency = {int(token): int(n) for token, n in header["document_frequency"].items()}
            tokens, rows, dimension = int(header["tokens"]), int(header["rows"]), int(header["dimension"])
            languages = [str(language) for language in header["query_languages"]]
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _corrupt(folder, str(error)) from error
        fits = (
            _are_offsets(offsets, rows, tokens)
            and _are_codes(values, scales, (tokens, dimension))
            and means.dtype == np.float32
            and means.shape == (1 + len(languages), dimension)
        )
        if not fits:
            raise _corrupt(folder, "codes, offsets, means and header disagree")
        return cls(
            codes=_Codes(values, scales, dimension),
            offsets=offsets,
            mean=means[0],
            query_means=dict(zip(languages, means[1:], strict=True)),
            document_frequency=frequency,
            config=config,
        )


def _dimension(chunks: Sequence[TokenVectors], query_means: Mapping[str, np.ndarray]) -> int:
    lengths = [chunk.vectors.shape[1] for chunk in chunks[:1]] + [len(mean) for mean in query_means.values()]
    return lengths[0] if lengths else 1


def _are_offsets(offsets: np.ndarray, rows: int, tokens: int) -> bool:
    shaped = offsets.shape == (rows + 1,) and offsets.dtype == np.int64
    return shaped and offsets[0] == 0 and offsets[-1] == tokens and bool(np.all(np.diff(offsets) >= 0))


def _are_codes(values: np.ndarray, scales: np.ndarray, shape: tuple[int, int]) -> bool:
    tokens, dimension = shape
    widths = {np.dtype(np.int8): dimension, np.dtype(np.uint8): -(-dimension // 2)}
    scaled = scales.shape == (tokens,) and scales.dtype == np.float32
    return scaled and values.dtype in widths and values.shape == (tokens, widths[values.dtype])


def mean_token_vector(texts: Sequence[TokenVectors]) -> np.ndarray:
    """The mean over all tokens of all texts: (d,) float32."""
    return np.asarray(np.concatenate([text.vectors for text in texts]).mean(axis=0, dtype=np.float64), dtype=np.float32)


def _unit(vectors: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)


def _corrupt(folder: Path, reason: str) -> IndexCorrupt:
    return IndexCorrupt(
        f"The token vectors in {folder} cannot be read: {reason}.",
        hint="Run `asknotes index --full` to build the index anew.",
    )
