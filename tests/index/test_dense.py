"""The dense index: what is built, found, stored and refused; test_oracles.py compares the families with Flat."""

import functools
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.config import DenseConfig
from index.dense import FILE, DenseIndex, Vectors, VectorsInvalid, fitted_factory
from index.errors import ConfigInvalid, IndexCorrupt, IndexIncompatible, StorageFailed

# Every one of these is really built from 1,000 vectors of 16 dimensions: 4-bit codes need 39 * 16 of them.
FACTORIES = ["Flat", "SQ8", "HNSW16", "HNSW16_SQ8", "IVF16,Flat", "IVF20,SQ8", "PQ8x4", "IVF16,PQ8x4,RFlat"]
FACTORIES += ["PCA8,Flat,RFlat", "PCA8,PQ4x4,Refine(SQ8)", "IVF16_HNSW8,Flat", "IVF16,PQ8x4fs,RFlat", "HNSW16_PQ8x4"]
EVERY_FACTORY = pytest.mark.parametrize("factory", FACTORIES)


def _vectors(rows: int, dimension: int = 16, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(rows, dimension))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


VECTORS = _vectors(1000)
QUERIES = _vectors(7, seed=1)


@functools.cache
def _built(factory: str, nprobe: int = 16, ef_search: int = 128) -> DenseIndex:
    """One build for all tests that only read: searching changes nothing."""
    return DenseIndex.build(VECTORS, DenseConfig(factory=factory, nprobe=nprobe, ef_search=ef_search))


def test_flat_finds_the_largest_inner_products() -> None:
    index = DenseIndex.build(VECTORS, DenseConfig())
    rows, scores = index.search(QUERIES, 5)
    products = QUERIES @ VECTORS.T
    assert rows.tolist() == np.argsort(-products, axis=1)[:, :5].tolist()
    np.testing.assert_allclose(scores, -np.sort(-products, axis=1)[:, :5], rtol=1e-5)
    assert (rows.dtype.name, scores.dtype.name) == ("int64", "float32")


@EVERY_FACTORY
def test_every_family_is_built_as_asked(factory: str) -> None:
    index = _built(factory)
    assert (index.rows, index.dimension, index.built_as) == (1000, 16, factory)


@EVERY_FACTORY
def test_one_question_gets_what_it_gets_in_a_batch(factory: str) -> None:
    index = _built(factory)
    rows, scores = index.search(QUERIES, 4)
    alone = index.search(QUERIES[2], 4)
    assert rows.shape == scores.shape == (7, 4)
    assert alone[0].tolist() == rows[2].tolist()
    np.testing.assert_allclose(alone[1], scores[2], rtol=1e-5)


@EVERY_FACTORY
@pytest.mark.parametrize("k", [1, 10, 999, 1000, 5000])
def test_no_family_leaks_a_missing_row(factory: str, k: int) -> None:
    rows, scores = _built(factory).search(QUERIES[:2], k)
    assert rows.shape == scores.shape
    assert rows.shape[1] == min(k, 1000)
    assert ((rows >= 0) & (rows < 1000)).all()
    assert all(len(set(found)) == len(found) for found in rows.tolist())
    assert (np.diff(scores, axis=1) <= 0).all()


@EVERY_FACTORY
@pytest.mark.parametrize("allowed_rows", [0, 1, 3, 40, 600])
def test_a_filter_keeps_only_its_rows_and_finds_enough_of_them(factory: str, allowed_rows: int) -> None:
    index = _built(factory, nprobe=1, ef_search=8)
    allowed = np.zeros(1000, dtype=bool)
    allowed[np.random.default_rng(2).permutation(1000)[:allowed_rows]] = True
    rows, _ = index.search(QUERIES, 10, allowed)
    assert rows.shape == (7, min(10, allowed_rows))
    assert allowed[rows].all()


