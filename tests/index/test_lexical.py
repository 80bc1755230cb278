"""BM25: what is found, how fields count, what one scoring gives."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from index.config import LexicalConfig
from index.lexical import LexicalIndex, LexicalScores
from index.postings import LexicalDocument

FAST = LexicalConfig()
REFERENCE = LexicalConfig(engine="rank-bm25")
ENGINES = pytest.mark.parametrize("config", [FAST, REFERENCE], ids=["bm25s", "rank-bm25"])
DOCUMENTS = [["cat", "dog"], [], ["dog", "dog", "bird", "fish"], ["fish"], ["cat", "dog"]]

corpora = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=12), max_size=20)


def index_of(documents: Sequence[Sequence[str]], config: LexicalConfig) -> LexicalIndex:
    """Documents that have a body only."""
    return LexicalIndex.build([LexicalDocument(body=terms) for terms in documents], config)


@ENGINES
def test_scores_by_hand(config: LexicalConfig) -> None:
    scores = index_of(DOCUMENTS, config).scores(["bird"])
    idf = math.log(1 + (5 - 1 + 0.5) / (1 + 0.5))
    mean_length = 9 / 5
    assert scores.dtype == np.float32
    expected = idf / (1 + 1.5 * (1 - 0.75 + 0.75 * 4 / mean_length))
    assert scores.tolist() == pytest.approx([0, 0, expected, 0, 0])


@ENGINES
def test_a_term_in_most_documents_still_counts_for_them(config: LexicalConfig) -> None:
    documents = [["common"]] * 9 + [["rare"]]
    assert [row for row, score in index_of(documents, config).search(["common"], 20) if score > 0] == list(range(9))


@ENGINES
def test_equal_documents_tie_by_row(config: LexicalConfig) -> None:
    found = index_of(DOCUMENTS, config).search(["cat"], 10)
    assert [row for row, _ in found] == [0, 4]
    assert found[0][1] == found[1][1]


@ENGINES
def test_the_cut_keeps_the_first_rows_of_a_tie(config: LexicalConfig) -> None:
    index = index_of([["x"]] * 50, config)
    assert [row for row, _ in index.search(["x"], 3)] == [0, 1, 2]


@ENGINES
def test_rows_that_share_no_term_are_never_returned(config: LexicalConfig) -> None:
    index = index_of(DOCUMENTS, config)
    assert [row for row, _ in index.search(["fish"], 100)] == [3, 2]
    assert index.search(["unknown"], 100) == []
    assert index.search([], 100) == []
    assert index.search(["fish"], 0) == []


@ENGINES
def test_unknown_terms_change_nothing(config: LexicalConfig) -> None:
    index = index_of(DOCUMENTS, config)
    assert index.search(["cat", "unknown", "fish"], 5) == index.search(["cat", "fish"], 5)


@ENGINES
def test_a_filter_keeps_only_its_rows(config: LexicalConfig) -> None:
    index = index_of(DOCUMENTS, config)
    allowed = np.array([False, True, True, False, True])
    unfiltered = dict(index.search(["dog"], 10))
    assert index.search(["dog"], 10, allowed=allowed) == [(2, unfiltered[2]), (4, unfiltered[4])]
    assert index.search(["dog"], 10, allowed=np.zeros(5, dtype=bool)) == []


@ENGINES
@pytest.mark.parametrize("documents", [[], [[]], [[], [], []]])
def test_an_index_without_terms_finds_nothing(
    config: LexicalConfig, documents: list[list[str]], tmp_path: Path
) -> None:
    index_of(documents, config).save(tmp_path)
    for index in (index_of(documents, config), LexicalIndex.load(tmp_path, config)):
        assert index.rows == len(documents)
        assert index.search(["cat"], 5) == []
        assert index.scores(["cat"]).shape == (len(documents),)
        assert index.known_share(["cat"]) == 0


@ENGINES
@pytest.mark.parametrize(("k1", "b"), [(0.01, 0.0), (0.01, 1.0), (10.0, 1.0), (1.2, 0.0)])
def test_extreme_settings_give_finite_scores(config: LexicalConfig, k1: float, b: float) -> None:
    index = index_of(DOCUMENTS, config.model_copy(update={"k1": k1, "b": b}))
    scores = index.scores(["dog", "fish", "cat"])
    assert np.isfinite(scores).all()
    assert (scores > 0).tolist() == [True, False, True, True, True]


def test_known_share_counts_distinct_terms() -> None:
    index = index_of(DOCUMENTS, FAST)
    assert index.known_share(["cat", "cat", "zebra"]) == 0.5
    assert index.known_share(["cat", "fish"]) == 1
    assert index.known_share(["zebra"]) == 0
    assert index.known_share([]) == 0


@given(corpora, st.lists(st.sampled_from("abcdefghij"), max_size=6), st.integers(1, 25), st.data())
def test_search_is_sorted_scores_of_allowed_rows(
    documents: list[list[str]], terms: list[str], k: int, data: st.DataObject
) -> None:
    index = index_of(documents, FAST)
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=len(documents), max_size=len(documents))), dtype=bool)
    scores = index.scores(terms)
    matching = [row for row, document in enumerate(documents) if set(document) & set(terms) and allowed[row]]
    expected = sorted(matching, key=lambda row: (-scores[row], row))[:k]
    assert index.search(terms, k, allowed=allowed) == [(row, float(scores[row])) for row in expected]


NOTES = [
    LexicalDocument(heading=["cat"], body=["dog", "dog"]),
    LexicalDocument(heading=["dog"], body=["cat", "bird"], expansion=["kitten"]),
    LexicalDocument(body=["fish"], expansion=["cat"]),
    LexicalDocument(heading=["fish"]),
]


@ENGINES
def test_a_heading_counts_by_its_weight_before_saturation(config: LexicalConfig) -> None:
    index = LexicalIndex.build(NOTES, config.model_copy(update={"heading_weight": 2.5}))
    idf = math.log(1 + (4 - 2 + 0.5) / (2 + 0.5))
    lengths = [2.5 + 2, 2.5 + 2, 1, 2.5]
    saturation = 1.5 * (1 - 0.75 + 0.75 * 4.5 / (sum(lengths) / 4))
    expected = [idf * 2.5 / (saturation + 2.5), idf * 1 / (saturation + 1), 0, 0]
    assert index.scores(["cat"]).tolist() == pytest.approx(expected, rel=1e-6)


@ENGINES
@pytest.mark.parametrize(("weight", "found"), [(0.0, [3]), (0.5, [3, 0])])
def test_a_term_of_a_field_without_weight_is_no_term_of_the_notes(
    config: LexicalConfig, weight: float, found: list[int]
) -> None:
    """The last of these documents has ``b`` in its body, the first in its expansion."""
    documents = [LexicalDocument(body=["a"], expansion=["b", "c"]), *[LexicalDocument(body=["a"])] * 2]
    documents.append(LexicalDocument(body=["a", "b"]))
    index = LexicalIndex.build(documents, config.model_copy(update={"expansion_weight": weight}))
    assert [row for row, _ in index.search(["b"], 4)] == found
    assert index.known_share(["b", "c"]) == (1 if weight else 0.5)
    assert index.idf(["b"]).tolist() == pytest.approx([math.log(1 + (4 - len(found) + 0.5) / (len(found) + 0.5))])
    assert index.rows == 4


def test_document_frequencies_are_those_of_fields_that_count() -> None:
    counted = LexicalIndex.build(NOTES, FAST).document_frequencies()
    assert list(counted.items()) == [("bird", 1), ("cat", 2), ("dog", 2), ("fish", 2)]
    every = LexicalIndex.build(NOTES, LexicalConfig(heading_weight=0.0, expansion_weight=0.1)).document_frequencies()
    assert every == {"bird": 1, "cat": 2, "dog": 1, "fish": 1, "kitten": 1}
    assert LexicalIndex.build([], FAST).document_frequencies() == {}


@ENGINES
def test_headings_and_bodies_of_weight_one_are_one_text(config: LexicalConfig) -> None:
    joined = index_of([[*note.heading, *note.body] for note in NOTES], config)
    index = LexicalIndex.build(NOTES, config)
    for terms in (["cat"], ["dog", "fish"], ["kitten", "bird"], ["kitten"]):
        assert index.scores(terms).tolist() == joined.scores(terms).tolist()
        assert index.known_share(terms) == joined.known_share(terms)
        assert index.idf(terms).tolist() == joined.idf(terms).tolist()


@ENGINES
@pytest.mark.parametrize("notes", [[LexicalDocument(heading=["cat"])], [LexicalDocument(expansion=["cat"])] * 2])
def test_notes_of_fields_without_weight_find_nothing(config: LexicalConfig, notes: list[LexicalDocument]) -> None:
    index = LexicalIndex.build(notes, config.model_copy(update={"heading_weight": 0.0}))
    assert index.rows == len(notes)
    assert index.search(["cat"], 5) == []
    assert index.known_share(["cat"]) == 0


@ENGINES
def test_a_stored_index_takes_other_weights(config: LexicalConfig, tmp_path: Path) -> None:
    LexicalIndex.build(NOTES, FAST).save(tmp_path)
    other = config.model_copy(update={"heading_weight": 3.0, "expansion_weight": 0.5})
    loaded, built = LexicalIndex.load(tmp_path, other), LexicalIndex.build(NOTES, other)
    assert loaded.scores(["cat", "kitten"]).tolist() == built.scores(["cat", "kitten"]).tolist()
    assert (loaded.scores(["cat", "kitten"]) != LexicalIndex.load(tmp_path, FAST).scores(["cat", "kitten"])).any()


@pytest.mark.parametrize("setting", ["heading_weight", "expansion_weight"])
@pytest.mark.parametrize("value", [-0.1, 10.1, math.nan, math.inf])
def test_a_weight_out_of_bounds_is_refused(setting: str, value: float) -> None:
    with pytest.raises(ValidationError, match=setting):
        LexicalConfig.model_validate({setting: value})


@given(corpora, st.lists(st.sampled_from("abcdefghij"), max_size=6), st.integers(1, 25))
def test_one_scoring_gives_the_search_and_the_scores(documents: list[list[str]], terms: list[str], k: int) -> None:
    index = index_of(documents, FAST)
    scored = index.scored(terms)
    assert scored.best(k) == index.search(terms, k)
    assert scored.values.tolist() == index.scores(terms).tolist()


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 7.25]), min_size=1, max_size=30))
def test_standardised_scores_have_mean_0_and_deviation_1(values: list[float]) -> None:
    scores = np.array(values, dtype=np.float32)
    standardised = LexicalScores(scores).standardised(np.arange(len(values)))
    assert standardised.dtype == np.float32
    expected = (scores - scores.mean()) / scores.std() if len(set(values)) > 1 else np.zeros(len(values))
    np.testing.assert_allclose(standardised, expected, rtol=1e-5, atol=1e-5)


def test_standardised_scores_are_those_of_the_rows_asked_for() -> None:
    scores = LexicalScores(np.array([0, 3, 0, 1], dtype=np.float32))
    every = scores.standardised(np.arange(4)).tolist()
    assert scores.standardised(np.array([3, 1, 3])).tolist() == [every[3], every[1], every[3]]
    assert scores.standardised(np.array([], dtype=np.int64)).tolist() == []


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 12.345678])
@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_scores_that_do_not_differ_say_nothing(value: float, rows: int) -> None:
    scores = LexicalScores(np.full(rows, value, dtype=np.float32))
    assert scores.standardised(np.arange(rows)).tolist() == [0] * rows


def test_standardising_keeps_large_and_small_scores() -> None:
    """One row in a hundred thousand scores: its z-score is the square root of the others."""
    for score in (1e-6, 1.0, 1e4):
        values = np.zeros(100_000, dtype=np.float32)
        values[7] = score
        assert LexicalScores(values).standardised(np.array([7, 8])).tolist() == pytest.approx(
            [99_999**0.5, -(99_999**-0.5)], rel=1e-5
        )
