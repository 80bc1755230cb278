from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from eval.report.markdown import escaped, markdown_page, table
from eval.report.tables import Cell, Table, systems_table
from tests.eval import small_results


def page() -> str:
    return markdown_page(
        retrieval=small_results.retrieval(),
        sweep=small_results.sweep(),
        ann=small_results.ann(),
        answers=small_results.answers(),
    )


def rendered(source: str) -> str:
    return str(MarkdownIt("commonmark", {"html": True}).enable("table").render(source))


def test_every_table_has_equally_many_cells_in_every_row() -> None:
    rows = [line for line in page().splitlines() if line.startswith("|")]
    blocks = [block for block in page().split("\n\n") if block.startswith("|")]

    assert len(blocks) > 6
    assert sum(len(block.splitlines()) for block in blocks) == len(rows)
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_texts_show_as_they_are() -> None:
    shown = rendered(page())

    assert "<script>" not in shown
    assert "what does &lt;script&gt;alert(1)&lt;/script&gt; | print?" in shown
    assert "混合@x=$1$ &lt;b&gt;" in shown
    assert "Toy &amp; Sons &lt;8&gt;" in shown


@pytest.mark.parametrize(
    "text",
    [
        *("1. no list", "12) no list", "# no head", "- no item", "+ none", "---", "-0.5", "1.5"),
        *("*b* _c_", "`c` [d](e) ![f](g)", "&amp; \\ ~~h~~", "<b>bold</b> | $x$"),
    ],
)
def test_escaping_is_undone_by_rendering(text: str) -> None:
    shown = re.sub(r"</?p>|\n", "", rendered(escaped(text)))

    assert html.unescape(shown) == text
    assert "<" not in shown


def test_a_text_over_several_lines_stays_in_its_cell() -> None:
    shown = table(Table("t", ["a", "b"], [[Cell("x\ny | z"), Cell("0.5", note="0–1", best=True)]]))

    assert shown.splitlines() == ["| a | b |", "| :--- | ---: |", "| x y \\| z | **0.5** (0–1) |"]


def test_the_best_figure_is_bold_with_its_interval() -> None:
    assert "| plain | **0.250** (0.000–1.000) |" in table(systems_table(small_results.retrieval()))


def test_one_system_without_comparisons_or_types() -> None:
    results = small_results.retrieval()
    only = replace(results.systems[0], figures={"all": results.systems[0].figures["all"]}, unreachable=())

    source = markdown_page(
        retrieval=replace(results, systems=[only], comparisons=[]), sweep=None, ann=None, answers=None
    )

    assert "second system minus the first" not in source
    assert "by type and language" not in source
    assert "Found by no system at rank 5 (3)" in source
