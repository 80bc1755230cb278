"""Token vectors in few bytes: two forms, both scored without being decoded as a whole.

``ByteCodes`` keeps every component as an 8-bit integer and loses nothing measurable; 388 bytes for 384 dimensions.

``ResidualCodes`` keeps the mean of each chunk's token vectors, and of each token what it differs by: 76 bytes. The
tokens of one chunk have much in common, two fifths of their variance, because the encoder has read the chunk as a
whole; so the mean, which costs 2 bytes a token, halves the error. The differences are rotated to their principal axes
(those of a sample from all chunks) and, as in gain-shape quantisation (Gersho & Gray, "Vector Quantization and Signal
Compression", 1992, section 12.10), their direction is coded apart from their length: 4 bits for each of the first 64
axes, 2 for the next 128, 1 for the next 64, none for the rest, with the best levels for normal values (Max, "Quantizing
for minimum distortion", IRE Transactions on Information Theory 6, 1960, table I).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

TRAINING_SAMPLE = 32_768
"""Token vectors that the axes are computed from, at most."""
_TRAINING_PER_DIMENSION = 39  # as for dense vectors (dense.py)
_LARGEST_BYTE = 127
_SHORTEST = np.float32(1e-4)  # a scale of 16 bits is at most 65,504
_LARGEST_LEVEL = 2.733
_GROUPS = ((64, 4), (128, 2), (64, 1))  # axes, bits for each
_LEVELS = {
    1: (0.7980,),
    2: (0.4528, 1.510),
    4: (0.1284, 0.3881, 0.6568, 0.9424, 1.256, 1.618, 2.069, _LARGEST_LEVEL),
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Token vectors of some chunks, one chunk after the other.

    ``rows`` are the chunks, ``lengths`` how many token vectors each has, ``tokens`` where those are: a slice, or
    their positions.
    """

    rows: np.ndarray
    lengths: np.ndarray
    tokens: slice | np.ndarray


@dataclass(frozen=True, slots=True)
class TokenCodes(ABC):
    """Compressed token vectors of all chunks. What is stored are the fields, every one an array."""

    form: ClassVar[str]

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Length of a token vector."""

    @abstractmethod
    def cosines(self, asked: Vectors, chosen: Selection) -> Vectors:
        """Return the cosine of each token vector of a question, (q, d) of length 1, with each chosen one: (q, t)."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what is stored, by name: the arguments of the constructor."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @abstractmethod
    def fits(self, rows: int, tokens: int, dimension: int) -> bool:
        """Whether these are codes of so many chunks with so many token vectors of that length."""

    @property
    def nbytes(self) -> int:
        """Bytes of everything that is stored."""
        return sum(array.nbytes for array in self.arrays().values())


@dataclass(frozen=True, slots=True)
class ByteCodes(TokenCodes):
    """``codes`` (t, d) int8; ``scales`` (t,) float32, by which a product with the integers becomes a cosine."""

    codes: np.ndarray
    scales: np.ndarray
    form: ClassVar[str] = "bytes"

    @property
    def dimension(self) -> int:
        """Length of a token vector."""
        return int(self.codes.shape[1])

    @classmethod
    def encode(cls, chunks: Iterable[Vectors], tokens: int, dimension: int) -> ByteCodes:
        """Encode the token vectors of each chunk in order, ``tokens`` in all, each of length 1."""
        codes = np.empty((tokens, dimension), dtype=np.int8)
        scales = np.empty(tokens, dtype=np.float32)
        for span, vectors in _spans(chunks):
            codes[span] = _as_bytes(vectors)[0]
            scales[span] = 1 / np.maximum(np.linalg.norm(codes[span].astype(np.float32), axis=1), 1)
        return cls(codes, scales)

    def cosines(self, asked: Vectors, chosen: Selection) -> Vectors:
        """Cost: one (q, d) x (d, t) product and turning t * d integers into floats."""
        products = asked @ self.codes[chosen.tokens].astype(np.float32).T
        products *= self.scales[chosen.tokens]
        return products

    def fits(self, rows: int, tokens: int, dimension: int) -> bool:  # noqa: ARG002 - nothing is kept by chunk
        """Whether these are codes of so many token vectors of that length."""
        return _are(self.codes, np.int8, (tokens, dimension)) and _are(self.scales, np.float32, (tokens,))


