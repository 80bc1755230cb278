"""What a gold file must be; everything else is refused by file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eval.gold import GoldInvalid, check_quotes, read_gold
from index.schema import Note
from tests.eval.small_notes import QUESTIONS, question, write_lines

GOOD = question(1, "绿茶用多少度的水？", "绿茶用八十度的水冲泡两分钟")


def note(text: str, path: str = "tea.md") -> Note:
    return Note(path=path, text=text, sha256="", title="")


def refused(tmp_path: Path, *records: dict[str, Any]) -> str:
    with pytest.raises(GoldInvalid) as caught:
        read_gold(write_lines(tmp_path / "g.jsonl", records))
    assert caught.value.hint
    return caught.value.message.replace(str(tmp_path), "")


class TestReading:
    def test_questions_groups_and_facts(self, tmp_path: Path) -> None:
        gold = read_gold(write_lines(tmp_path / "g.jsonl", [*QUESTIONS, {**GOOD, "id": "X", "key_facts": [["八十"]]}]))
        assert [one.id for one in gold.questions] == ["T1", "T2", "T3", "T4", "T5", "X"]
        assert gold.questions[1].groups == {0: ("红茶是全发酵的茶叶",), 1: ("乌龙茶是半发酵茶",)}
        assert [one.id for one in gold.answerable] == ["T1", "T2", "T3", "T4", "X"]
        assert gold.questions[-1].key_facts == (("八十",),)
        assert gold.place(gold.questions[2]).endswith("g.jsonl:3")

    def test_blank_lines_and_a_byte_order_mark_are_no_questions(self, tmp_path: Path) -> None:
        path = write_lines(tmp_path / "g.jsonl", [GOOD])
        path.write_bytes(b"\xef\xbb\xbf\n" + path.read_bytes() + b"\n\n")
        assert [one.line for one in read_gold(path).questions] == [2]

    def test_other_keys_are_the_authors_own(self, tmp_path: Path) -> None:
        assert read_gold(write_lines(tmp_path / "g.jsonl", [{**GOOD, "comment": "mine"}])).questions


class TestRefusals:
    def test_an_id_that_is_there_twice(self, tmp_path: Path) -> None:
        assert refused(tmp_path, GOOD, {**GOOD, "question": "别的？"}) == (
            "/g.jsonl:2: the id 'T1' is there twice, first at /g.jsonl:1."
        )

    def test_a_missing_key_and_a_wrong_type(self, tmp_path: Path) -> None:
        assert "/g.jsonl:1: question: Field required" in refused(
            tmp_path, {key: value for key, value in GOOD.items() if key != "question"}
        )
        assert "/g.jsonl:1: answerable" in refused(tmp_path, {**GOOD, "answerable": "yes"})
        assert "/g.jsonl:1: evidence.0.quote" in refused(tmp_path, {**GOOD, "evidence": [{"source": "tea.md"}]})

    def test_answerable_without_evidence_and_evidence_without_an_answer(self, tmp_path: Path) -> None:
        assert "T1 is answerable but has no evidence" in refused(tmp_path, {**GOOD, "evidence": []})
        assert "T1 has evidence but is not answerable" in refused(tmp_path, {**GOOD, "answerable": False})

    def test_a_language_that_there_is_not_and_one_that_the_question_is_not_in(self, tmp_path: Path) -> None:
        assert "T1 is in 'fr'" in refused(tmp_path, {**GOOD, "lang": "fr"})
        assert "the question is Chinese" in refused(tmp_path, {**GOOD, "lang": "en"})

    def test_a_quote_of_marks_only_would_match_everything(self, tmp_path: Path) -> None:
        bad = {**GOOD, "evidence": [{"source": "tea.md", "quote": "——……"}]}
        assert "no letter or digit" in refused(tmp_path, bad)

    def test_an_empty_key_fact_would_match_everything(self, tmp_path: Path) -> None:
        assert "empty key fact" in refused(tmp_path, {**GOOD, "key_facts": [["八十"], [" "]]})
        assert "empty key fact" in refused(tmp_path, {**GOOD, "key_facts": [[]]})

    def test_no_question_no_file_no_json_no_utf8(self, tmp_path: Path) -> None:
        assert "holds no question" in refused(tmp_path)
        for content, said in ((b"{", "is not JSON"), (b"[1]", "is not a JSON object"), (b"\xff\xfe", "is not UTF-8")):
            (tmp_path / "g.jsonl").write_bytes(content)
            with pytest.raises(GoldInvalid, match=said):
                read_gold(tmp_path / "g.jsonl")
        with pytest.raises(GoldInvalid, match="cannot be read"):
            read_gold(tmp_path / "none.jsonl")


class TestQuotes:
    def check(self, tmp_path: Path, *notes: Note, **changes: Any) -> None:
        check_quotes(read_gold(write_lines(tmp_path / "g.jsonl", [{**GOOD, **changes}])), notes)

    def test_a_quote_that_stands_once_is_fine_by_name_and_by_path(self, tmp_path: Path) -> None:
        self.check(tmp_path, note("绿茶用八十度的水冲泡两分钟。"))
        self.check(tmp_path, note("绿茶用八十度的水冲泡两分钟。", "茶/tea.md"))

    def test_a_quote_that_does_not_occur_or_occurs_twice(self, tmp_path: Path) -> None:
        with pytest.raises(GoldInvalid, match=r"g\.jsonl:1: T1: the quote occurs 0 times in tea\.md: 绿茶"):
            self.check(tmp_path, note("红茶"))
        with pytest.raises(GoldInvalid, match="occurs 2 times"):
            self.check(tmp_path, note("绿茶用八十度的水冲泡两分钟。" * 2))

    def test_a_note_that_is_not_there_or_there_twice(self, tmp_path: Path) -> None:
        with pytest.raises(GoldInvalid, match=r"names 'tea\.md', and no note"):
            self.check(tmp_path, note("绿茶用八十度的水冲泡两分钟。", "other.md"))
        with pytest.raises(GoldInvalid, match="2 notes"):
            self.check(tmp_path, note("绿茶用八十度的水冲泡两分钟", "a/tea.md"), note("", "b/tea.md"))

    def test_the_first_problem_is_named_and_the_others_counted(self, tmp_path: Path) -> None:
        gold = read_gold(write_lines(tmp_path / "g.jsonl", QUESTIONS))
        with pytest.raises(GoldInvalid, match=r"T1: .*\(and 4 more of this file\)"):
            check_quotes(gold, [note("别的笔记")])
