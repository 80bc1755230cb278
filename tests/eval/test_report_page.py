from __future__ import annotations

import base64
import functools
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from lxml import etree, html

from eval.answers.results import AnswerResults
from eval.report.page import html_page
from eval.results import AnnResults, RetrievalResults, SweepResults
from tests.eval import small_results

ADDRESS = re.compile(r"https?:|//|data:|javascript:|file:", re.IGNORECASE)


def page(
    retrieval: RetrievalResults | None = None,
    sweep: SweepResults | None = None,
    ann: AnnResults | None = None,
    answers: AnswerResults | None = None,
) -> str:
    return html_page(retrieval=retrieval, sweep=sweep, ann=ann, answers=answers)


@functools.cache
def whole_page() -> str:
    return page(small_results.retrieval(), small_results.sweep(), small_results.ann(), small_results.answers())


@functools.cache
def retrieval_page() -> str:
    return page(small_results.retrieval())


def tree(source: str) -> Any:
    return html.fromstring(source)


def text(element: Any) -> str:
    return " ".join(element.text_content().split())


def test_hostile_names_questions_and_notes_are_shown_as_text() -> None:
    root = tree(whole_page())

    assert not root.xpath("//script | //img | //b | //i | //iframe | //object | //link")
    assert not [name for element in root.iter() for name in element.attrib if name.startswith("on")]
    shown = text(root)
    assert "what does <script>alert(1)</script> | print?" in shown
    assert '"quoted" & <b>.md › 第一章 › <i>二</i>, lines 3–9' in shown
    assert "混合@x=$1$ <b>" in shown
    assert "half of the <notes> were new" in shown


def test_nothing_is_fetched_and_no_script_could_run() -> None:
    root = tree(whole_page())

    for element in root.iter(etree.Element):
        for name, value in element.attrib.items():
            if name in {"src", "href", "action", "xlink:href", "srcset", "poster", "background", "style"}:
                assert value.startswith("#"), (element.tag, name, value)
            elif name not in {"content", "aria-label"}:
                assert not ADDRESS.search(value), (element.tag, name, value)
    (style,) = root.xpath("//style/text()")
    assert not ADDRESS.search(re.sub(r"/\*.*?\*/", "", style))
    assert "url(" not in style
    assert "@import" not in style
    assert not root.xpath("//*[@style]")


def test_content_security_policy_allows_the_one_style_sheet_by_its_hash() -> None:
    root = tree(whole_page())

    (policy,) = root.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    (style,) = root.xpath("//style/text()")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    # The policy comes before what it is about.
    assert list(root.find("head"))[1].get("http-equiv") == "Content-Security-Policy"


class Nesting(HTMLParser):
    VOID = ("meta", "br", "hr", "link", "input", "img")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_element_is_closed_where_it_was_opened() -> None:
    nesting = Nesting()
    nesting.feed(whole_page())
    nesting.close()

    assert nesting.open == []


def test_ids_are_unique_and_every_reference_has_its_target() -> None:
    source = whole_page()
    root = tree(source)

    ids = root.xpath("//@id")
    assert len(ids) == len(set(ids))
    referred = set(re.findall(r'(?:href="#|url\(#)([^")]+)', source))
    assert referred <= set(ids)


def test_rows_have_as_many_cells_as_the_head() -> None:
    tables = tree(whole_page()).xpath("//table")

    assert len(tables) > 10
    for table in tables:
        columns = len(table.xpath("./thead/tr/th"))
        assert {len(row) for row in table.xpath("./tbody/tr")} == {columns}


def test_the_same_results_give_the_same_bytes() -> None:
    assert whole_page.__wrapped__() == whole_page()


def test_verdicts_name_the_best_first_with_what_is_shown_and_what_is_not() -> None:
    root = tree(retrieval_page())

    best, other = (text(one) for one in root.xpath("//ol[@class='verdicts']/li"))
    assert best == (
        "plain is best by the numbers: mrr@10 0.286 (0.000–1.000); the right passage is among its first 5 "
        "for 1 of 4 questions; no difference shown from 混合@x=$1$ <b>."
    )
    assert other.startswith("混合@x=$1$ <b> has mrr@10 0.167")


