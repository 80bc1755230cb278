"""Which questions a note's own form asks, and what of the passage is left when the question is taken out."""

from __future__ import annotations

from eval.tuning.pairs import (
    FIRST_SENTENCE,
    HEADING,
    QUESTION_AND_ANSWER,
    Collection,
    Pair,
    pairs_of_notes,
    without_duplicates,
)
from index.passages import embedded_text
from index.schema import Chunk, chunk_id
from ingest.config import DuplicateConfig

TEXT = "绿茶用八十度的水冲泡两分钟，水太烫会把嫩叶烫熟。"


def chunk(*heading: str, text: str = TEXT, note: str = "tea.md", title: str = "茶") -> Chunk:
    return Chunk(chunk_id(note, heading, text), note, heading, text, (1, 2), title=title)


def passage(collection: Collection, identity: str) -> Chunk:
    return next(one for one in collection.passages if one.id == identity)


def test_a_heading_that_asks_is_the_question_and_leaves_the_passage() -> None:
    one = chunk("茶", "冲泡", "绿茶怎么泡？")
    found = pairs_of_notes([one], few=0)
    (pair,) = found.pairs
    assert (pair.question, pair.passage, pair.origin, pair.source) == ("绿茶怎么泡？", one.id, HEADING, "tea.md")
    assert embedded_text(passage(found, one.id)) == f"茶 > 冲泡\n{TEXT}"


def test_a_heading_that_does_not_ask_is_read_with_the_title() -> None:
    (pair,) = pairs_of_notes([chunk("茶", "冲泡", "绿茶")], few=0).pairs
    assert pair.question == "茶 绿茶"


def test_a_title_alone_asks_and_does_not_come_back_into_the_passage() -> None:
    one = chunk("泡茶入门", title="泡茶入门")
    found = pairs_of_notes([one], few=0)
    assert found.pairs[0].question == "泡茶入门"
    assert embedded_text(passage(found, one.id)) == TEXT


def test_all_that_stands_under_a_heading_answers_it_and_only_its_first_chunk_is_asked_for() -> None:
    first, second = chunk("茶", "绿茶"), chunk("茶", "绿茶", text="另外的一段，说绿茶怎样密封、避光、冷藏保存。")
    below, other = chunk("茶", "绿茶", "产地", text="龙井产在杭州西湖边的山上，清明以前采。"), chunk("茶", "红茶")
    found = pairs_of_notes([first, second, below, other], few=0)
    (pair,) = [one for one in found.pairs if one.question == "茶 绿茶"]
    assert pair.passage == first.id
    assert pair.answers == {first.id, second.id, below.id}
    assert passage(found, second.id).heading == ("茶",), "the heading would give the second chunk away"


def test_question_and_answer_items_ask_and_the_answers_stay() -> None:
    one = chunk(
        text="问：绿茶用多少度的水？\n答：八十度，太烫会把嫩叶烫熟。\n\nQ: 红茶呢\nA: 刚烧开的水，泡三分钟左右。"
    )
    found = pairs_of_notes([one], few=0)
    assert [pair.question for pair in found.pairs] == ["绿茶用多少度的水？", "红茶呢"]
    assert {pair.origin for pair in found.pairs} == {QUESTION_AND_ANSWER}
    assert passage(found, one.id).text == "八十度，太烫会把嫩叶烫熟。\n\n刚烧开的水，泡三分钟左右。"


def test_first_sentences_ask_only_where_there_are_few_pairs() -> None:
    one = chunk(text="绿茶用八十度的水冲泡。水太烫会把嫩叶烫熟，茶汤发黄发苦，香气散掉。")
    assert pairs_of_notes([one], few=0).pairs == ()
    found = pairs_of_notes([one], few=1)
    (pair,) = found.pairs
    assert (pair.question, pair.origin) == ("绿茶用八十度的水冲泡。", FIRST_SENTENCE)
    assert passage(found, one.id).text == "水太烫会把嫩叶烫熟，茶汤发黄发苦，香气散掉。"


def test_a_passage_that_would_be_left_almost_empty_is_not_asked_for() -> None:
    assert pairs_of_notes([chunk("茶", "绿茶", text="八十度")], few=0).pairs == ()


def test_the_same_question_in_two_places_is_answered_by_both() -> None:
    one, other = (
        chunk("茶", "怎么保存？"),
        chunk("咖啡", "怎么保存？", text="咖啡豆要密封，避光，常温存放，尽快喝完。", note="b.md"),
    )
    found = pairs_of_notes([one, other], few=0)
    assert [pair.passage for pair in found.pairs] == [one.id, other.id]
    assert all(pair.answers == {one.id, other.id} for pair in found.pairs)


def test_sections_are_the_first_heading_below_the_title() -> None:
    one, other, third = chunk("茶", "冲泡", "绿茶"), chunk("茶", "冲泡", "红茶"), chunk("茶", "保存")
    sections = pairs_of_notes([one, other, third], few=0).sections
    assert sections[one.id] == sections[other.id] == "tea.md > 冲泡"
    assert sections[third.id] == "tea.md > 保存"


def test_near_duplicates_become_one_passage_and_keep_their_pairs() -> None:
    long = (
        "绿茶用温水冲泡两分钟，水太烫会把嫩叶烫熟，茶汤发黄发苦，香气也会散掉很多；红茶用滚水，乌龙茶第一泡要快出汤。"
    )
    one, other = chunk("甲", text=long + "白茶适合煮着喝。"), chunk("乙", text=long, note="copy.md")
    collection = Collection(
        (one, other),
        {one.id: "甲", other.id: "乙"},
        (
            Pair("甲问", one.id, "file", "", frozenset({one.id})),
            Pair("乙问", other.id, "file", "", frozenset({other.id})),
        ),
    )
    folded = without_duplicates(collection, DuplicateConfig())
    assert [passage.id for passage in folded.passages] == [one.id]
    assert [(pair.question, pair.passage, pair.answers) for pair in folded.pairs] == [
        ("甲问", one.id, frozenset({one.id})),
        ("乙问", one.id, frozenset({one.id})),
    ]