@dataclass(frozen=True, slots=True)
class ResidualCodes(TokenCodes):
    """The chunks' means and the tokens' differences from them.

    ``chunk_means`` (rows, d) int8 with ``chunk_scales`` (rows,) float32; ``codes`` (t, bytes) uint8, the groups of axes
    one after the other; ``axes`` (d, k) float32, each as long as the differences' directions are spread along it;
    ``scales`` (t, 2) float16: what the mean and what the difference is multiplied by to give a vector of length 1.
    """

    codes: np.ndarray
    scales: np.ndarray
    chunk_means: np.ndarray
    chunk_scales: np.ndarray
    axes: np.ndarray
    form: ClassVar[str] = "residuals"

    @property
    def dimension(self) -> int:
        """Length of a token vector."""
        return int(self.axes.shape[0])

    @staticmethod
    def can_train(tokens: int, dimension: int) -> bool:
        """Whether so many token vectors are enough to compute axes from."""
        return tokens >= _TRAINING_PER_DIMENSION * dimension

    @classmethod
    def encode(cls, chunks: Iterable[Vectors], rows: int, tokens: int, sample: Vectors) -> ResidualCodes:
        """Encode the token vectors of each chunk in order: ``rows`` chunks, ``tokens`` in all, each of length 1.

        ``sample`` (n, d) are differences from the chunks' means (``residuals``), spread over all chunks.
        """
        directions, spread = _principal_axes(sample)
        groups = _Groups.of(sample.shape[1])
        codes = np.empty((tokens, groups.width), dtype=np.uint8)
        scales = np.empty((tokens, 2), dtype=np.float16)
        chunk_means = np.zeros((rows, len(directions)), dtype=np.int8)
        chunk_scales = np.zeros(rows, dtype=np.float32)
        for row, (span, vectors) in enumerate(_spans(chunks)):
            if len(vectors):
                chunk_means[row], chunk_scales[row] = _coded_mean(vectors)
                mean = chunk_means[row] * chunk_scales[row]
                differences = (vectors - mean) @ directions
                codes[span] = groups.encode(_directions_of(differences) / _positive(spread))
                scales[span] = _shares(differences, groups.decode(codes[span]) * spread, mean, mean @ directions)
        return cls(codes, scales, chunk_means, chunk_scales, directions * spread)

    def cosines(self, asked: Vectors, chosen: Selection) -> Vectors:
        """Cost: one (q, k) x (k, t) product for k axes, and a table look-up for each of a token's bytes."""
        with_means = asked @ self.chunk_means[chosen.rows].astype(np.float32).T * self.chunk_scales[chosen.rows]
        cosines = _Groups.of(self.dimension).products(asked @ self.axes, self.codes[chosen.tokens])
        scales = self.scales[chosen.tokens].astype(np.float32)
        cosines *= scales[:, 1]
        cosines += np.repeat(with_means, chosen.lengths, axis=1) * scales[:, 0]
        return cosines

    def fits(self, rows: int, tokens: int, dimension: int) -> bool:
        """Whether these are codes of so many chunks with so many token vectors of that length."""
        groups = _Groups.of(dimension)
        return (
            _are(self.codes, np.uint8, (tokens, groups.width))
            and _are(self.scales, np.float16, (tokens, 2))
            and _are(self.chunk_means, np.int8, (rows, dimension))
            and _are(self.chunk_scales, np.float32, (rows,))
            and _are(self.axes, np.float32, (dimension, groups.axes))
        )


