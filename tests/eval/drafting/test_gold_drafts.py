from __future__ import annotations

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from eval.drafting.checks import drafted_question, rejection
from eval.drafting.gold_drafts import (
    DraftedGold,
    DraftingRefused,
    draft_gold,
    refuse_to_overwrite,
    rejected_path,
    write_drafts,
)
from eval.drafting.prompts import draft_prompts
from eval.drafting.sentences import Candidate, Candidates, choose_sentences
from eval.gold import Evidence, check_quotes, read_gold
from index.schema import Chunk, Note, chunk_id
from index.tokenizer import Tokenizer
from service.answering.generator import Prompt

TOKENIZER = Tokenizer()
TEA = "绿茶要用八十度左右的水冲泡，水太烫茶汤会发苦"
COFFEE = "Grind the coffee beans right before brewing, because they go stale quickly."


def note(text: str, path: str = "tea.md") -> Note:
    return Note(path=path, text=text, sha256="0" * 64, title="茶")


def chunk(text: str, path: str = "tea.md", heading: tuple[str, ...] = ("冲泡",)) -> Chunk:
    return Chunk(id=chunk_id(path, heading, text), note=path, heading=heading, text=text, lines=(1, 2), title="茶")


def chosen(*texts: str, written: str | None = None, seed: int = 0) -> Candidates:
    """Candidates of one note: chunks of ``texts``, and the note on disk."""
    on_disk = note("\n\n".join(texts) if written is None else written)
    return choose_sentences([chunk(text) for text in texts], [on_disk], seed=seed)


def candidate(sentence: str = TEA) -> Candidate:
    return Candidate("tea.md", ("冲泡",), "茶", sentence, (Evidence("tea.md", sentence),))


class TestSentences:
    def test_the_quote_is_what_stands_in_the_note_between_the_same_letters(self) -> None:
        written = "# 茶\n\n> 绿茶要用**八十度**左右的水冲泡， 水太烫茶汤会发苦。\n"
        (found,) = chosen(f"{TEA}。", written=written).sentences
        assert found.sentence == f"{TEA}。"
        assert found.quote == "绿茶要用**八十度**左右的水冲泡， 水太烫茶汤会发苦"
        assert written.count(found.quote) == 1

    def test_width_of_letters_does_not_matter(self) -> None:
        (found,) = chosen(
            "缓存命中率 HIT@5 要到 90% 才算合格，低了就加内存。",
            written="缓存命中率 ＨＩＴ@５ 要到 90％ 才算合格，低了就加内存。",
        ).sentences
        assert found.quote == "缓存命中率 ＨＩＴ@５ 要到 90％ 才算合格，低了就加内存"

    def test_the_same_words_in_another_note_are_evidence_too(self) -> None:
        notes = [note(f"{TEA}。"), note(f"抄来的：{TEA}。", "copy.md"), note("别的。", "other.md")]
        (found,) = choose_sentences([chunk(f"{TEA}。")], notes, seed=0).sentences
        assert found.evidence == (Evidence("tea.md", TEA), Evidence("copy.md", TEA))

    @pytest.mark.parametrize(
        ("text", "written", "reason"),
        [
            ("水太烫会发苦。", None, "too short"),
            (f"{TEA}？", None, "a question itself"),
            (f"{TEA}，例如：", None, "only leads up to what follows"),
            ("所以绿茶要用八十度左右的水冲泡，不然会苦。", None, "begins by pointing back"),
            ("These leaves go stale quickly in the open air.", None, "begins by pointing back"),
            ("把温度设成 $t = 80$ 度左右，再冲泡绿茶两分钟。", None, "code, formula, table or link"),
            ("| 绿茶 | 八十度左右的水 | 冲泡两分钟就好 |", None, "code, formula, table or link"),
            ("茶" * 300, None, "too long"),
            (TEA, "绿茶要用九十度左右的水。", "not verbatim in its note"),
            (TEA, f"{TEA}。\n\n{TEA}。", "stands in its note twice"),
            (TEA, TEA.replace("，", "，\n"), "goes over several lines"),
        ],
    )
    def test_sentences_that_will_not_do_are_counted_by_reason(
        self, text: str, written: str | None, reason: str
    ) -> None:
        found = chosen(text, written=written)
        assert found.sentences == ()
        assert found.unsuitable == {reason: 1}

    def test_a_sentence_of_two_chunks_is_asked_about_once(self) -> None:
        found = choose_sentences([chunk(f"{TEA}。"), chunk(f"{TEA}。", heading=("又",))], [note(TEA)], seed=0)
        assert len(found.sentences) == 1
        assert found.unsuitable == {"a repetition": 1}

    def test_a_long_sentence_is_quoted_to_a_pause_within_80_characters(self) -> None:
        long = "Water that has boiled for a long time has lost its oxygen, which makes the tea taste flat."
        (found,) = chosen(long).sentences
        assert found.sentence == long
        assert found.quote == "Water that has boiled for a long time has lost its oxygen, which makes the tea"
        assert 20 <= len(found.quote) <= 80

    def test_list_marks_are_no_part_of_the_quote(self) -> None:
        (found,) = chosen(f"3. {TEA}").sentences
        assert found.quote == found.sentence == TEA

    def test_notes_and_headings_take_turns_in_an_order_that_the_seed_decides(self) -> None:
        texts = {
            (path, heading): f"第{number}条笔记：{path}里{heading}一节说的内容各不相同。"
            for number, (path, heading) in enumerate((p, h) for p in ("a.md", "b.md") for h in ("甲", "乙", "丙"))
        }
        chunks = [chunk(text, path, (heading,)) for (path, heading), text in texts.items()]
        notes = [note("\n\n".join(t for (p, _), t in texts.items() if p == path), path) for path in ("a.md", "b.md")]

        def order(seed: int) -> list[tuple[str, str]]:
            return [(one.note, one.heading[0]) for one in choose_sentences(chunks, notes, seed=seed).sentences]

        assert order(0) == order(0)
        assert len({tuple(order(seed)) for seed in range(8)}) > 1
        for seed in range(8):
            assert [{path for path, _ in order(seed)[i : i + 2]} for i in (0, 2, 4)] == [{"a.md", "b.md"}] * 3


