"""Concepts that a question describes: found by what they are called, by no question about anything, stored whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from index.calibration_questions import CALIBRATION_QUESTIONS
from index.concept_index import ConceptIndex, ConceptMatch
from index.concepts import Concept
from index.encoder import Encoding
from index.errors import IndexCorrupt
from index.late import LateIndex
from tests.index.small_concepts import ENCODER, LATE, MANY, concept_index, made_up, matches, named, question

DESCRIPTIONS = [(number, text) for number, concept in enumerate(MANY) for text in concept.descriptions]


@pytest.fixture(scope="module")
def index() -> ConceptIndex:
    return concept_index([named(concept) for concept in MANY])


def test_a_question_that_says_a_description_finds_its_concept_first(index: ConceptIndex) -> None:
    for number, text in DESCRIPTIONS:
        best = matches(index, text)[0]
        assert (best.number, best.names, best.description) == (number, MANY[number].names, text)
        assert best.strength > 0.9


def test_the_surest_come_first_each_concept_once_with_its_best_description(index: ConceptIndex) -> None:
    first, second = MANY[3].descriptions, MANY[8].descriptions
    found = matches(index, f"{first[0]} {first[1]} {' '.join(second[2].split()[:4])}")
    assert [match.number for match in found[:2]] == [3, 8]
    assert found[0].description in first[:2]
    assert found[1].description == second[2]
    strengths = [match.strength for match in found]
    assert strengths == sorted(strengths, reverse=True)
    assert len({match.number for match in found}) == len(found)


def test_the_more_a_question_says_of_a_description_the_surer_it_is(index: ConceptIndex) -> None:
    words = MANY[0].descriptions[0].split()
    strengths = [
        next((match.strength for match in matches(index, " ".join(words[:said] + other)) if match.number == 0), 0.0)
        for said in range(7)
        for other in [[f"elsewhere{word}" for word in range(6 - said)]]
    ]
    assert strengths == sorted(strengths)
    assert (strengths[0], strengths[6]) == (0, 1)
    assert any(0 < strength < 1 for strength in strengths)


def test_questions_about_anything_describe_nothing_surely(index: ConceptIndex) -> None:
    asked = [text for texts in CALIBRATION_QUESTIONS.values() for text in texts]
    found = [match.strength for text in asked for match in matches(index, text)]
    assert all(0 < strength <= 1 for strength in found)
    assert sum(found) / len(asked) < 0.1
    assert max(found, default=0.0) < 0.5


def test_what_questions_about_anything_reach_as_well_is_no_description() -> None:
    concepts = [named(concept) for concept in MANY]
    text = MANY[0].descriptions[0]
    usual = concept_index(concepts, questions={"en": [ENCODER.encode_query(each) for each in MANY[0].descriptions]})
    unusual = concept_index(concepts, questions={"en": [ENCODER.encode_query("elsewhere and nowhere")]})
    strengths = [matches(each, text)[0].strength if matches(each, text) else 0.0 for each in (usual, unusual)]
    assert strengths[0] < strengths[1]


def test_of_two_concepts_that_say_the_same_the_one_that_says_it_twice_is_meant() -> None:
    once = Concept(("once",), ("one and the same thing", "nothing like what was asked"))
    twice = Concept(("twice",), ("one and the same thing", "one and the same matter"))
    alone = Concept(("alone",), ("one and the same thing",))
    found = matches(
        concept_index([named(each) for each in [*MANY, once, twice, alone]]), "same elsewhere nowhere somewhere"
    )
    strengths = {match.names[0]: match.strength for match in found}
    assert strengths["once"] < strengths["twice"] <= strengths["alone"]  # a single description stands for itself
    assert found[0].description == "one and the same thing"


def test_the_field_is_where_descriptions_are_and_not_what_is_asked_about_anything(index: ConceptIndex) -> None:
    def likeness(texts: Sequence[str]) -> list[float]:
        return [index.likeness_to_field(ENCODER.encode_query(text).vector) for text in texts]

    inside = likeness([text for _, text in DESCRIPTIONS])
    outside = likeness([text for texts in CALIBRATION_QUESTIONS.values() for text in texts])
    # Some lie farther out than 1 and count as 1.
    assert (np.mean(inside), np.mean(outside)) == pytest.approx((0.5, -0.5), abs=0.05)


def test_a_field_of_what_is_asked_about_anything_says_nothing_of_a_question() -> None:
    texts = MANY[0].descriptions
    same = concept_index([named(MANY[0])], questions={"en": [ENCODER.encode_query(text) for text in texts]})
    for text in ("elsewhere", texts[0]):
        assert same.likeness_to_field(ENCODER.encode_query(text).vector) == 0


def test_nothing_is_more_than_wholly_of_the_field() -> None:
    far = concept_index([named(MANY[0])], questions={"en": [ENCODER.encode_query(MANY[1].descriptions[0])]})
    for sign in (1, -1):
        assert abs(far.likeness_to_field(sign * 50 * far._way)) == 1


def test_at_most_five_concepts_are_described() -> None:
    same = [Concept((f"same{number}",), ("one and the same thing",)) for number in range(8)]
    found = matches(concept_index([named(each) for each in [*MANY, *same]]), "one and the same thing")
    assert [match.number for match in found] == [30, 31, 32, 33, 34]


def test_one_description_alone_is_told_from_what_is_not_like_it() -> None:
    alone = concept_index([named(made_up(0, descriptions=1))])
    (found,) = matches(alone, MANY[0].descriptions[0])
    assert 0.5 < found.strength <= 1
    assert sum(bool(matches(alone, text)) for _, text in DESCRIPTIONS[3:]) < 5


def test_a_question_without_words_describes_nothing(index: ConceptIndex) -> None:
    assert matches(index, "") == ()


def test_without_concepts_or_questions_nothing_is_built() -> None:
    with pytest.raises(ValueError, match="descriptions"):
        concept_index([])
    unasked: list[dict[str, list[Encoding]]] = [{}, {"zh": []}]
    for questions in unasked:
        with pytest.raises(ValueError, match="questions"):
            concept_index([named(MANY[0])], questions=questions)


def described(number: int, strength: float) -> ConceptMatch:
    return ConceptMatch(number, ("a",), strength, "b")


def test_a_chunk_is_as_relevant_as_the_concept_by_which_it_has_most() -> None:
    index = concept_index(
        [named(MANY[0], [0, 2], 0.5), named(MANY[1], [2, 3], 0.25), named(MANY[2], [5], 0.75)], chunks=6
    )
    assert index.relevance([]).tolist() == [0] * 6
    assert index.relevance([described(1, 0.5)]).tolist() == [0, 0, 0.125, 0.125, 0, 0]
    for found in ([described(0, 0.25), described(1, 1.0)], [described(1, 1.0), described(0, 0.25)]):
        relevance = index.relevance(found)
        assert relevance.tolist() == [0.125, 0, 0.25, 0.25, 0, 0]
        assert relevance.dtype == np.float32
    assert index.relevance([described(2, 1.0)]).tolist() == [0, 0, 0, 0, 0, 0.75]


def stored_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_was_stored_is_what_is_read(index: ConceptIndex, tmp_path: Path) -> None:
    assert not ConceptIndex.is_in(tmp_path)
    index.save(tmp_path)
    assert ConceptIndex.is_in(tmp_path)
    read = ConceptIndex.load(tmp_path, LATE)
    assert (read.chunks, read.concepts) == (index.chunks, tuple(MANY))
    for _, text in [*DESCRIPTIONS, (0, "w1x0x0 w2x0x0 elsewhere"), (0, "")]:
        assert matches(read, text) == matches(index, text)
        found = matches(read, text)
        assert read.relevance(found).tolist() == index.relevance(found).tolist()


def test_it_lies_beside_the_token_vectors_of_the_chunks(index: ConceptIndex, tmp_path: Path) -> None:
    encoding = ENCODER.encode_query("passage")
    late = LateIndex.build([question("one passage"), question("and another passage")], LATE)
    late.save(tmp_path)
    before = stored_in(tmp_path)
    index.save(tmp_path)
    assert {name: stored_in(tmp_path)[name] for name in before} == before
    assert LateIndex.load(tmp_path, LATE).rows == 2
    assert ConceptIndex.load(tmp_path, LATE).matches(question("passage"), encoding.vector) == matches(index, "passage")


def test_equal_concepts_give_equal_bytes(tmp_path: Path) -> None:
    contents = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        concept_index([named(concept) for concept in MANY[:5]]).save(folder)
        contents.append(stored_in(folder))
    assert contents[0] == contents[1]


ARRAYS = ["counts", "rows", "salience", "owners", "vectors", "anything"]
FILES = [
    "concepts.json",
    *(f"concepts_{name}.npy" for name in ARRAYS),
    "descriptions.json",
    *(f"descriptions_{name}.npy" for name in ("codes", "means", "offsets", "scales")),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    concept_index([named(made_up(number, 2), [1, 3]) for number in range(3)]).save(folder)
    assert sorted(stored_in(folder)) == sorted(FILES)
    return folder


@pytest.fixture
def stored(saved: Path, tmp_path: Path) -> Path:
    """Three concepts of two descriptions each, named by two chunks of four."""
    return shutil.copytree(saved, tmp_path / "stored")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY\x01\x00", b"[]", b"{}", b"\xff\xfe", b"null"], ids=repr)
def test_a_part_that_is_missing_or_broken_is_refused(stored: Path, file: str, content: bytes | None) -> None:
    (stored / file).unlink()
    if content is not None:
        (stored / file).write_bytes(content)
    with pytest.raises(IndexCorrupt) as refusal:
        ConceptIndex.load(stored, LATE)
    assert "asknotes index --full" in refusal.value.hint


@pytest.mark.parametrize("file", FILES)
def test_a_part_that_was_cut_is_refused(stored: Path, file: str) -> None:
    content = (stored / file).read_bytes()
    for kept in range(0, len(content), max(1, len(content) // 7)):
        (stored / file).write_bytes(content[:kept])
        with pytest.raises(IndexCorrupt):
            ConceptIndex.load(stored, LATE)


# A mean vector is one as good as another: nothing in it says whose it is.
@pytest.mark.parametrize("file", [file for file in FILES[1:] if file != "concepts_anything.npy"])
def test_a_part_of_another_index_is_refused(stored: Path, file: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    few = [named(made_up(number, 2), [3]) for number in range(2)]
    concept_index(few, questions={"en": [ENCODER.encode_query("elsewhere")]}).save(other)
    (stored / file).write_bytes((other / file).read_bytes())
    with pytest.raises(IndexCorrupt):
        ConceptIndex.load(stored, LATE)


def with_header(**changed: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        header = json.loads((folder / "concepts.json").read_text(encoding="utf-8"))
        (folder / "concepts.json").write_text(json.dumps({**header, **changed}), encoding="utf-8")

    return change


def without_key(key: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        header = json.loads((folder / "concepts.json").read_text(encoding="utf-8"))
        del header[key]
        (folder / "concepts.json").write_text(json.dumps(header), encoding="utf-8")

    return change


def with_array(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        path = folder / f"concepts_{name}.npy"
        np.save(path, change(np.load(path)))

    return changed


@pytest.mark.parametrize(
    "damage",
    [
        *(without_key(key) for key in ("version", "chunks", "average", "spread", "concepts")),
        with_header(version=99),
        with_header(chunks=3),
        with_header(chunks="many"),
        with_header(average=None),
        with_header(average=float("nan")),
        with_header(spread="wide"),
        with_header(spread=-1.0),
        with_header(spread=float("nan")),
        with_header(concepts=[]),
        with_header(concepts={}),
        with_header(concepts=[[["a"], ["b"]]] * 3),
        with_header(concepts=[[["a"], ["b", "c"]]] * 2),
        with_header(concepts=[["a", "bc"], ["a", "bc"], ["a"]]),
        with_header(concepts=[[["a"], ["b", "c"], []]] * 3),
        *(
            with_array(name, change)
            for name in ARRAYS
            for change in (
                lambda array: array[:-1],
                lambda array: np.concatenate([array, array[-1:]]),
                lambda array: array[:0],
                lambda array: array[None],
                lambda array: array.reshape(-1)[0],
                lambda array: array.astype(np.complex64),
                lambda array: array.astype("U8"),
            )
        ),
        with_array("counts", lambda counts: counts.astype(np.float64)),
        with_array("counts", lambda counts: counts + np.array([3, -3, 0])),
        with_array("rows", lambda rows: rows + 1),
        with_array("rows", lambda rows: rows - 2),
        with_array("rows", lambda rows: rows.astype(np.float64)),
        with_array("owners", lambda owners: owners[::-1].copy()),
        with_array("vectors", lambda vectors: vectors[:, :-1].copy()),
        with_array("anything", lambda mean: mean * np.float32("nan")),
        with_array("vectors", lambda vectors: vectors * np.float16("nan")),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(stored: Path, damage: Callable[[Path], None]) -> None:
    damage(stored)
    with pytest.raises(IndexCorrupt, match="concepts"):
        ConceptIndex.load(stored, LATE)
