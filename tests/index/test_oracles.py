"""Fast against plain: both BM25 engines against each other and their libraries, every FAISS family against Flat."""

from typing import Literal

import bm25s
import numpy as np
import numpy.typing as npt
import pytest
import rank_bm25
from hypothesis import given, settings
from hypothesis import strategies as st

from index.config import DenseConfig, LexicalConfig
from index.dense import DenseIndex, Vectors
from index.lexical import LexicalIndex
from index.postings import LexicalDocument

Corpus = list[list[str]]
Engine = Literal["bm25s", "rank-bm25"]
ENGINES: tuple[Engine, Engine] = ("bm25s", "rank-bm25")


def _corpus(seed: int, documents: int, vocabulary: int) -> Corpus:
    """Zipf-distributed terms: some in nearly every document, some in one; some documents are empty."""
    random = np.random.default_rng(seed)
    lengths = random.integers(0, 60, documents)
    return [[str(min(term, vocabulary)) for term in random.zipf(1.4, length)] for length in lengths]


def _questions(seed: int, count: int) -> Corpus:
    random = np.random.default_rng(seed)
    return [[str(term) for term in random.zipf(1.3, random.integers(1, 9))] for _ in range(count)]


def _index(documents: Corpus, config: LexicalConfig) -> LexicalIndex:
    """Documents that have a body only."""
    return LexicalIndex.build([LexicalDocument(body=terms) for terms in documents], config)


def _fielded(seed: int, documents: int, vocabulary: int) -> list[LexicalDocument]:
    """Documents of which some lack a heading, a body or both."""
    fields = (_corpus(seed * 10 + number, documents, vocabulary) for number in range(3))
    return [
        LexicalDocument(heading=heading[:5], body=body, expansion=expansion[:20])
        for heading, body, expansion in zip(*fields, strict=True)
    ]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("k1", "b"), [(1.5, 0.75), (0.4, 1.0), (2.0, 0.0)])
def test_the_engines_rank_and_score_alike(seed: int, k1: float, b: float) -> None:
    documents = _corpus(seed, documents=120, vocabulary=300)
    fast = _index(documents, LexicalConfig(engine="bm25s", k1=k1, b=b))
    reference = _index(documents, LexicalConfig(engine="rank-bm25", k1=k1, b=b))
    _assert_alike(fast, reference, _questions(seed, 25))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("heading", "expansion"), [(1.0, 0.0), (2.0, 1.0), (0.0, 0.3), (3.7, 0.0)])
def test_the_engines_rank_and_score_weighted_fields_alike(seed: int, heading: float, expansion: float) -> None:
    documents = _fielded(seed, documents=120, vocabulary=300)
    fast, reference = (
        LexicalIndex.build(documents, LexicalConfig(engine=engine, heading_weight=heading, expansion_weight=expansion))
        for engine in ENGINES
    )
    _assert_alike(fast, reference, _questions(seed, 25))


def _assert_alike(fast: LexicalIndex, reference: LexicalIndex, questions: Corpus) -> None:
    for terms in questions:
        np.testing.assert_allclose(fast.scores(terms), reference.scores(terms), rtol=1e-6)
        found = [row for row, _ in fast.search(terms, 120)]
        assert found == [row for row, _ in reference.search(terms, 120)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcdef"), max_size=10), min_size=1, max_size=15),
    st.lists(st.sampled_from("abcdefg"), max_size=6),
)
def test_the_engines_rank_small_corpora_alike(documents: Corpus, terms: list[str]) -> None:
    fast, reference = (_index(documents, LexicalConfig(engine=engine)) for engine in ENGINES)
    assert [row for row, _ in fast.search(terms, 15)] == [row for row, _ in reference.search(terms, 15)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("heading", "expansion"), [(1, 0), (1, 1), (2, 0), (0, 0), (5, 3)])
def test_a_whole_weight_is_that_field_repeated(engine: Engine, heading: int, expansion: int) -> None:
    documents = _fielded(4, documents=100, vocabulary=200)
    repeated = [[*[*d.heading] * heading, *d.body, *[*d.expansion] * expansion] for d in documents]
    weighted = LexicalConfig(engine=engine, heading_weight=heading, expansion_weight=expansion)
    index, plain = LexicalIndex.build(documents, weighted), _index(repeated, LexicalConfig(engine=engine))
    for terms in _questions(4, 25):
        assert index.scores(terms).tolist() == plain.scores(terms).tolist()
        assert index.idf(terms).tolist() == plain.idf(terms).tolist()


def test_the_fast_engine_scores_what_bm25s_itself_would() -> None:
    documents = _corpus(1, documents=200, vocabulary=400)
    index = _index(documents, LexicalConfig(k1=1.2, b=0.6))
    _assert_scores_of_bm25s(index, documents, questions=_questions(1, 25))


def test_the_fast_engine_scores_headings_as_bm25s_would_if_they_were_repeated() -> None:
    documents = _fielded(5, documents=200, vocabulary=400)
    index = LexicalIndex.build(documents, LexicalConfig(k1=1.2, b=0.6, heading_weight=3, expansion_weight=1))
    repeated = [[*d.heading, *d.heading, *d.heading, *d.body, *d.expansion] for d in documents]
    _assert_scores_of_bm25s(index, repeated, questions=_questions(5, 25))


def _assert_scores_of_bm25s(index: LexicalIndex, documents: Corpus, *, questions: Corpus) -> None:
    library = bm25s.BM25(k1=1.2, b=0.6, method="lucene", dtype="float64")
    library.index(documents, show_progress=False)
    for terms in questions:
        known = [term for term in terms if term in library.vocab_dict]
        expected = library.get_scores(known) if known else np.zeros(len(documents))
        np.testing.assert_allclose(index.scores(terms), expected, rtol=1e-6)