@dataclass(frozen=True, slots=True)
class _Groups:
    """Axes beside each other that take equally many bits: for each group its number of axes and its bits."""

    parts: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, dimension: int) -> _Groups:
        """Return the groups for vectors of that length: those of 256 axes, or the first of them that it has.

        What is left of a byte at the end codes axes that do not exist, on which every question is zero.
        """
        parts, left = [], dimension
        for axes, bits in _GROUPS:
            here = min(axes, left)
            left -= here
            if here:
                parts.append((-(-here * bits // 8) * 8 // bits, bits))
        return cls(tuple(parts))

    @property
    def axes(self) -> int:
        """Axes coded."""
        return sum(axes for axes, _ in self.parts)

    @property
    def width(self) -> int:
        """Bytes a token."""
        return sum(axes * bits // 8 for axes, bits in self.parts)

    def encode(self, values: Vectors) -> np.ndarray:
        """Return the nearest levels of (t, axes) values as (t, width) uint8; the first of a byte in its lowest bits."""
        codes = np.zeros((len(values), self.width), dtype=np.uint8)
        byte = first = 0
        for axes, bits in self.parts:
            levels = np.zeros((len(values), axes), dtype=np.uint8)
            for bound in _BOUNDS[bits]:
                levels += values[:, first : first + axes] > bound
            width = axes * bits // 8
            for place in range(8 // bits):
                codes[:, byte : byte + width] |= levels[:, place :: 8 // bits] << (place * bits)
            byte, first = byte + width, first + axes
        return codes

    def decode(self, codes: np.ndarray) -> Vectors:
        """Return the levels that (t, width) bytes stand for: (t, axes) float32."""
        return np.concatenate(list(self._looked_up(codes)), axis=1)

    def products(self, asked: Vectors, codes: np.ndarray) -> Vectors:
        """Return ``asked`` (q, axes) times what (t, width) bytes stand for: (q, t) float32."""
        total = np.zeros((len(asked), len(codes)), dtype=np.float32)
        first = 0
        for values in self._looked_up(codes):
            after = first + values.shape[1]
            total += asked[:, first:after] @ values.T
            first = after
        return total

    def _looked_up(self, codes: np.ndarray) -> Iterator[Vectors]:
        """Yield the levels of one group of axes after the other."""
        byte = 0
        for axes, bits in self.parts:
            width = axes * bits // 8
            yield _TABLES[bits].take(codes[:, byte : byte + width], axis=0).reshape(len(codes), axes)
            byte += width


def _levels(bits: int) -> Vectors:
    positive = np.array(_LEVELS[bits], dtype=np.float32)
    return np.asarray(np.concatenate([-positive[::-1], positive]), dtype=np.float32)


def _table(bits: int) -> Vectors:
    """Return what each byte stands for: (256, 8 / bits) float32."""
    shifts = np.arange(0, 8, bits)
    return np.asarray(_levels(bits)[(np.arange(256)[:, None] >> shifts) & (2**bits - 1)])


_BOUNDS = {bits: ((_levels(bits)[1:] + _levels(bits)[:-1]) / 2).astype(np.float32) for bits in _LEVELS}
_TABLES = {bits: _table(bits) for bits in _LEVELS}


def residuals(vectors: Vectors) -> Vectors:
    """Return what the token vectors of one chunk, (t, d), differ by from their mean as it is stored."""
    if not len(vectors):
        return vectors
    codes, scale = _coded_mean(vectors)
    return np.asarray(vectors - codes * scale, dtype=np.float32)


def _coded_mean(vectors: Vectors) -> tuple[np.ndarray, np.float32]:
    codes, scales = _as_bytes(vectors.mean(axis=0, keepdims=True))
    return codes[0], scales[0]


def _as_bytes(vectors: Vectors) -> tuple[np.ndarray, Vectors]:
    scales = (np.abs(vectors).max(axis=1, initial=1e-12) / _LARGEST_BYTE).astype(np.float32)
    return np.rint(vectors / scales[:, None]).astype(np.int8), scales


def _principal_axes(sample: Vectors) -> tuple[Vectors, Vectors]:
    """Return the axes of greatest variance as columns of length 1, and how far directions are spread along each.

    Axes that only fill a byte are zero, as is their spread.
    """
    wide = sample.astype(np.float64)
    vectors = np.linalg.eigh(wide.T @ wide)[1][:, ::-1].astype(np.float32)
    axes = _Groups.of(sample.shape[1]).axes
    padded = np.pad(vectors, ((0, 0), (0, max(0, axes - vectors.shape[1]))))[:, :axes]
    directions = np.ascontiguousarray(padded)
    along = _directions_of(sample @ directions)
    return directions, np.sqrt(np.square(along, dtype=np.float64).mean(axis=0)).astype(np.float32)


def _directions_of(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / _positive(np.linalg.norm(vectors, axis=1, keepdims=True)), dtype=np.float32)


def _shares(differences: Vectors, shapes: Vectors, mean: Vectors, mean_by_axis: Vectors) -> Vectors:
    """How much of the chunk's mean and of the coded direction gives each token's vector, made of length 1: (t, 2).

    ``differences`` and ``shapes`` (t, k) are those of the tokens and what was coded of them, along the axes.
    """
    squares = np.sum(shapes * shapes, axis=1)
    lengths = np.sum(shapes * differences, axis=1) / _positive(squares)
    norms = np.sqrt(mean @ mean + 2 * lengths * (shapes @ mean_by_axis) + np.square(lengths) * squares)
    norms = np.maximum(norms, _SHORTEST)
    return np.stack([1 / norms, lengths / norms], axis=1)


def _positive(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(values, np.float32(1e-6)))


def _spans(chunks: Iterable[Vectors]) -> Iterator[tuple[slice, Vectors]]:
    """Yield where the token vectors of each chunk go, and the vectors."""
    first = 0
    for vectors in chunks:
        yield slice(first, first + len(vectors)), vectors
        first += len(vectors)


def _are(array: np.ndarray, kind: type[np.generic], shape: tuple[int, ...]) -> bool:
    return array.dtype == kind and array.shape == shape


FORMS: Mapping[str, type[TokenCodes]] = {codes.form: codes for codes in (ByteCodes, ResidualCodes)}
