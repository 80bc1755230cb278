"""BM25: what is found, what is stored, what is refused."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.config import LexicalConfig
from index.errors import IndexCorrupt
from index.lexical import LexicalIndex

FAST = LexicalConfig()
REFERENCE = LexicalConfig(engine="rank-bm25")
ENGINES = pytest.mark.parametrize("config", [FAST, REFERENCE], ids=["bm25s", "rank-bm25"])
DOCUMENTS = [["cat", "dog"], [], ["dog", "dog", "bird", "fish"], ["fish"], ["cat", "dog"]]
FILES = ["lexical_vocabulary.json", *(f"lexical_{name}.npy" for name in ("starts", "rows", "counts", "lengths"))]

corpora = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=12), max_size=20)


@ENGINES
def test_scores_by_hand(config: LexicalConfig) -> None:
    scores = LexicalIndex.build(DOCUMENTS, config).scores(["bird"])
    idf = math.log(1 + (5 - 1 + 0.5) / (1 + 0.5))
    mean_length = 9 / 5
    assert scores.dtype == np.float32
    expected = idf / (1 + 1.5 * (1 - 0.75 + 0.75 * 4 / mean_length))
    assert scores.tolist() == pytest.approx([0, 0, expected, 0, 0])


@ENGINES
def test_a_term_in_most_documents_still_counts_for_them(config: LexicalConfig) -> None:
    documents = [["common"]] * 9 + [["rare"]]
    assert [row for row, score in LexicalIndex.build(documents, config).search(["common"], 20) if score > 0] == list(
        range(9)
    )


@ENGINES
def test_equal_documents_tie_by_row(config: LexicalConfig) -> None:
    found = LexicalIndex.build(DOCUMENTS, config).search(["cat"], 10)
    assert [row for row, _ in found] == [0, 4]
    assert found[0][1] == found[1][1]


@ENGINES
def test_the_cut_keeps_the_first_rows_of_a_tie(config: LexicalConfig) -> None:
    index = LexicalIndex.build([["x"]] * 50, config)
    assert [row for row, _ in index.search(["x"], 3)] == [0, 1, 2]


@ENGINES
def test_rows_that_share_no_term_are_never_returned(config: LexicalConfig) -> None:
    index = LexicalIndex.build(DOCUMENTS, config)
    assert [row for row, _ in index.search(["fish"], 100)] == [3, 2]
    assert index.search(["unknown"], 100) == []
    assert index.search([], 100) == []
    assert index.search(["fish"], 0) == []


@ENGINES
def test_unknown_terms_change_nothing(config: LexicalConfig) -> None:
    index = LexicalIndex.build(DOCUMENTS, config)
    assert index.search(["cat", "unknown", "fish"], 5) == index.search(["cat", "fish"], 5)


@ENGINES
def test_a_filter_keeps_only_its_rows(config: LexicalConfig) -> None:
    index = LexicalIndex.build(DOCUMENTS, config)
    allowed = np.array([False, True, True, False, True])
    unfiltered = dict(index.search(["dog"], 10))
    assert index.search(["dog"], 10, allowed=allowed) == [(2, unfiltered[2]), (4, unfiltered[4])]
    assert index.search(["dog"], 10, allowed=np.zeros(5, dtype=bool)) == []


@ENGINES
@pytest.mark.parametrize("documents", [[], [[]], [[], [], []]])
def test_an_index_without_terms_finds_nothing(
    config: LexicalConfig, documents: list[list[str]], tmp_path: Path
) -> None:
    LexicalIndex.build(documents, config).save(tmp_path)
    for index in (LexicalIndex.build(documents, config), LexicalIndex.load(tmp_path, config)):
        assert index.rows == len(documents)
        assert index.search(["cat"], 5) == []
        assert index.scores(["cat"]).shape == (len(documents),)
        assert index.known_share(["cat"]) == 0


@ENGINES
@pytest.mark.parametrize(("k1", "b"), [(0.01, 0.0), (0.01, 1.0), (10.0, 1.0), (1.2, 0.0)])
def test_extreme_settings_give_finite_scores(config: LexicalConfig, k1: float, b: float) -> None:
    index = LexicalIndex.build(DOCUMENTS, config.model_copy(update={"k1": k1, "b": b}))
    scores = index.scores(["dog", "fish", "cat"])
    assert np.isfinite(scores).all()
    assert (scores > 0).tolist() == [True, False, True, True, True]


def test_known_share_counts_distinct_terms() -> None:
    index = LexicalIndex.build(DOCUMENTS, FAST)
    assert index.known_share(["cat", "cat", "zebra"]) == 0.5
    assert index.known_share(["cat", "fish"]) == 1
    assert index.known_share(["zebra"]) == 0
    assert index.known_share([]) == 0


@given(corpora, st.lists(st.sampled_from("abcdefghij"), max_size=6), st.integers(1, 25), st.data())
def test_search_is_sorted_scores_of_allowed_rows(
    documents: list[list[str]], terms: list[str], k: int, data: st.DataObject
) -> None:
    index = LexicalIndex.build(documents, FAST)
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=len(documents), max_size=len(documents))), dtype=bool)
    scores = index.scores(terms)
    matching = [row for row, document in enumerate(documents) if set(document) & set(terms) and allowed[row]]
    expected = sorted(matching, key=lambda row: (-scores[row], row))[:k]
    assert index.search(terms, k, allowed=allowed) == [(row, float(scores[row])) for row in expected]


@settings(max_examples=25)
@given(documents=corpora)
def test_what_is_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, documents: list[list[str]]) -> None:
    folder = tmp_path_factory.mktemp("lexical")
    built = LexicalIndex.build(documents, FAST)
    built.save(folder)
    loaded = LexicalIndex.load(folder, FAST)
    assert loaded.rows == len(documents)
    assert loaded.scores(list("abc")).tolist() == built.scores(list("abc")).tolist()


def test_equal_documents_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        LexicalIndex.build(DOCUMENTS, FAST).save(tmp_path / name)
    assert sorted(file.name for file in (tmp_path / "one").iterdir()) == sorted(FILES)
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_stored_index_takes_other_settings_and_the_other_engine(tmp_path: Path) -> None:
    LexicalIndex.build(DOCUMENTS, FAST).save(tmp_path)
    other = LexicalConfig(engine="rank-bm25", k1=0.9, b=0.3)
    assert LexicalIndex.load(tmp_path, other).search(["dog", "fish"], 5) == LexicalIndex.build(DOCUMENTS, other).search(
        ["dog", "fish"], 5
    )


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    LexicalIndex.build(DOCUMENTS, FAST).save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(IndexCorrupt, match=name):
        LexicalIndex.load(tmp_path, FAST)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kept", [0, 5, 0.5, -1])
def test_a_truncated_file_is_named(tmp_path: Path, name: str, kept: float) -> None:
    LexicalIndex.build(DOCUMENTS, FAST).save(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * kept) if isinstance(kept, float) else kept])
    with pytest.raises(IndexCorrupt, match=name):
        LexicalIndex.load(tmp_path, FAST)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("starts", lambda a: a[:-1]),
        ("starts", lambda a: a + 1),
        ("starts", lambda a: a[::-1].copy()),
        ("rows", lambda a: a + 100),
        ("rows", lambda a: a - 100),
        ("rows", lambda a: a[::-1].copy()),
        ("rows", lambda a: a.astype(np.int64)),
        ("rows", lambda a: a.reshape(-1, 1)),
        ("rows", lambda a: a[:-1]),
        ("counts", lambda a: a[:-1]),
        ("counts", lambda a: a * 0),
        ("lengths", lambda a: a + 1),
        ("lengths", lambda a: np.append(a, np.int32(1))),
    ],
)
def test_an_array_that_does_not_fit_is_named(tmp_path: Path, name: str, change: object) -> None:
    LexicalIndex.build(DOCUMENTS, FAST).save(tmp_path)
    file = tmp_path / f"lexical_{name}.npy"
    assert callable(change)
    np.save(file, change(np.load(file)))
    with pytest.raises(IndexCorrupt, match=file.name):
        LexicalIndex.load(tmp_path, FAST)


@pytest.mark.parametrize(
    "content",
    [[], {"format": 1}, {"format": 2, "terms": ["a"]}, {"format": 1, "terms": [1]}, {"format": 1, "terms": ["b", "a"]}],
)
def test_a_vocabulary_that_is_none_is_named(tmp_path: Path, content: object) -> None:
    LexicalIndex.build([["a", "b"]], FAST).save(tmp_path)
    (tmp_path / "lexical_vocabulary.json").write_text(json.dumps(content))
    with pytest.raises(IndexCorrupt, match=r"lexical_vocabulary\.json"):
        LexicalIndex.load(tmp_path, FAST)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    LexicalIndex.build(DOCUMENTS, FAST).save(tmp_path)
    np.save(tmp_path / "lexical_rows.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(IndexCorrupt, match=r"lexical_rows\.npy"):
        LexicalIndex.load(tmp_path, FAST)