def test_changed_questions_show_what_each_system_found() -> None:
    root = tree(retrieval_page())

    (pair,) = root.xpath("//details[@class='pair']")  # compared on two measures, shown once
    gained, lost = pair.xpath(".//details[@class='case']")
    assert "除以根号" in text(gained)
    plain, mixed = gained.xpath(".//div[@class='sides']/div")
    assert "no evidence in the first 10" in text(plain)
    assert "first evidence at rank 2" in text(mixed)
    assert len(plain.xpath(".//li")) == 3
    assert [li.get("value") for li in mixed.xpath(".//li[@class='holds']")] == ["2"]
    assert "alert(1)" in text(lost)


def test_a_pair_with_many_changed_questions_says_how_many_are_left_out() -> None:
    results = small_results.retrieval()
    many = replace(results.comparisons[0], gained=tuple(f"G{number}" for number in range(40)))

    shown = text(tree(page(replace(results, comparisons=[many]))))

    assert "40 gained" in shown
    assert "15 more changed; results.json names them." in shown


def test_questions_that_nothing_finds_are_named_apart_from_those_that_nothing_could_find() -> None:
    root = tree(retrieval_page())

    unreachable, missed = root.xpath("//section[@id='lost']/div[@class='alarm']")
    assert "Unreachable: 1" in text(unreachable)
    assert "无处可寻的一句" in text(unreachable)
    assert "first five: 1" in text(missed)
    assert "RRF 的 k" in text(missed)
    assert "无处可寻的一句" not in text(missed)


def test_a_question_unreachable_in_one_index_only_and_missed_by_all_is_in_both_lists() -> None:
    results = small_results.retrieval()
    systems = [results.systems[0], replace(results.systems[1], unreachable=())]

    unreachable, missed = tree(page(replace(results, systems=systems))).xpath("//section[@id='lost']/div")

    assert "in plain" in text(unreachable)
    assert "无处可寻的一句" in text(missed)


def test_best_figures_are_bold_and_few_questions_grey() -> None:
    root = tree(retrieval_page())

    systems, *_ = root.xpath("//section[@id='quality']//table")
    heads = [text(head) for head in systems.xpath("./thead//th")]
    assert heads == ["system", "hit@1", "hit@5", "mrr@10", "ndcg@10", "mean chunk, characters", "p50, ms", "p95, ms",
                     "index"]  # fmt: skip
    assert systems.xpath("./tbody/tr[1]/td[contains(@class, 'best')]/text()") == [
        "0.250",
        "0.286",
        "0.286",
    ]
    (sliced, *_) = root.xpath("//section[@id='slices']//table")
    assert [text(one) for one in sliced.xpath("./tbody/tr/td[1]")] == ["2one is 50.0 points", "1one is 100.0 points"]
    assert len(sliced.xpath("./tbody/tr[1]/*[contains(@class, 'faint')]")) == 4


def test_longer_chunks_are_warned_of() -> None:
    results = small_results.retrieval()
    longer = replace(results, systems=[results.systems[0], replace(results.systems[1], mean_chunk_chars=400.0)])

    assert "chunks of 250 to 400 characters" in page(longer)
    assert "Longer chunks win by being longer: compare only" not in retrieval_page()


def test_one_system_without_comparisons_types_latencies_or_hits() -> None:
    results = small_results.retrieval()
    only = replace(results.systems[0], latency_ms={}, hits={}, unreachable=())
    only = replace(only, figures={"all": only.figures["all"]})

    root = tree(page(replace(results, systems=[only], comparisons=[], notices=())))

    assert not root.xpath("//section[@id='pairs' or @id='changed' or @id='slices' or @id='latency']")
    (verdict,) = root.xpath("//ol[@class='verdicts']/li")
    assert text(verdict).startswith("plain has mrr@10")
    assert "No hits were kept." in text(root)


