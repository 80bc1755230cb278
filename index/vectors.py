"""What is done to vectors everywhere."""

from __future__ import annotations

import numpy as np

_SMALLEST = 1e-12


def unit(vectors: np.ndarray) -> np.ndarray:
    """``vectors`` (..., d) as contiguous float32, each of length 1; a zero vector stays zero."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(norms, _SMALLEST), dtype=np.float32)
