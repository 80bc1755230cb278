"""The sample notes and their gold questions: every quote stands once in its note, every row is well formed."""

import json
from pathlib import Path
from typing import Any

import pytest

NOTES = Path(__file__).resolve().parent.parent / "notes"
NOTE_SUFFIXES = {".md", ".txt", ".html"}
TYPES = {"colloquial", "keyword", "crosslingual", "term", "multi", "unanswerable"}
LANGUAGES = {"zh", "en", "zh-Hant"}
FIELDS = {"id", "question", "lang", "type", "answerable", "evidence", "answer", "key_facts"}


def read_gold() -> list[dict[str, Any]]:
    lines = (NOTES / "gold.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def read_notes() -> dict[str, str]:
    paths = (path for path in sorted(NOTES.rglob("*")) if path.suffix in NOTE_SUFFIXES)
    return {path.relative_to(NOTES).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def occurrences(text: str, quote: str) -> int:
    """Count where `quote` starts in `text`, overlaps included (str.count leaves those out)."""
    return sum(text.startswith(quote, start) for start in range(len(text)))


GOLD = read_gold()
NOTE_TEXTS = read_notes()
ANSWERABLE = [row for row in GOLD if row["answerable"]]
UNANSWERABLE = [row for row in GOLD if not row["answerable"]]


def row_id(row: dict[str, Any]) -> str:
    return str(row["id"])


def test_there_are_enough_notes_and_questions() -> None:
    assert len(NOTE_TEXTS) >= 15
    assert len(GOLD) >= 40
    assert len(UNANSWERABLE) >= 8


def test_every_kind_of_note_and_question_is_there() -> None:
    assert {Path(source).suffix for source in NOTE_TEXTS} == NOTE_SUFFIXES
    assert any("/" in source for source in NOTE_TEXTS), "one note lies in a subfolder"
    assert {row["type"] for row in GOLD} == TYPES
    assert {row["lang"] for row in GOLD} == LANGUAGES


def test_ids_and_questions_are_unique() -> None:
    assert len({row["id"] for row in GOLD}) == len(GOLD)
    assert len({row["question"] for row in GOLD}) == len(GOLD)


@pytest.mark.parametrize("row", GOLD, ids=row_id)
def test_row_has_the_fields_of_the_format(row: dict[str, Any]) -> None:
    assert set(row) == FIELDS
    assert row["lang"] in LANGUAGES
    assert row["type"] in TYPES
    assert row["question"].strip()
    assert row["answer"].strip()


@pytest.mark.parametrize("row", GOLD, ids=row_id)
def test_row_is_answerable_exactly_when_it_has_evidence(row: dict[str, Any]) -> None:
    assert row["answerable"] is bool(row["evidence"])
    assert row["answerable"] is (row["type"] != "unanswerable")


@pytest.mark.parametrize("row", ANSWERABLE, ids=row_id)
def test_quotes_stand_exactly_once_in_their_note(row: dict[str, Any]) -> None:
    for item in row["evidence"]:
        assert set(item) == {"source", "quote", "group"}
        assert 20 <= len(item["quote"]) <= 80, item["quote"]
        assert occurrences(NOTE_TEXTS[item["source"]], item["quote"]) == 1, item["quote"]


@pytest.mark.parametrize("row", ANSWERABLE, ids=row_id)
def test_a_passage_copied_into_two_notes_is_listed_for_both(row: dict[str, Any]) -> None:
    for item in row["evidence"]:
        holders = {source for source, text in NOTE_TEXTS.items() if item["quote"] in text}
        listed = {other["source"] for other in row["evidence"] if other["group"] == item["group"]}
        assert holders <= listed, item["quote"]


@pytest.mark.parametrize("row", ANSWERABLE, ids=row_id)
def test_groups_are_numbered_from_zero_and_only_multi_has_several(row: dict[str, Any]) -> None:
    groups = sorted({item["group"] for item in row["evidence"]})
    assert groups == list(range(len(groups)))
    assert (len(groups) in {2, 3}) if row["type"] == "multi" else groups == [0]


@pytest.mark.parametrize("row", ANSWERABLE, ids=row_id)
def test_reference_answer_states_its_key_facts(row: dict[str, Any]) -> None:
    assert 1 <= len(row["key_facts"]) <= 5
    answer = row["answer"].casefold()
    for spellings in row["key_facts"]:
        assert any(spelling.casefold() in answer for spelling in spellings), spellings


def test_unanswerable_rows_have_no_key_facts() -> None:
    assert all(row["key_facts"] == [] for row in UNANSWERABLE)