def test_no_system_at_all_is_still_a_page() -> None:
    results = replace(small_results.retrieval(), systems=[], comparisons=[])

    assert "Every question is found" in text(tree(page(results)))


def test_sweep_ranks_settings_and_marks_the_front() -> None:
    root = tree(page(sweep=small_results.sweep()))

    (table,) = root.xpath("//section[@id='sweep']//table")
    assert [text(row[0]) for row in table.xpath("./tbody/tr")] == ["1", "2", "3", "4", "5"]
    assert [text(row[1]) for row in table.xpath("./tbody/tr")] == ["800", "400", "400", "200", "200"]
    assert [text(row[0]) for row in table.xpath("./tbody/tr[@class='marked']")] == ["5"]
    assert "not run" in text(root.xpath("//section[@id='sweep']//figure")[0])
    assert "204 chars" in text(root.xpath("//section[@id='sweep']//figure")[0])


@pytest.mark.parametrize(
    ("axes", "plots"),
    [
        ({"index.fusion.depth": (10, 50, 100)}, 2),
        ({"a": (1, 2), "b": (1, 2), "权重": ("低", None)}, 3),
    ],
)
def test_sweeps_of_any_number_of_axes_are_drawn(axes: dict[str, tuple[object, ...]], plots: int) -> None:
    root = tree(page(sweep=small_results.sweep(axes)))

    assert len(root.xpath("//section[@id='sweep']//figure")) == plots
    assert "maps are drawn" not in text(root)


def test_a_sweep_of_many_axes_says_how_many_maps_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eval.report.plots.PANELS_MOST", 2)

    root = tree(page(sweep=small_results.sweep({"a": (1, 2), "b": (1, 2), "c": (1, 2), "d": (3, 4)})))

    assert len(root.xpath("//section[@id='sweep']//figure")) == 3
    assert "2 of 4 maps are drawn; the table has every setting." in text(root)


def test_ann_names_the_fastest_that_finds_enough_and_what_was_really_built() -> None:
    root = tree(page(ann=small_results.ann()))

    assert "Fastest with recall@10 of at least 0.95: HNSW32 (ef_search = 64), 4,000 queries/s" in text(root)
    (table,) = root.xpath("//section[@id='ann']//table")
    assert [text(row[0]) for row in table.xpath("./tbody/tr")] == ["Flat"] + ["HNSW32built as HNSW16"] * 2


def test_answers_show_their_measures_and_the_judge() -> None:
    root = tree(page(answers=small_results.answers()))

    shown = text(root.xpath("//section[@id='answers']")[0])
    assert "bundled:toy <model>" in shown
    assert "key_fact_recall 0.500" in shown
    assert "120.0" in shown
    assert "judge; 4 judged, 1 not" in shown
    assert "share 0.750, n = 4" in shown


def test_commands_to_repeat_are_quoted_for_a_shell() -> None:
    commands = tree(whole_page()).xpath("//pre[@class='command']/text()")

    assert commands[0] == ("asknotes eval retrieval --gold 'gold/a b.jsonl' --systems 'plain,混合@x=$1$ <b>'")


def test_the_command_that_was_given_is_shown_in_place_of_one_that_would_do() -> None:
    results = small_results.retrieval()

    source = html_page(retrieval=results, sweep=None, ann=None, answers=None, command="asknotes eval retrieval --x '<'")

    assert tree(source).xpath("//pre[@class='command']/text()") == ["asknotes eval retrieval --x '<'"]


def test_a_folder_of_documents_is_repeated_with_its_own_command() -> None:
    results = small_results.retrieval()
    documents = replace(results, gold=replace(results.gold, path="sets/drcd"), systems=results.systems[:1])

    assert "asknotes eval beir sets/drcd --systems plain" in page(documents)