class TestReadingDrafts:
    @pytest.mark.parametrize(
        ("written", "question"),
        [
            ("为什么水不能太烫？", "为什么水不能太烫？"),
            ("问题：为什么水不能太烫？\n答案：会发苦。", "为什么水不能太烫？"),
            ("\n\n1. “为什么水不能太烫？”", "为什么水不能太烫？"),
            ("为什么水不能太烫？因为会发苦。", "为什么水不能太烫？"),
            ("Question: Why grind them late? Because.", "Why grind them late?"),
            ("会发苦。", "会发苦。"),
            ("", ""),
            ("***\n", ""),
        ],
    )
    def test_the_first_question_of_what_was_written(self, written: str, question: str) -> None:
        assert drafted_question(written) == question


class TestChecks:
    @pytest.mark.parametrize(
        "question", ["泡绿茶为什么不能用刚烧开的水？", "绿茶适合多热的水？", "哪种茶沏得太热就变苦，还烫嘴？"]
    )
    def test_a_good_question_passes(self, question: str) -> None:
        assert rejection(question, candidate(), [], TOKENIZER) == ""

    @pytest.mark.parametrize(
        ("question", "reason"),
        [
            ("", "not a question"),
            ("绿茶的水温不能太高。", "not a question"),
            ("绿茶的水温？", "not a question"),
            ("为何苦？", "too short"),
            (f"绿茶{'应该' * 40}怎么泡？", "too long"),
            ("Why must the water for green tea not boil?", "in another language"),
            ("这句话说绿茶的水温是多少？", "points at the text"),
            ("根据笔记，绿茶用什么水？", "points at the text"),
            ("它为什么不能用太烫的水冲泡？", "points at the text"),
            ("你对绿茶的冲泡有什么看法？", "asks for an opinion"),
            (f"为什么{TEA}？", "a copy of its sentence"),
            ("用几度左右的水冲泡，水太烫茶汤会发苦？", "a copy of its sentence"),
            ("咖啡豆为什么要现磨现用？", "says nothing of its sentence"),
        ],
    )
    def test_a_bad_one_is_rejected_with_the_reason(self, question: str, reason: str) -> None:
        assert rejection(question, candidate(), [], TOKENIZER) == reason

    def test_the_heading_is_no_question_of_its_own(self) -> None:
        headed = Candidate("tea.md", ("绿茶到底要怎么泡？",), "茶", TEA, (Evidence("tea.md", TEA),))
        assert rejection("茶里的绿茶到底要怎么泡？", headed, [], TOKENIZER) == "a copy of its heading"

    def test_nearly_the_same_question_twice_is_a_duplicate(self) -> None:
        earlier = ["泡绿茶为什么不能用刚烧开的水？"]
        assert rejection("泡绿茶为什么不能用刚烧开的热水？", candidate(), earlier, TOKENIZER) == "a duplicate"
        assert rejection("绿茶适合多热的水？", candidate(), earlier, TOKENIZER) == ""

    def test_english_notes_are_asked_about_in_english(self) -> None:
        assert rejection("Why should coffee be ground at the last moment?", candidate(COFFEE), [], TOKENIZER) == ""
        assert rejection("咖啡为什么要现磨？", candidate(COFFEE), [], TOKENIZER) == "in another language"
        assert (
            rejection("What does the note say about coffee?", candidate(COFFEE), [], TOKENIZER) == "points at the text"
        )


class TestPrompts:
    def test_sentence_topic_and_a_question_word_from_what_it_says(self) -> None:
        first, second = draft_prompts(candidate())
        assert TEA in first.request
        assert "茶 — 冲泡" in first.request
        assert "什么" in second.request
        assert first.instruction == second.instruction
        assert "多少" in draft_prompts(candidate("绿茶要用 80 度左右的水来冲泡，茶汤才好喝"))[1].request
        assert '"why"' in draft_prompts(candidate(COFFEE))[1].request
        assert "為什麼" in draft_prompts(candidate("綠茶要用八十度左右的水沖泡，因為太燙會發苦"))[1].request