def test_scores_are_those_of_plain_rank_bm25_up_to_each_terms_idf() -> None:
    filled = [document or ["\0"] for document in _corpus(2, documents=80, vocabulary=100)]
    _assert_scores_of_rank_bm25(_index(filled, LexicalConfig()), filled)


def test_weighted_scores_are_those_of_plain_rank_bm25_over_repeated_fields_up_to_each_terms_idf() -> None:
    documents = [LexicalDocument(d.heading, d.body or ["\0"], d.expansion) for d in _fielded(6, 80, 100)]
    index = LexicalIndex.build(documents, LexicalConfig(heading_weight=2, expansion_weight=4))
    _assert_scores_of_rank_bm25(index, [[*[*d.heading] * 2, *d.body, *[*d.expansion] * 4] for d in documents])


def _assert_scores_of_rank_bm25(index: LexicalIndex, documents: Corpus) -> None:
    library = rank_bm25.BM25Okapi(documents, k1=1.5, b=0.75)
    compared = 0
    for term in ("1", "2", "5", "40"):
        ours, theirs = index.scores([term]), library.get_scores([term])
        if theirs.any():
            factors = ours[theirs != 0] / theirs[theirs != 0]
            np.testing.assert_allclose(factors, factors[0], rtol=1e-5)
            compared += 1
    assert compared >= 3


def _clustered(rows: int, seed: int, dimension: int = 16) -> Vectors:
    """Points around 60 centres, as texts lie around topics; the centres are the same for every seed."""
    centres = np.random.default_rng(99).normal(size=(60, dimension))
    random = np.random.default_rng(seed)
    points = centres[random.integers(0, 60, rows)] + 0.5 * random.normal(size=(rows, dimension))
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True), dtype=np.float32)


VECTORS = _clustered(3000, seed=0)
QUERIES = _clustered(100, seed=1)
ONE_IN_TWENTY = np.random.default_rng(5).random(3000) < 0.05

# Least recall@10 against Flat with the settings, unfiltered and with one row in twenty allowed.
FAMILIES = pytest.mark.parametrize(
    ("factory", "options", "recall", "filtered_recall"),
    [
        ("HNSW32", {}, 0.99, 0.99),
        ("SQ8", {}, 0.93, 0.97),
        ("HNSW16_SQ8", {}, 0.93, 0.97),
        ("IVF64,Flat", {"nprobe": 16}, 0.98, 0.98),
        ("IVF64,SQ8,Refine(Flat)", {"nprobe": 16}, 0.98, 0.98),
        ("IVF64,PQ8x4,RFlat", {"nprobe": 16, "refine_factor": 16}, 0.95, 0.98),
        ("IVF64,PQ8x4fs,RFlat", {"nprobe": 16, "refine_factor": 16}, 0.95, 0.98),
        ("PQ8x4,RFlat", {"refine_factor": 16}, 0.95, 0.98),
        ("PCA12,HNSW16,RFlat", {"refine_factor": 8}, 0.95, 0.97),
    ],
)


def _recall(found: npt.NDArray[np.int64], exact: npt.NDArray[np.int64]) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), exact.tolist(), strict=True)]))


@FAMILIES
def test_every_family_finds_what_flat_finds(
    factory: str, options: dict[str, int], recall: float, filtered_recall: float
) -> None:
    flat = DenseIndex.build(VECTORS, DenseConfig())
    index = DenseIndex.build(VECTORS, DenseConfig(factory=factory, **options))
    assert index.built_as == factory
    assert _recall(index.search(QUERIES, 10)[0], flat.search(QUERIES, 10)[0]) >= recall
    filtered = index.search(QUERIES, 10, ONE_IN_TWENTY)[0]
    assert _recall(filtered, flat.search(QUERIES, 10, ONE_IN_TWENTY)[0]) >= filtered_recall


def test_eight_bit_product_quantisation_with_refinement_finds_what_flat_finds() -> None:
    vectors, queries = _clustered(39 * 256, seed=0, dimension=8), _clustered(100, seed=1, dimension=8)
    index = DenseIndex.build(vectors, DenseConfig(factory="IVF64,PQ2,RFlat", nprobe=16, refine_factor=16))
    assert index.built_as == "IVF64,PQ2,RFlat"
    exact = DenseIndex.build(vectors, DenseConfig()).search(queries, 10)[0]
    assert _recall(index.search(queries, 10)[0], exact) >= 0.95


@pytest.mark.parametrize(
    ("factory", "weak", "recall"),
    [
        ("HNSW8", {"ef_search": 1, "ef_construction": 4}, 0.99),
        ("IVF64,Flat", {"nprobe": 1}, 0.98),
        ("PQ8x4,RFlat", {"refine_factor": 1}, 0.95),
    ],
)
def test_weak_settings_fail_the_thresholds(factory: str, weak: dict[str, int], recall: float) -> None:
    exact = DenseIndex.build(VECTORS, DenseConfig()).search(QUERIES, 10)[0]
    found = DenseIndex.build(VECTORS, DenseConfig(factory=factory, **weak)).search(QUERIES, 10)[0]
    assert _recall(found, exact) < recall


def test_a_filtered_flat_search_is_the_search_of_the_filtered_rows() -> None:
    rows, scores = DenseIndex.build(VECTORS, DenseConfig()).search(QUERIES, 10, ONE_IN_TWENTY)
    kept = np.flatnonzero(ONE_IN_TWENTY)
    expected_rows, expected_scores = DenseIndex.build(VECTORS[kept], DenseConfig()).search(QUERIES, 10)
    assert rows.tolist() == kept[expected_rows].tolist()
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-5)
