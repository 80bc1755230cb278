"""Token vectors of made-up texts, given or random."""

from __future__ import annotations

import numpy as np

from index.late import TokenVectors


def tokens(rows: list[list[float]], ids: list[int]) -> TokenVectors:
    vectors = np.array(rows, dtype=np.float32).reshape(len(ids), -1)
    return TokenVectors(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.array(ids, dtype=np.int32))


def random_tokens(random: np.random.Generator, count: int, dimension: int = 8) -> TokenVectors:
    vectors = random.normal(size=(count, dimension)).astype(np.float32) + 0.5
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return TokenVectors(vectors, random.integers(0, 20, count).astype(np.int32))


def random_chunks(counts: list[int], seed: int = 0, dimension: int = 8) -> list[TokenVectors]:
    random = np.random.default_rng(seed)
    return [random_tokens(random, count, dimension) for count in counts]