@EVERY_FACTORY
def test_building_twice_gives_equal_bytes(factory: str, tmp_path: Path) -> None:
    contents = []
    for threads in (1, 2):
        faiss.omp_set_num_threads(threads)
        DenseIndex.build(VECTORS, DenseConfig(factory=factory)).save(tmp_path)
        assert faiss.omp_get_max_threads() == threads
        contents.append((tmp_path / FILE).read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize("factory", ["IVF16,Flat", "PQ8x4", "IVF16,PQ8x4", "HNSW16_PQ8x4"])
def test_another_seed_clusters_differently(factory: str, tmp_path: Path) -> None:
    contents = []
    for seed in (1, 2):
        DenseIndex.build(VECTORS, DenseConfig(factory=factory, seed=seed)).save(tmp_path)
        contents.append((tmp_path / FILE).read_bytes())
    assert contents[0] != contents[1]


@EVERY_FACTORY
def test_what_is_saved_is_loaded(factory: str, tmp_path: Path) -> None:
    config = DenseConfig(factory=factory)
    built = _built(factory)
    built.save(tmp_path)
    loaded = DenseIndex.load(tmp_path, config)
    assert (loaded.rows, loaded.dimension, loaded.built_as) == (1000, 16, factory)
    assert loaded.search(QUERIES, 10)[0].tolist() == built.search(QUERIES, 10)[0].tolist()
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize(
    ("factory", "other"),
    [
        (factory, other)
        for factory in FACTORIES
        for other in ("Flat", "HNSW8", "IVF17,Flat", "SQfp16", "IVF16,PQ4x4,RFlat")
        if factory != other
    ],
)
def test_an_index_of_another_factory_is_refused(factory: str, other: str, tmp_path: Path) -> None:
    _built(factory).save(tmp_path)
    with pytest.raises(IndexIncompatible, match=r"dense\.factory") as refused:
        DenseIndex.load(tmp_path, DenseConfig(factory=other))
    assert "asknotes index --full" in refused.value.hint


@EVERY_FACTORY
def test_vectors_come_back_in_the_order_of_the_rows(factory: str) -> None:
    stored = _built(factory).vectors()
    assert (stored.shape, stored.dtype.name) == (VECTORS.shape, "float32")
    if factory in {"Flat", "HNSW16", "IVF16,Flat", "IVF16_HNSW8,Flat"} or factory.endswith("RFlat"):
        assert stored.tolist() == VECTORS.tolist()
    else:
        cosines = (stored * VECTORS).sum(axis=1) / np.linalg.norm(stored, axis=1)
        assert cosines.min() > 0.5


def test_an_index_without_rows_has_no_vectors() -> None:
    assert DenseIndex.build(np.empty((0, 16), np.float32), DenseConfig()).vectors().shape == (0, 16)


def test_search_settings_of_the_loading_config_are_used(tmp_path: Path) -> None:
    DenseIndex.build(VECTORS, DenseConfig(factory="IVF16,Flat", nprobe=1)).save(tmp_path)
    narrow = DenseIndex.load(tmp_path, DenseConfig(factory="IVF16,Flat", nprobe=1)).search(QUERIES, 20)[0]
    wide = DenseIndex.load(tmp_path, DenseConfig(factory="IVF16,Flat", nprobe=16)).search(QUERIES, 20)[0]
    exact = DenseIndex.build(VECTORS, DenseConfig()).search(QUERIES, 20)[0]
    assert wide.tolist() == exact.tolist()
    assert narrow.tolist() != exact.tolist()


@pytest.mark.parametrize("factory", ["Flat", "SQ8", "HNSW16", "IVF2,Flat", "IVF256,PQ48,RFlat", "PCA64,Flat"])
def test_an_index_without_rows_finds_nothing(factory: str, tmp_path: Path) -> None:
    config = DenseConfig(factory=factory)
    DenseIndex.build(np.empty((0, 16), np.float32), config).save(tmp_path)
    index = DenseIndex.load(tmp_path, config)
    assert (index.rows, index.dimension, index.built_as) == (0, 16, "Flat")
    assert index.search(QUERIES, 5)[0].shape == (7, 0)
    assert index.search(QUERIES[0], 5)[1].shape == (0,)
    assert index.search(QUERIES, 5, np.zeros(0, dtype=bool))[0].shape == (7, 0)


@pytest.mark.parametrize("factory", ["Flat", "SQ8", "HNSW16", "IVF16,Flat"])
def test_ties_are_broken_by_row_also_at_the_cut(factory: str) -> None:
    same = np.repeat(_vectors(1), 30, axis=0)
    index = DenseIndex.build(
        np.concatenate([_vectors(50, seed=3), same, _vectors(700)[1:]]), DenseConfig(factory=factory)
    )
    for k in (1, 7, 15, 30):
        assert index.search(same[0], k)[0].tolist() == list(range(50, 50 + k))


@pytest.mark.parametrize(
    ("asked", "rows", "built"),
    [
        ("Flat", 1, "Flat"),
        ("HNSW32", 5, "HNSW32"),
        ("SQ8", 1, "SQ8"),
        ("HNSW32", 0, "Flat"),
        ("IVF256,Flat", 300, "Flat"),
        ("IVF256,Flat", 39 * 16 - 1, "Flat"),
        ("IVF256,Flat", 39 * 16, "IVF16,Flat"),
        ("IVF256,Flat", 39 * 256 - 1, "IVF255,Flat"),
        ("IVF256,Flat", 39 * 256, "IVF256,Flat"),
        ("IVF1k,SQ8", 39 * 1024, "IVF1k,SQ8"),
        ("IVF1k,SQ8", 39 * 1000, "IVF1000,SQ8"),
        ("IVF8,Flat", 39 * 8, "IVF8,Flat"),
        ("IVF8,Flat", 39 * 8 - 1, "Flat"),
        ("IVF256,PQ48,RFlat", 39 * 256 - 1, "Flat"),
        ("IVF256,PQ48,RFlat", 39 * 256, "IVF256,PQ48,RFlat"),
        ("IVF64,PQ48x4fs,RFlat", 39 * 16, "IVF16,PQ48x4fs,RFlat"),
        ("PQ48x10", 39 * 1024 - 1, "Flat"),
        ("OPQ16,IVF16,SQ8", 39 * 256 - 1, "Flat"),
        ("PCA64,HNSW32", 39 * 64 - 1, "Flat"),
        ("PCAR64,HNSW32", 39 * 64, "PCAR64,HNSW32"),
        ("IVF256_HNSW32,Flat", 1000, "IVF25_HNSW32,Flat"),
    ],
)
def test_too_few_vectors_are_indexed_by_the_documented_rule(asked: str, rows: int, built: str) -> None:
    assert fitted_factory(asked, rows, 384) == built


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 900), st.sampled_from(["IVF64,Flat", "IVF32,PQ8,RFlat", "IVF16,PQ8x4,RFlat", "PCA8,HNSW8", "SQ8"])
)
def test_any_number_of_vectors_can_be_built_and_searched(rows: int, factory: str) -> None:
    index = DenseIndex.build(VECTORS[:rows], DenseConfig(factory=factory))
    assert index.rows == rows
    assert index.search(QUERIES, 10)[0].shape == (7, min(10, rows))


