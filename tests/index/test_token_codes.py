"""The parts of a compressed token vector: levels, packing, chosen positions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from index.token_codes import _BOUNDS, _LEVELS, ByteCodes, ResidualCodes, Selection, _Groups, _levels, residuals


@pytest.mark.parametrize("bits", sorted(_LEVELS))
def test_each_level_is_the_mean_of_the_normal_values_that_are_nearest_to_it(bits: int) -> None:
    levels = _levels(bits).astype(float)
    assert len(levels) == 2**bits
    bounds = np.concatenate([[-np.inf], _BOUNDS[bits], [np.inf]])
    # E[x | a < x < b] = (pdf(a) - pdf(b)) / (cdf(b) - cdf(a)): the condition of Lloyd and Max.
    means = -np.diff(norm.pdf(bounds)) / np.diff(norm.cdf(bounds))
    np.testing.assert_allclose(levels, means, atol=2e-3)


@pytest.mark.parametrize("dimension", [1, 8, 15, 64, 70, 200, 256, 384, 1024])
def test_every_level_survives_packing(dimension: int) -> None:
    groups = _Groups.of(dimension)
    random = np.random.default_rng(dimension)
    values = np.concatenate([random.choice(_levels(bits), size=(50, axes)) for axes, bits in groups.parts], axis=1)
    codes = groups.encode(values)
    assert codes.shape == (50, groups.width)
    assert groups.decode(codes).tolist() == values.tolist()
    asked = random.normal(size=(3, groups.axes)).astype(np.float32)
    np.testing.assert_allclose(groups.products(asked, codes), asked @ values.T, atol=1e-4)


def test_axes_and_bytes_by_dimension() -> None:
    assert [(_Groups.of(d).axes, _Groups.of(d).width) for d in (384, 1024, 256, 64, 9)] == [
        (256, 72),
        (256, 72),
        (256, 72),
        (64, 32),
        (10, 5),
    ]


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def chunks_of(counts: list[int], dimension: int) -> list[np.ndarray]:
    """Chunks whose tokens have half of their variance in common, and fewer directions than dimensions."""
    random = np.random.default_rng(7)
    spread = np.arange(1, dimension + 1) ** -0.5
    return [
        unit((random.normal(size=(1, dimension)) + random.normal(size=(count, dimension))) * spread) for count in counts
    ]


def everything(counts: list[int]) -> Selection:
    return Selection(np.arange(len(counts)), np.array(counts), slice(0, sum(counts)))


def test_residuals_lose_little_and_stay_of_length_one() -> None:
    counts = [300, 500, 200]
    chunks = chunks_of(counts, 96)
    exact = np.concatenate(chunks)
    sample = np.concatenate([residuals(chunk) for chunk in chunks])
    codes = ResidualCodes.encode(chunks, len(chunks), len(exact), sample)
    # Asked for every direction, what comes back is the stored vector itself.
    restored = codes.cosines(np.eye(96, dtype=np.float32), everything(counts)).T
    np.testing.assert_allclose(np.linalg.norm(restored, axis=1), 1, atol=2e-3)
    assert np.sum(restored * exact, axis=1).min() > 0.97
    assert np.square(restored - exact).sum(axis=1).mean() < 0.02


def test_the_means_are_worth_their_bytes() -> None:
    counts = [20] * 100
    chunks = chunks_of(counts, 300)
    exact = np.concatenate(chunks)

    def error(parts: list[np.ndarray], lengths: list[int]) -> float:
        sample = np.concatenate([residuals(part) for part in parts])
        codes = ResidualCodes.encode(parts, len(parts), len(exact), sample)
        restored = codes.cosines(np.eye(300, dtype=np.float32), everything(lengths)).T
        return float(np.square(restored - exact).sum(axis=1).mean())

    assert error(chunks, counts) < 0.75 * error([exact], [len(exact)])


@pytest.mark.parametrize("form", ["bytes", "residuals"])
def test_chosen_positions_give_what_all_give_there(form: str) -> None:
    counts = [200, 100, 150]
    chunks = chunks_of(counts, 10)
    sample = np.concatenate([residuals(chunk) for chunk in chunks])
    codes = ByteCodes.encode(chunks, 450, 10) if form == "bytes" else ResidualCodes.encode(chunks, 3, 450, sample)
    asked = unit(np.random.default_rng(1).normal(size=(4, 10)))
    tokens = np.concatenate([np.arange(300, 450), np.arange(200)])
    chosen = Selection(np.array([2, 0]), np.array([150, 200]), tokens)
    np.testing.assert_allclose(
        codes.cosines(asked, chosen), codes.cosines(asked, everything(counts))[:, tokens], atol=1e-6
    )


def test_one_token_is_its_own_mean() -> None:
    chunks = [*chunks_of([200, 1, 0, 199], 5), np.zeros((1, 5), dtype=np.float32)]
    sample = np.concatenate([residuals(chunk) for chunk in chunks])
    codes = ResidualCodes.encode(chunks, len(chunks), 401, sample)
    own = Selection(np.array([1]), np.array([1]), slice(200, 201))
    assert codes.cosines(chunks[1], own)[0, 0] == pytest.approx(1, abs=2e-3)
    nothing = Selection(np.array([4]), np.array([1]), slice(400, 401))
    assert np.isfinite(codes.cosines(chunks[1], nothing)).all()
