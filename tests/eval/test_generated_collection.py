"""Generated collections: what makes recall and timings on them mean something."""

from collections import Counter

import numpy as np
import pytest

from eval.generated_collection import (
    clustered_vectors,
    generated_documents,
    generated_questions,
    generated_tokens,
    perturbed_members,
)

VECTORS = clustered_vectors(400, 64, seed=3)


def test_vectors_have_length_one_and_the_shape_asked_for() -> None:
    assert (VECTORS.shape, VECTORS.dtype.name) == ((400, 64), "float32")
    np.testing.assert_allclose(np.linalg.norm(VECTORS, axis=1), 1, atol=1e-5)


def test_the_same_seed_gives_the_same_collection_and_another_seed_another() -> None:
    assert clustered_vectors(400, 64, seed=3).tobytes() == VECTORS.tobytes()
    assert clustered_vectors(400, 64, seed=4).tobytes() != VECTORS.tobytes()
    assert generated_documents(5, terms_a_chunk=20, seed=1) == generated_documents(5, terms_a_chunk=20, seed=1)


def test_neighbours_are_nearer_than_chance_as_an_encoders_are() -> None:
    cosines = VECTORS @ VECTORS.T
    np.fill_diagonal(cosines, -1)
    ranked = -np.sort(-cosines, axis=1)
    assert ranked[:, 0].mean() > ranked[:, 9].mean() + 0.02 > ranked[:, 199].mean() + 0.05
    assert 0.92 < np.linalg.norm(VECTORS.mean(axis=0)) < 0.95


def test_a_perturbed_member_is_no_member_but_finds_one_first() -> None:
    queries = perturbed_members(VECTORS, 50, seed=9)
    best = np.sort(queries @ VECTORS.T, axis=1)[:, -1]
    assert queries.shape == (50, 64)
    np.testing.assert_allclose(np.linalg.norm(queries, axis=1), 1, atol=1e-5)
    assert 0.95 < best.mean() < 0.9999


def test_nothing_cannot_be_perturbed() -> None:
    with pytest.raises(ValueError, match="no vectors"):
        perturbed_members(np.empty((0, 8), np.float32), 3, seed=0)


def test_terms_fall_in_frequency_as_those_of_notes_do() -> None:
    documents = generated_documents(210, terms_a_chunk=124, seed=0)
    frequencies = sorted(Counter(term for terms in documents for term in set(terms)).values(), reverse=True)
    assert 115 < np.mean([len(terms) for terms in documents]) < 133
    assert 70 < np.mean([len(set(terms)) for terms in documents]) < 85
    assert frequencies[0] > 100
    assert 50 < frequencies[20] < 100
    assert 15 < frequencies[100] < 45
    assert frequencies[500] < 10


def test_no_rows_are_no_documents() -> None:
    assert generated_documents(0, terms_a_chunk=10, seed=0) == []
    assert clustered_vectors(0, 8, seed=0).shape == (0, 8)


def test_a_question_asks_for_distinct_terms_of_one_chunk() -> None:
    documents = [["a", "b", "c", "a"], ["d"]]
    questions = generated_questions(documents, 30, terms=2, seed=0)
    assert {tuple(sorted(terms)) for terms in questions} == {("a", "b"), ("a", "c"), ("b", "c"), ("d",)}
    with pytest.raises(ValueError, match="no documents"):
        generated_questions([], 1, terms=2, seed=0)


def test_token_vectors_have_length_one_and_about_the_number_asked_for() -> None:
    texts = generated_tokens(VECTORS, tokens_a_text=20, seed=5)
    lengths = [len(text.ids) for text in texts]
    assert len(texts) == 400
    assert 19 < np.mean(lengths) < 21
    assert min(lengths) >= 1
    for text in texts[:20]:
        assert text.vectors.shape == (len(text.ids), 64)
        assert (text.vectors.dtype.name, text.ids.dtype.name) == ("float32", "int32")
        np.testing.assert_allclose(np.linalg.norm(text.vectors, axis=1), 1, atol=1e-5)