@pytest.mark.parametrize("factory", ["Nonsense", "NSG16", "RQ4x8", "IDMap,Flat", "PQ7x4", "", "IVF16,", "LSH"])
def test_a_factory_that_cannot_be_built_is_a_config_error(factory: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"dense\.factory"):
        DenseIndex.build(VECTORS, DenseConfig.model_construct(**{**DenseConfig().model_dump(), "factory": factory}))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite_are_refused(value: float) -> None:
    broken = VECTORS.copy()
    broken[500, 3] = value
    with pytest.raises(VectorsInvalid, match="not finite"):
        DenseIndex.build(broken, DenseConfig())
    with pytest.raises(VectorsInvalid, match="not finite"):
        DenseIndex.build(VECTORS, DenseConfig()).search(broken[500], 5)


@pytest.mark.parametrize(
    "vectors", [VECTORS * 2, np.zeros((3, 16), np.float32), VECTORS[0], np.empty((3, 0), np.float32)]
)
def test_vectors_that_are_no_normalised_matrix_are_refused(vectors: Vectors) -> None:
    with pytest.raises(VectorsInvalid):
        DenseIndex.build(vectors, DenseConfig())


def test_a_question_of_another_dimension_is_refused_with_the_remedy() -> None:
    index = DenseIndex.build(VECTORS, DenseConfig())
    with pytest.raises(IndexIncompatible, match="8 dimensions, the index 16") as refused:
        index.search(_vectors(1, 8), 5)
    assert "asknotes index --full" in refused.value.hint


@pytest.mark.parametrize(
    "allowed", [np.ones(999, dtype=bool), np.ones(1000, dtype=np.int64), np.ones((1, 1000), dtype=bool)]
)
def test_a_filter_of_another_shape_is_refused(allowed: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> None:
    with pytest.raises(VectorsInvalid, match="filter"):
        DenseIndex.build(VECTORS, DenseConfig()).search(QUERIES, 5, allowed)


@pytest.mark.parametrize("kept", [0, 3, 0.3, 0.9])
@pytest.mark.parametrize("factory", ["Flat", "HNSW16", "IVF16,PQ8x4,RFlat"])
def test_a_truncated_file_is_refused_by_name(factory: str, kept: float, tmp_path: Path) -> None:
    _built(factory).save(tmp_path)
    content = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(content[: int(len(content) * kept) if isinstance(kept, float) else kept])
    with pytest.raises(IndexCorrupt, match=FILE):
        DenseIndex.load(tmp_path, DenseConfig(factory=factory))


def test_a_missing_or_foreign_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(IndexCorrupt, match=FILE):
        DenseIndex.load(tmp_path, DenseConfig())
    (tmp_path / FILE).write_bytes(b"this was never an index" * 100)
    with pytest.raises(IndexCorrupt, match=FILE):
        DenseIndex.load(tmp_path, DenseConfig())


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match=FILE):
        DenseIndex.build(VECTORS, DenseConfig()).save(tmp_path / "missing")


@pytest.mark.parametrize(("rows", "built_as"), [(0, "Flat"), (9_999, "Flat"), (10_000, "SQfp16"), (10**6, "SQfp16")])
def test_auto_keeps_halves_of_many_vectors(rows: int, built_as: str) -> None:
    assert DenseConfig().factory == "auto"
    assert fitted_factory("auto", rows, 384) == built_as


def test_halves_find_what_whole_vectors_find() -> None:
    whole, halves = (DenseIndex.build(VECTORS, DenseConfig(factory=factory)) for factory in ("Flat", "SQfp16"))
    found, scores = halves.search(QUERIES, 10)
    expected, exact = whole.search(QUERIES, 10)
    assert np.mean(found == expected) > 0.95  # neighbours closer to each other than half a number's rounding may swap
    assert np.abs(scores - exact).max() < 1e-2
