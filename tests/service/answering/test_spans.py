"""A hit takes its neighbours of the same section with it, within a limit, and no chunk is shown twice."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from index.schema import Chunk, Hit
from service.answering.spans import section_spans
from tests.service.answering.small_indexes import chunk

LIMIT = 30


def section(*paths: tuple[str, ...], text: str = "十个字的一段正文内容", note: str = "a.md") -> list[Chunk]:
    return [chunk(f"{text}{number}", note=note, heading=path) for number, path in enumerate(paths)]


def bounds(order: list[int], chunks: list[Chunk], *, limit: int = LIMIT, top_k: int = 10) -> list[tuple[int, int, int]]:
    ranked = [(row, 1.0 - rank / 100) for rank, row in enumerate(order)]
    return [(span.row, span.first, span.last) for span in section_spans(ranked, chunks, top_k=top_k, limit=limit)]


class TestNeighbours:
    def test_the_better_scored_neighbour_is_taken_first_and_the_limit_holds(self) -> None:
        chunks = section(*[("茶",)] * 4)
        assert bounds([1, 2, 0, 3], chunks, limit=22) == [(1, 1, 2), (0, 0, 0), (3, 3, 3)]

    def test_what_was_taken_is_no_hit_of_its_own(self) -> None:
        assert bounds([1, 2, 0, 3], section(*[("茶",)] * 4), limit=44) == [(1, 0, 3)]

    def test_a_chunk_longer_than_the_limit_stands_alone(self) -> None:
        assert bounds([0, 1], section(("茶",), ("茶",)), limit=5) == [(0, 0, 0), (1, 1, 1)]

    def test_a_neighbour_that_was_not_ranked_is_taken_last(self) -> None:
        assert bounds([1, 2], section(*[("茶",)] * 3), limit=22) == [(1, 1, 2)]

    def test_the_best_come_first_and_no_more_than_were_asked_for(self) -> None:
        assert bounds([2, 0, 1], section(("茶",), ("水",), ("杯",)), top_k=2) == [(2, 2, 2), (0, 0, 0)]


class TestSections:
    def test_a_section_and_what_is_below_it_belong_together(self) -> None:
        assert bounds([0], section(("茶",), ("茶", "绿茶"))) == [(0, 0, 1)]

    def test_so_do_two_sections_side_by_side_under_one(self) -> None:
        assert bounds([0], section(("茶", "绿茶"), ("茶", "红茶"))) == [(0, 0, 1)]

    def test_but_not_two_top_sections_two_notes_or_passages_without_a_heading(self) -> None:
        assert bounds([0], section(("茶",), ("水",))) == [(0, 0, 0)]
        assert bounds([0], section(("茶",)) + section(("茶",), note="b.md")) == [(0, 0, 0)]
        assert bounds([0], section((), ())) == [(0, 0, 0)]

    def test_a_neighbour_that_the_filter_keeps_out_stays_out(self) -> None:
        chunks = section(*[("茶",)] * 3)
        allowed = np.array([True, True, False])
        (span,) = section_spans([(1, 1.0)], chunks, top_k=5, limit=100, allowed=allowed)
        assert (span.first, span.last) == (0, 1)


@given(
    st.lists(st.sampled_from([("a",), ("a", "b"), ("a", "c"), ("d",)]), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
    st.integers(0, 60),
)
def test_every_row_is_in_one_span_at_most_and_every_ranked_row_in_one(
    paths: list[tuple[str, ...]], random: object, limit: int
) -> None:
    chunks = section(*paths)
    order = list(range(len(chunks)))
    random.shuffle(order)  # type: ignore[attr-defined]  # hypothesis' own Random
    spans = bounds(order, chunks, limit=limit, top_k=len(chunks))
    rows = list(itertools.chain.from_iterable(range(first, last + 1) for _, first, last in spans))
    assert sorted(rows) == list(range(len(chunks)))
    for row, first, last in spans:
        assert first <= row <= last
        assert first == last or sum(len(each.text) for each in chunks[first : last + 1]) <= limit


class TestHit:
    def test_its_text_and_lines_are_the_spans_with_titles_where_they_change(self) -> None:
        first, second = section(("茶", "绿茶"), ("茶", "红茶"))
        hit = Hit(second, 1.0, span=(first, second))
        assert hit.text == f"{first.text}\n\n红茶\n\n{second.text}"
        assert hit.lines == (3, 3)

    def test_alone_it_is_its_chunk(self) -> None:
        (only,) = section(("茶",))
        assert (Hit(only, 1.0).text, Hit(only, 1.0).lines) == (only.text, only.lines)
