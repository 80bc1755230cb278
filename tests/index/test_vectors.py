"""Vectors of length 1."""

from __future__ import annotations

import numpy as np

from index.vectors import unit


def test_every_vector_gets_length_one_and_keeps_its_direction() -> None:
    made = unit(np.array([[3.0, 4.0], [0.0, -2.0]]))
    np.testing.assert_allclose(made, [[0.6, 0.8], [0.0, -1.0]], rtol=1e-6)
    assert made.dtype == np.float32
    assert made.flags.c_contiguous


def test_a_single_vector_and_none_at_all() -> None:
    np.testing.assert_allclose(unit(np.array([3.0, 4.0], dtype=np.float32)), [0.6, 0.8], rtol=1e-6)
    assert unit(np.zeros((0, 4), dtype=np.float32)).shape == (0, 4)


def test_a_zero_vector_stays_zero_instead_of_becoming_no_number() -> None:
    assert unit(np.zeros((1, 3), dtype=np.float32)).tolist() == [[0.0, 0.0, 0.0]]
