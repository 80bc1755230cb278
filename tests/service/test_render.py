"""A search for people: what was asked, every stage's opinion, what matches, and what was left out and why."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from index.schema import Chunk, Hit, Place, Signal
from service.answering.exchange import SearchResult
from service.answering.explanation import Asked, Dropped, Explanation, Rejected
from service.commands.render import explained_search, hit_list

PLACE = Place("f" * 16, "old/tea.md", ("茶",), (7, 8), "绿茶用八十度的水。")
TEA = Chunk("a" * 16, "tea.md", ("茶", "冲泡"), "绿茶用八十度的水。\n泡两分钟。", (3, 4), alternatives=(PLACE,))
ALIKE = Chunk("c" * 16, "green.md", ("绿茶",), "绿茶要用八十度的水。", (1, 1))
HIT = Hit(
    TEA,
    1.25,
    {"lexical": Signal(2, 3.5), "late:glossary": Signal(1, 0.75)},
    alike=(ALIKE,),
    matches=("绿茶用八十度的水。", "  泡  两分钟。"),
)
EXPLANATION = Explanation(
    route="term",
    asked=(
        Asked("question", "绿茶 几度", 1.0, ("绿茶", "几度"), ("绿茶",)),
        Asked("glossary", "green tea", 0.25, ("green", "tea"), ("green", "tea")),
    ),
    rejected=(Rejected("hyde", "drifted: 0.31 < 0.85", "红茶趁热喝。"),),
    dropped=(
        Dropped("b" * 16, "tea.md", (5, 6), 0.75, "neighbour", 1),
        Dropped(ALIKE.id, "green.md", (1, 1), 0.5, "alike", 1),
        Dropped("d" * 16, "coffee.md", (2, 9), -0.25, "rank"),
    ),
    filtered_out=12,
)
RESULT = SearchResult((HIT,), "000007", {"question": 8.06, "late": 1.25}, ("translation",), EXPLANATION)


def shown(page: RenderableType, *, width: int = 200) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, markup=False, emoji=False).print(page)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_the_page_tells_it_from_the_question_to_what_was_left_out() -> None:
    assert shown(explained_search(RESULT)) == [
        "Asked (by its form: term)",
        "  question 绿茶 几度  × 1  not in the notes: 几度",
        "  glossary green tea  × 0.25",
        "  not used hyde drifted: 0.31 < 0.85: 红茶趁热喝。",
        "  skipped translation",
        "",
        "1. tea.md:3-4  茶 › 冲泡  1.2500",
        "   lexical 2. (3.5000)  late:glossary 1. (0.7500)",
        "   绿茶用八十度的水。",
        "   泡 两分钟。",
        "   also in old/tea.md:7-8",
        "   also in green.md:1-1",
        "",
        "12 passages are outside of the filter.",
        "",
        "Left out",
        "  tea.md:5-6  0.7500  comes with hit 1",
        "  green.md:1-1  0.5000  says the same as hit 1",
        "  coffee.md:2-9  -0.2500  stands below the last hit",
        "",
        "snapshot 000007; ms: question 8.1, late 1.2",
    ]


def test_what_there_is_not_is_not_mentioned() -> None:
    plain = Explanation("question", EXPLANATION.asked[1:], (), (), 0)
    lone = replace(HIT, chunk=replace(TEA, alternatives=()), alike=(), matches=())
    page = shown(explained_search(replace(RESULT, hits=(lone,), stages_skipped=(), explanation=plain)))
    assert page == [
        "Asked (by its form: question)",
        "  glossary green tea  × 0.25",
        "",
        "1. tea.md:3-4  茶 › 冲泡  1.2500",
        "   lexical 2. (3.5000)  late:glossary 1. (0.7500)",
        "",
        "snapshot 000007; ms: question 8.1, late 1.2",
    ]


def test_finding_nothing_is_said_and_why_stays_readable() -> None:
    page = shown(explained_search(replace(RESULT, hits=(), explanation=replace(EXPLANATION, dropped=()))))
    assert "Nothing was found." in page
    assert "12 passages are outside of the filter." in page


def test_each_hit_has_its_number() -> None:
    page = shown(explained_search(replace(RESULT, hits=(HIT, replace(HIT, chunk=ALIKE)))))
    assert [line for line in page if line[:2] in {"1.", "2."}] == [
        "1. tea.md:3-4  茶 › 冲泡  1.2500", "2. green.md:1-1  绿茶  1.2500"
    ]  # fmt: skip


def test_a_long_line_that_matches_is_cut() -> None:
    page = shown(explained_search(replace(RESULT, hits=(replace(HIT, matches=("x" * 500,)),))), width=600)
    assert max(line.count("x") for line in page) == 200


@pytest.mark.parametrize("where", ["question", "rejected", "match", "note"])
def test_no_note_question_or_model_steers_the_terminal(where: str) -> None:
    evil = "\x1b]0;owned\x07[red]x[/red]"
    asked = replace(EXPLANATION.asked[0], text=evil if where == "question" else "q", terms=(evil,), known=())
    rejected = Rejected("hyde", "drifted", evil if where == "rejected" else "")
    dropped = Dropped("d" * 16, evil if where == "note" else "n.md", (1, 1), 0.5, "rank")
    hit = replace(HIT, chunk=replace(TEA, note=evil, heading=(evil,)), matches=(evil,))
    page = "\n".join(
        shown(explained_search(replace(RESULT, hits=(hit,), explanation=Explanation(
            "question", (asked,), (rejected,), (dropped,), 0
        ))))
    )  # fmt: skip
    assert "\x1b" not in page
    assert "\x07" not in page
    assert "[red]x[/red]" in page


def test_what_was_not_explained_is_the_plain_list() -> None:
    plain = replace(RESULT, explanation=None)
    assert shown(explained_search(plain)) == shown(hit_list(plain))
    assert shown(hit_list(plain)) == [
        "1. tea.md:3-4  茶 › 冲泡  1.250",
        "   绿茶用八十度的水。 泡两分钟。",
        "   also in old/tea.md:7-8",
    ]
