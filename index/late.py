"""Late interaction: a chunk scores by how well each token of the question finds its best match in it.

MaxSim after Khattab & Zaharia, "ColBERT" (SIGIR 2020), over the encoder's own token vectors. Two changes,
both measured (docs/benchmarks.md): every token vector is centred (the mean token vector subtracted, then
normalised again), which takes out what all tokens of this encoder share; and the question's tokens are
weighted by their idf over the chunks' tokens, so that 什么 and 的 do not outvote the term asked for.

Token vectors are stored product-quantised (Jegou, Douze & Schmid, PAMI 2011) and decoded when the index is
opened; a collection too small to train the quantiser keeps them as float16.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np

from index.config import LateConfig
from index.errors import IndexCorrupt

LATE_VERSION = 1
_TRAIN_PER_CENTROID = 39  # below this FAISS itself warns that a clustering is badly supported
_TRAIN_AT_MOST = 65_536
_CENTROIDS = 256


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """The token vectors of one chunk: ``vectors`` (t, d) float32 of length 1, ``ids`` (t,) int32."""

    vectors: np.ndarray
    ids: np.ndarray


class LateIndex:
    """Token vectors of all chunks, one after the other; row r owns ``offsets[r]:offsets[r + 1]``."""

    def __init__(
        self,
        *,
        vectors: np.ndarray,
        offsets: np.ndarray,
        mean: np.ndarray,
        document_frequency: dict[int, int],
        config: LateConfig,
        codes: np.ndarray,
        quantiser: faiss.ProductQuantizer | None,
    ) -> None:
        self._vectors = vectors
        self._offsets = offsets
        self._mean = mean
        self._document_frequency = document_frequency
        self._config = config
        self._codes = codes
        self._quantiser = quantiser

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
        return float(self._codes.nbytes) / max(1, self.rows)

    @property
    def is_exhaustive(self) -> bool:
        """Whether the collection is small enough to score every chunk."""
        return self.tokens <= self._config.exhaustive_tokens

    @classmethod
    def build(cls, chunks: Sequence[TokenVectors], config: LateConfig) -> LateIndex:
        """Centre, count and compress. Deterministic: equal chunks in equal order give equal bytes."""
        offsets = np.zeros(len(chunks) + 1, dtype=np.int64)
        np.cumsum([len(chunk.ids) for chunk in chunks], out=offsets[1:])
        dimension = chunks[0].vectors.shape[1] if chunks else 1
        vectors = np.concatenate([chunk.vectors for chunk in chunks]) if chunks else np.zeros((0, dimension))
        vectors = vectors.astype(np.float32, copy=False)
        mean = _mean(vectors, centre=config.centre)
        document_frequency: dict[int, int] = {}
        for chunk in chunks:
            for token in np.unique(chunk.ids).tolist():
                document_frequency[token] = document_frequency.get(token, 0) + 1
        centred = _centred(vectors, mean)
        quantiser = _train(centred, config)
        codes = centred.astype(np.float16) if quantiser is None else quantiser.compute_codes(centred)
        return cls(
            vectors=_decode(codes, quantiser),
            offsets=offsets,
            mean=mean,
            document_frequency=document_frequency,
            config=config,
            codes=codes,
            quantiser=quantiser,
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
        tokens = self._token_vectors(rows[filled])
        starts = np.concatenate([[0], np.cumsum(lengths[filled])[:-1]])
        similarity = _centred(query.vectors, self._mean) @ tokens.T
        best = np.maximum.reduceat(similarity, starts, axis=1)
        scores[filled] = self.token_weights(query.ids) @ best
        return scores

    def search(
        self, query: TokenVectors, k: int, *, rows: np.ndarray | None = None
    ) -> list[tuple[int, float]]:
        """The k best of ``rows`` (all chunks when None) as (row, score), best first, ties by row."""
        candidates = np.arange(self.rows) if rows is None else np.sort(np.asarray(rows, dtype=np.int64))
        scores = self.scores(query, candidates)
        order = np.argsort(-scores, kind="stable")[:k]
        return [(int(candidates[i]), float(scores[i])) for i in order]

    def match(self, query: TokenVectors, row: int) -> np.ndarray:
        """How well each token of the question meets each token of one chunk: (q, t) float32 cosines."""
        tokens = self._vectors[self._offsets[row] : self._offsets[row + 1]]
        return np.asarray(_centred(query.vectors, self._mean) @ tokens.T)

    def _token_vectors(self, rows: np.ndarray) -> np.ndarray:
        if len(rows) == self.rows:
            return self._vectors
        return np.concatenate([self._vectors[self._offsets[row] : self._offsets[row + 1]] for row in rows])

    def token_weights(self, ids: np.ndarray) -> np.ndarray:
        """What each token of a question counts: (q,) float32, positive, adding up to 1."""
        if not self._config.idf or not self.rows:
            return np.full(len(ids), 1.0 / len(ids), dtype=np.float32)
        frequency = np.array([self._document_frequency.get(int(token), 0) for token in ids], dtype=np.float64)
        # Lucene's BM25 idf: positive for every frequency.
        idf = np.log1p((self.rows - frequency + 0.5) / (frequency + 0.5))
        return (idf / idf.sum()).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write ``late.json``, ``late_codes.npy``, ``late_offsets.npy``, ``late_mean.npy`` and the codebook."""
        header = {
            "version": LATE_VERSION,
            "rows": self.rows,
            "tokens": self.tokens,
            "codec": "float16" if self._quantiser is None else f"pq{self._codes.shape[1]}x8",
            "document_frequency": {str(token): n for token, n in sorted(self._document_frequency.items())},
        }
        (folder / "late.json").write_text(json.dumps(header), encoding="utf-8")
        np.save(folder / "late_codes.npy", self._codes, allow_pickle=False)
        np.save(folder / "late_offsets.npy", self._offsets, allow_pickle=False)
        np.save(folder / "late_mean.npy", self._mean, allow_pickle=False)
        if self._quantiser is not None:
            codebook = faiss.vector_to_array(self._quantiser.centroids)
            np.save(folder / "late_codebook.npy", codebook, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, config: LateConfig) -> LateIndex:
        """Read what ``save`` wrote; raises IndexCorrupt where the parts do not fit together."""
        try:
            header = json.loads((folder / "late.json").read_text(encoding="utf-8"))
            codes = np.load(folder / "late_codes.npy", allow_pickle=False)
            offsets = np.load(folder / "late_offsets.npy", allow_pickle=False)
            mean = np.load(folder / "late_mean.npy", allow_pickle=False)
            quantiser = None
            if header["codec"] != "float16":
                codebook = np.load(folder / "late_codebook.npy", allow_pickle=False)
                quantiser = faiss.ProductQuantizer(mean.shape[0], codes.shape[1], 8)
                faiss.copy_array_to_vector(codebook, quantiser.centroids)
            document_frequency = {int(token): int(n) for token, n in header["document_frequency"].items()}
            tokens = int(header["tokens"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _corrupt(folder, str(error)) from error
        if len(codes) != tokens or int(offsets[-1]) != tokens or len(offsets) != header["rows"] + 1:
            raise _corrupt(folder, "codes, offsets and header disagree")
        return cls(
            vectors=_decode(codes, quantiser),
            offsets=offsets,
            mean=mean,
            document_frequency=document_frequency,
            config=config,
            codes=codes,
            quantiser=quantiser,
        )


def _mean(vectors: np.ndarray, *, centre: bool) -> np.ndarray:
    if not centre or not len(vectors):
        return np.zeros(vectors.shape[1], dtype=np.float32)
    return vectors.mean(axis=0, dtype=np.float64).astype(np.float32)


def _centred(vectors: np.ndarray, mean: np.ndarray) -> np.ndarray:
    shifted = vectors - mean
    norms = np.linalg.norm(shifted, axis=1, keepdims=True)
    return np.ascontiguousarray(shifted / np.maximum(norms, 1e-12), dtype=np.float32)


def _train(centred: np.ndarray, config: LateConfig) -> faiss.ProductQuantizer | None:
    if len(centred) < _TRAIN_PER_CENTROID * _CENTROIDS:
        return None
    dimension = centred.shape[1]
    parts = max(m for m in range(1, min(config.code_bytes, dimension) + 1) if dimension % m == 0)
    sample = centred
    if len(centred) > _TRAIN_AT_MOST:
        chosen = np.random.default_rng(config.seed).choice(len(centred), _TRAIN_AT_MOST, replace=False)
        sample = centred[np.sort(chosen)]
    quantiser = faiss.ProductQuantizer(dimension, parts, 8)
    quantiser.cp.seed = config.seed
    quantiser.train(sample)
    return quantiser


def _decode(codes: np.ndarray, quantiser: faiss.ProductQuantizer | None) -> np.ndarray:
    decoded = codes.astype(np.float32) if quantiser is None else quantiser.decode(codes)
    norms = np.linalg.norm(decoded, axis=1, keepdims=True)
    return np.asarray(decoded / np.maximum(norms, 1e-12), dtype=np.float32)


def _corrupt(folder: Path, reason: str) -> IndexCorrupt:
    return IndexCorrupt(
        f"The token vectors in {folder} cannot be read: {reason}.",
        hint="Run `asknotes index --full` to build the index anew.",
    )