@dataclass
class AskingModel:
    """Writes what ``reply`` makes of each prompt."""

    reply: Callable[[str], str]
    prompts: list[Prompt] = field(default_factory=list)

    @property
    def name(self) -> str:
        return "toy"

    def count_tokens(self, text: str) -> int:
        return len(text)

    def write(self, prompt: Prompt, *, max_new_tokens: int, stop: Callable[[], bool]) -> Generator[str, None, None]:
        self.prompts.append(prompt)
        yield from self.reply(prompt.request)


TEXTS = (f"{TEA}。", "红茶耐泡，沸水冲五六次味道还在，适合加奶。", "乌龙茶第一泡的水通常要马上倒掉，行话叫做洗茶。")
GOOD = {"绿茶": "泡绿茶怎么做才不苦？", "红茶": "哪种红茶搭配牛奶？", "乌龙": "喝乌龙茶为什么先扔掉一杯？"}


def asking(request: str) -> str:
    return next(question for word, question in GOOD.items() if word in request)


def draft(model: AskingModel, count: int, texts: tuple[str, ...] = TEXTS) -> DraftedGold:
    return draft_gold(chosen(*texts), model, count=count, tokenizer=TOKENIZER, drafted=lambda: None)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class TestDrafting:
    def test_no_more_than_wanted_one_a_sentence(self) -> None:
        model = AskingModel(asking)
        found = draft(model, 2)
        assert len(found.drafts) == found.tried == len(model.prompts) == 2
        assert found.rejected == ()

    def test_a_sentence_has_a_second_try(self) -> None:
        model = AskingModel(lambda request: asking(request) if "来问" in request else "我不会。")
        found = draft(model, 3)
        assert len(found.drafts) == 3
        assert found.reasons == {"not a question": 3}

    def test_every_rejection_is_kept_with_its_reason(self) -> None:
        found = draft(AskingModel(lambda _: "绿茶苦在哪里？"), 3)
        assert len(found.drafts) == 1
        assert found.reasons["says nothing of its sentence"] == 4
        assert found.tried == 3
        assert found.as_json()["drafted"] == 1

    def test_a_model_that_cannot_do_it_ends_too(self) -> None:
        texts = tuple(f"第{number}号茶园在山的南坡，每年春天采摘一次新茶。" for number in range(30))
        found = draft(AskingModel(lambda _: "不会。"), 2, texts)
        assert (found.tried, len(found.rejected)) == (8, 16)


class TestWriting:
    def test_drafts_are_a_gold_file(self, tmp_path: Path) -> None:
        out, notes = tmp_path / "g.jsonl", [note("\n\n".join(TEXTS))]
        write_drafts(draft(AskingModel(asking), 3), out, notes)
        gold = read_gold(out)
        check_quotes(gold, notes)
        assert [one.id for one in gold.questions] == ["G001", "G002", "G003"]
        assert {one.text for one in gold.questions} == set(GOOD.values())
        assert {(one.type, one.language, one.answer, one.key_facts) for one in gold.questions} == {
            ("drafted", "zh", "", ())
        }
        assert rows(tmp_path / "g.rejected.jsonl") == []

    def test_rejected_drafts_lie_beside_it(self, tmp_path: Path) -> None:
        out = tmp_path / "g.jsonl"
        write_drafts(draft(AskingModel(lambda _: "泡绿茶怎么做才不苦？"), 3), out, [note("\n\n".join(TEXTS))])
        assert len(rows(out)) == 1
        first = rows(rejected_path(out))[0]
        assert set(first) == {"reason", "question", "source", "quote", "sentence"}
        assert first["source"] == "tea.md"

    def test_where_nothing_passes_the_reasons_are_left_and_no_gold(self, tmp_path: Path) -> None:
        out = tmp_path / "g.jsonl"
        with pytest.raises(DraftingRefused, match="Not one of 3 sentences"):
            write_drafts(draft(AskingModel(lambda _: "不会。"), 3), out, [note("\n\n".join(TEXTS))])
        assert not out.exists()
        assert {row["reason"] for row in rows(rejected_path(out))} == {"not a question"}

    @pytest.mark.parametrize("name", ["g.jsonl", "g.rejected.jsonl"])
    def test_nothing_is_overwritten(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("edited by hand", encoding="utf-8")
        with pytest.raises(DraftingRefused, match=name):
            refuse_to_overwrite(tmp_path / "g.jsonl")
        with pytest.raises(DraftingRefused, match=name):
            write_drafts(draft(AskingModel(asking), 1), tmp_path / "g.jsonl", [note("\n\n".join(TEXTS))])
        assert (tmp_path / name).read_text(encoding="utf-8") == "edited by hand"
