"""Collections that are generated, for measuring speed and memory at sizes that nobody's notes have here.

Only what decides speed and recall is imitated, after 210 chunks of study notes encoded by multilingual-e5-small.
Beside each of their statistics, that of 210 generated chunks: length of the mean vector .936 (.939), cosine with the
nearest neighbour .953 (.947), the tenth .907 (.911) and the hundredth .875 (.884), local intrinsic dimension 12 (13;
Levina & Bickel's estimate, NIPS 2004, over 20 neighbours), distinct terms a chunk 81 (77), chunks that hold the first,
fifth, 20th, 100th and 500th most frequent term 156, 128, 64, 30, 8 (130, 120, 79, 30, 5). A thousand unrelated
paragraphs (DRCD) are harder than a thousand generated chunks, with a local dimension of 20 to 15. The terms of a
question are in 14 % of the chunks, those of a real one in 8 %, so what BM25 takes is rather over- than underestimated.
The same seed gives the same collection.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from index.dense import Vectors
from index.late import TokenVectors
from index.vectors import unit

TERMS_A_CHUNK = 124
TOKENS_A_CHUNK = 200
VOCABULARY = 20_000

_COMMON = 0.936  # length of what all vectors share
_CLUSTER_SIZE = 5
_CLUSTER_SHARE = 0.5  # of the variance that is between the clusters
_SPECTRUM = 0.85  # the variance of the i-th principal direction falls with i to this power
_MOVED = 0.3  # share of the way to another vector that a perturbed one goes
_BATCH = 50_000

_TOKEN_IDS = 10_000
_TOKEN_POWER = 1.3

_ZIPF_SHIFT = 30.0
_ZIPF_POWER = 1.3
_NEW_TERMS = 0.7  # share of a chunk's terms that are drawn from the vocabulary; the others repeat those


def clustered_vectors(rows: int, dimension: int, *, seed: int) -> Vectors:
    """Return ``rows`` vectors of length 1 as an encoder gives them: (rows, dimension) float32.

    A vector is a direction that all share, plus that of its cluster of five, plus its own; both of the latter are
    normal with a power-law spectrum in a random rotation. Plain normal noise would have as many dimensions as the
    vectors: then all neighbours are about equally far, and no index but an exhaustive one finds the nearest.
    """
    random = np.random.default_rng(seed)
    deviations = np.arange(1, dimension + 1) ** (-_SPECTRUM / 2)
    deviations *= np.sqrt(1 - _COMMON**2) / np.linalg.norm(deviations)
    rotation = np.linalg.qr(random.standard_normal((dimension, dimension)))[0]
    spread = (deviations[:, None] * rotation.T).astype(np.float32)
    common = unit(random.standard_normal((1, dimension), dtype=np.float32)) * np.float32(_COMMON)
    centres = random.standard_normal((max(1, rows // _CLUSTER_SIZE), dimension), dtype=np.float32)
    vectors = np.empty((rows, dimension), dtype=np.float32)
    for start in range(0, rows, _BATCH):
        size = min(_BATCH, rows - start)
        own = random.standard_normal((size, dimension), dtype=np.float32)
        of_cluster = centres[random.integers(len(centres), size=size)]
        directions = np.sqrt(_CLUSTER_SHARE) * of_cluster + np.sqrt(1 - _CLUSTER_SHARE) * own
        vectors[start : start + size] = unit(common + directions.astype(np.float32) @ spread)
    return vectors


def perturbed_members(vectors: Vectors, count: int, *, seed: int) -> Vectors:
    """Return ``count`` queries: members moved three tenths of the way to another, (count, dimension) float32, length 1.

    A member itself would find itself first in every index; one moved towards another stays among the directions that
    the vectors vary in, which noise does not. Raises ValueError for no vectors.
    """
    if not len(vectors):
        raise ValueError("no vectors to perturb")
    random = np.random.default_rng(seed)
    members = vectors[random.integers(len(vectors), size=count)]
    others = vectors[random.integers(len(vectors), size=count)]
    return unit((1 - _MOVED) * members + _MOVED * others)


def generated_documents(rows: int, *, terms_a_chunk: int, seed: int) -> list[list[str]]:
    """Return the terms of each chunk, from a Zipf-Mandelbrot distribution over 20,000 terms.

    Some of a chunk's terms repeat its others, as a text comes back to what it is about. Lengths are normal with a
    quarter of ``terms_a_chunk`` as deviation, one term at least.
    """
    random = np.random.default_rng(seed)
    frequencies = (np.arange(VOCABULARY) + _ZIPF_SHIFT) ** -_ZIPF_POWER
    shares = np.cumsum(frequencies / frequencies.sum())
    names = np.array([f"term{rank}" for rank in range(VOCABULARY)])
    documents = []
    for length in _lengths(rows, terms_a_chunk, random):
        drawn = np.searchsorted(shares[:-1], random.random(math.ceil(_NEW_TERMS * length)))
        repeated = random.choice(drawn, size=length - len(drawn))
        documents.append(names[np.concatenate([drawn, repeated])].tolist())
    return documents


def generated_questions(documents: Sequence[Sequence[str]], count: int, *, terms: int, seed: int) -> list[list[str]]:
    """Return the terms of ``count`` questions: ``terms`` distinct ones of one chunk each, fewer where it has fewer.

    Raises ValueError for no documents.
    """
    if not documents:
        raise ValueError("no documents to ask about")
    random = np.random.default_rng(seed)
    asked = [np.unique(documents[row]) for row in random.integers(len(documents), size=count)]
    return [random.choice(each, size=min(terms, len(each)), replace=False).tolist() for each in asked]


def generated_tokens(vectors: Vectors, *, tokens_a_text: int, seed: int) -> list[TokenVectors]:
    """Return token vectors for each text: its own vector mixed half and half with those of its tokens' ids.

    Lengths are normal with a quarter of ``tokens_a_text`` as deviation, one token at least.
    """
    random = np.random.default_rng(seed)
    dimension = vectors.shape[1]
    by_id = unit(random.standard_normal((_TOKEN_IDS, dimension), dtype=np.float32))
    texts = []
    for vector, length in zip(vectors, _lengths(len(vectors), tokens_a_text, random), strict=True):
        ids = np.minimum(random.zipf(_TOKEN_POWER, size=length), _TOKEN_IDS).astype(np.int32) - 1
        texts.append(TokenVectors(unit(by_id[ids] + vector), ids))
    return texts


def _lengths(count: int, mean: int, random: np.random.Generator) -> np.ndarray:
    return np.maximum(1, np.rint(random.normal(mean, mean / 4, size=count))).astype(np.int64)
