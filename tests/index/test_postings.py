"""What is counted, what is stored, what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.config import LexicalConfig
from index.errors import IndexCorrupt
from index.lexical import LexicalIndex
from index.postings import (
    FIELDS,
    LexicalDocument,
    Postings,
    count_postings,
    load_postings,
    save_postings,
    weighted_postings,
)

DOCUMENTS = [
    LexicalDocument(heading=["pets"], body=["cat", "dog"]),
    LexicalDocument(),
    LexicalDocument(heading=["dog"], body=["dog", "dog", "bird", "fish"], expansion=["hound"]),
    LexicalDocument(body=["fish"]),
    LexicalDocument(heading=["pets"], body=["cat", "dog"]),
]
FILES = ["lexical_vocabulary.json", *(f"lexical_{name}.npy" for name in ("starts", "rows", "counts", "lengths"))]
EVERY_FILE = pytest.mark.parametrize("name", FILES)
FAST, REFERENCE = LexicalConfig(), LexicalConfig(engine="rank-bm25", k1=0.9, b=0.3)

terms = st.lists(st.sampled_from("abcdefgh"), max_size=8)
corpora = st.lists(st.builds(LexicalDocument, heading=terms, body=terms, expansion=terms), max_size=20)


def same(one: Postings, other: Postings) -> bool:
    arrays = ("starts", "rows", "counts", "lengths")
    return one.vocabulary == other.vocabulary and all(
        getattr(one, name).dtype == getattr(other, name).dtype
        and np.array_equal(getattr(one, name), getattr(other, name))
        for name in arrays
    )


def test_every_term_is_counted_by_field_and_row() -> None:
    postings = count_postings(DOCUMENTS)
    assert FIELDS == ("heading", "body", "expansion")
    assert postings.vocabulary == ("bird", "cat", "dog", "fish", "hound", "pets")
    assert postings.starts.tolist() == [0, 1, 3, 6, 8, 9, 11]
    assert postings.rows.tolist() == [2, 0, 4, 0, 2, 4, 2, 3, 2, 0, 4]
    assert postings.counts.tolist() == [
        [0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1],
        [1, 1, 1, 1, 2, 1, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
    ]
    assert postings.lengths.tolist() == [[1, 0, 1, 0, 1], [2, 0, 4, 1, 2], [0, 0, 1, 0, 0]]
    assert postings.documents == 5


@pytest.mark.parametrize(("times", "dtype"), [(255, np.uint8), (256, np.uint16), (65_536, np.uint32)])
def test_a_term_may_occur_as_often_as_it_likes(tmp_path: Path, times: int, dtype: type[np.generic]) -> None:
    postings = count_postings([LexicalDocument(body=["a"] * times), LexicalDocument(heading=["a"])])
    assert postings.counts.dtype == dtype
    assert postings.counts[1].tolist() == [times, 0]
    save_postings(postings, tmp_path)
    assert same(load_postings(tmp_path), postings)


@given(corpora, st.tuples(*[st.sampled_from([0.0, 0.5, 1.0, 3.0])] * 3))
def test_weighted_counts_are_those_of_repeated_fields(
    documents: list[LexicalDocument], weights: tuple[float, float, float]
) -> None:
    """Twice each weight is whole, so that fields can be repeated as often."""
    heading, body, expansion = (int(2 * weight) for weight in weights)
    repeated = [[*[*d.heading] * heading, *[*d.body] * body, *[*d.expansion] * expansion] for d in documents]
    weighted = weighted_postings(count_postings(documents), dict(zip(FIELDS, weights, strict=True)))
    assert sorted(weighted.term_ids) == sorted(set().union(*repeated))
    assert list(weighted.term_ids.values()) == list(range(len(weighted.term_ids)))
    assert (2 * weighted.lengths).tolist() == [len(found) for found in repeated]
    for term, i in weighted.term_ids.items():
        own = slice(weighted.starts[i], weighted.starts[i + 1])
        expected = {row: found.count(term) for row, found in enumerate(repeated) if term in found}
        assert dict(zip(weighted.rows[own].tolist(), (2 * weighted.counts[own]).tolist(), strict=True)) == expected
        assert weighted.document_frequency[i] == len(expected)


def test_a_field_without_a_weight_is_an_error() -> None:
    with pytest.raises(KeyError, match="expansion"):
        weighted_postings(count_postings(DOCUMENTS), {"heading": 1.0, "body": 1.0})


@settings(max_examples=25)
@given(documents=corpora)
def test_what_is_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, documents: list[LexicalDocument]) -> None:
    folder = tmp_path_factory.mktemp("lexical")
    built = LexicalIndex.build(documents, FAST)
    built.save(folder)
    loaded = LexicalIndex.load(folder, FAST)
    assert same(load_postings(folder), count_postings(documents))
    assert loaded.rows == len(documents)
    assert loaded.scores(list("abc")).tolist() == built.scores(list("abc")).tolist()


@pytest.mark.parametrize("other", [FAST, LexicalConfig(engine="rank-bm25", k1=0.9, heading_weight=3.0)])
def test_equal_documents_give_equal_bytes_whatever_the_settings(tmp_path: Path, other: LexicalConfig) -> None:
    for name, config in (("one", FAST), ("two", other)):
        (tmp_path / name).mkdir()
        LexicalIndex.build(DOCUMENTS, config).save(tmp_path / name)
    assert sorted(file.name for file in (tmp_path / "one").iterdir()) == sorted(FILES)
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_stored_index_takes_other_settings_and_the_other_engine(tmp_path: Path) -> None:
    LexicalIndex.build(DOCUMENTS, FAST).save(tmp_path)
    assert LexicalIndex.load(tmp_path, REFERENCE).search(["dog", "fish"], 5) == LexicalIndex.build(
        DOCUMENTS, REFERENCE
    ).search(["dog", "fish"], 5)


@EVERY_FILE
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    save_postings(count_postings(DOCUMENTS), tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(IndexCorrupt, match=name):
        LexicalIndex.load(tmp_path, FAST)


@EVERY_FILE
@pytest.mark.parametrize("kept", [0, 5, 0.5, -1])
def test_a_truncated_file_is_named(tmp_path: Path, name: str, kept: float) -> None:
    save_postings(count_postings(DOCUMENTS), tmp_path)
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
        ("counts", lambda a: a[:, :-1]),
        ("counts", lambda a: a[:-1]),
        ("counts", lambda a: a.sum(axis=0, dtype=np.uint8)),
        ("counts", lambda a: a * 0),
        ("counts", lambda a: a.astype(np.int8)),
        ("lengths", lambda a: a + 1),
        ("lengths", lambda a: a[::-1].copy()),
        ("lengths", lambda a: a[:2]),
        ("lengths", lambda a: np.append(a, np.ones((3, 1), dtype=np.int32), axis=1)),
    ],
)
def test_an_array_that_does_not_fit_is_named(tmp_path: Path, name: str, change: Callable[[Any], Any]) -> None:
    save_postings(count_postings(DOCUMENTS), tmp_path)
    file = tmp_path / f"lexical_{name}.npy"
    np.save(file, change(np.load(file)))
    with pytest.raises(IndexCorrupt, match=file.name):
        LexicalIndex.load(tmp_path, FAST)


SOUND = {"format": 2, "fields": ["heading", "body", "expansion"], "terms": ["a", "b"]}


@pytest.mark.parametrize(
    "content",
    [
        [],
        {key: value for key, value in SOUND.items() if key != "terms"},
        SOUND | {"format": 1},
        SOUND | {"fields": ["body", "heading", "expansion"]},
        SOUND | {"terms": [1]},
        SOUND | {"terms": ["b", "a"]},
        SOUND | {"terms": ["a", "a"]},
    ],
)
def test_a_vocabulary_that_is_none_is_named(tmp_path: Path, content: object) -> None:
    save_postings(count_postings([LexicalDocument(body=["a", "b"])]), tmp_path)
    file = tmp_path / "lexical_vocabulary.json"
    assert json.loads(file.read_text()) == SOUND
    file.write_text(json.dumps(content))
    with pytest.raises(IndexCorrupt, match=r"lexical_vocabulary\.json"):
        LexicalIndex.load(tmp_path, FAST)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    save_postings(count_postings(DOCUMENTS), tmp_path)
    np.save(tmp_path / "lexical_rows.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(IndexCorrupt, match=r"lexical_rows\.npy"):
        LexicalIndex.load(tmp_path, FAST)
