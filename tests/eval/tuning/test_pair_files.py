"""Files of written pairs: both forms, and an error that names the line for whatever else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.gold import GoldInvalid
from eval.tuning.pair_files import read_pairs
from eval.tuning.pairs import PairsInvalid


def written(path: Path, *lines: object) -> Path:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def test_both_forms_are_read_with_where_each_pair_stands(tmp_path: Path) -> None:
    path = written(
        tmp_path / "p.jsonl",
        {
            "topic": "茶",
            "heading": "茶 > 绿茶",
            "passage": "八十度。",
            "questions": [{"type": "a", "question": "几度？"}, {"question": "多热"}],
        },
        {"question": "红茶呢", "passage": "刚烧开的水。"},
    )
    found = read_pairs(path)
    assert [(pair.question, pair.source) for pair in found.pairs] == [
        ("几度？", f"{path}:1"),
        ("多热", f"{path}:1"),
        ("红茶呢", f"{path}:2"),
    ]
    assert [(passage.heading, passage.text) for passage in found.passages] == [
        (("茶", "绿茶"), "八十度。"),
        ((), "刚烧开的水。"),
    ]
    assert found.section(found.pairs[0]) == found.section(found.pairs[1]) == "p.jsonl > 茶"
    assert found.section(found.pairs[2]) != found.section(found.pairs[0])


def test_one_passage_on_two_lines_is_one_passage(tmp_path: Path) -> None:
    lines = [{"question": question, "passage": "八十度。"} for question in ("几度？", "多热？")]
    found = read_pairs(written(tmp_path / "p.jsonl", *lines))
    assert len(found.passages) == 1
    assert len({pair.passage for pair in found.pairs}) == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"question": "几度？"}, "passage: Field required"),
        ({"passage": "八十度。"}, 'wants either "question" or "questions"'),
        ({"passage": "八十度。", "question": "几度？", "questions": [{"question": "几度？"}]}, "wants either"),
        ({"passage": "八十度。", "questions": []}, "questions"),
        ({"passage": "八十度。", "questions": ["几度？"]}, "questions.0"),
        ({"passage": "八十度。", "question": "几度？", "heding": "茶"}, "heding"),
        ({"passage": "八十度。", "question": "？！"}, "without a letter or digit"),
        ({"passage": 80, "question": "几度？"}, "passage"),
    ],
)
def test_a_line_that_is_no_pair_is_refused_by_its_number(tmp_path: Path, line: object, said: str) -> None:
    path = written(tmp_path / "p.jsonl", {"question": "几度？", "passage": "八十度。"}, line)
    with pytest.raises(PairsInvalid, match=said) as caught:
        read_pairs(path)
    assert f"{path}:2" in caught.value.message


def test_what_is_not_json_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text("{", encoding="utf-8")
    with pytest.raises(GoldInvalid, match=r"p\.jsonl:1: is not JSON"):
        read_pairs(tmp_path / "p.jsonl")
    with pytest.raises(GoldInvalid, match="cannot be read"):
        read_pairs(tmp_path / "none.jsonl")
    with pytest.raises(PairsInvalid, match="holds no pair"):
        read_pairs(written(tmp_path / "empty.jsonl"))
