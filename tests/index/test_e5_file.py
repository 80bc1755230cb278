from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.e5_file import Q4_0, E5File, Tensor, parse_e5
from index.errors import WeightsCorrupt
from tests.index.made_up_weights import PIECES, e5_bytes

SOUND = e5_bytes()


def parsed_or_refused(content: bytes) -> E5File | None:
    """Any other exception than the typed refusal fails the test."""
    try:
        return parse_e5(content)
    except WeightsCorrupt:
        return None


def test_a_sound_file_is_read_whole() -> None:
    parsed = parse_e5(SOUND)
    assert (parsed.shape.hidden, parsed.shape.layers, parsed.shape.layer_norm_epsilon) == (32, 2, 1e-12)
    assert [text for text, _ in parsed.vocabulary.pieces] == PIECES
    assert (parsed.vocabulary.begin, parsed.vocabulary.end, parsed.vocabulary.padding) == (0, 2, 1)
    assert parsed.normalisation == {0x01: (), 0xFF21: (97,), 0x3000: (32,)}
    assert parsed.tensors["l1.fo.w"].unpack().shape == (64 * 32,)


def test_q4_0_low_halves_come_before_high_halves() -> None:
    block = struct.pack("<e", 0.5) + bytes(range(16))  # low halves 0..15, high halves 0
    weights = Tensor(Q4_0, 32, memoryview(block)).unpack()
    np.testing.assert_array_equal(weights[:16], (np.arange(16) - 8) * 0.5)
    np.testing.assert_array_equal(weights[16:], np.full(16, -4.0))


@given(st.integers(0, len(SOUND) - 1))
def test_a_file_cut_short_anywhere_is_refused(length: int) -> None:
    assert parsed_or_refused(SOUND[:length]) is None


@given(st.integers(0, 4000), st.binary(min_size=1, max_size=8))
def test_overwritten_bytes_never_cause_anything_but_a_refusal(position: int, garbage: bytes) -> None:
    parsed_or_refused(SOUND[:position] + garbage + SOUND[position + len(garbage) :])


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(tail: bytes) -> None:
    assert parsed_or_refused(b"E5S1" + tail) is None


@pytest.mark.parametrize("content", [b"", b"E5S", b"GGUF" + SOUND[4:]])
def test_another_kind_of_file_is_refused(content: bytes) -> None:
    with pytest.raises(WeightsCorrupt, match="damaged") as refusal:
        parse_e5(content)
    assert "asknotes models --fetch" in refusal.value.hint
