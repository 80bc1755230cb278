from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import matplotlib as mpl
from lxml import etree

from eval.report import plots
from eval.report.svg import Labels
from tests.eval import small_results


def parsed(svg: str) -> Any:
    return etree.fromstring(svg)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in parsed(svg).iter("text")]


def test_plots_are_well_formed_without_inline_styles_or_namespaces() -> None:
    results = small_results.retrieval()
    drawn = [
        plots.quality_plot(results),
        plots.slices_plot(results, "hit@5"),
        plots.differences_plot(results.comparisons, "mrr@10"),
        plots.latency_plot(results),
        plots.front_plot(small_results.sweep()),
        plots.ann_plot(small_results.ann()),
        *plots.sweep_plots(small_results.sweep()),
    ]

    for svg in drawn:
        root = parsed(svg)
        assert root.tag == "svg"
        assert root.get("aria-label")
        assert not [element for element in root.iter() if "style" in element.attrib]
        assert {element.tag for element in root.iter()} <= {"svg", "g", "defs", "path", "use", "text", "clipPath",
                                                           "rect", "tspan"}  # fmt: skip
        assert "://" not in svg


def test_labels_that_matplotlib_has_no_glyphs_for_are_drawn_as_they_are() -> None:
    drawn = texts(plots.quality_plot(small_results.retrieval()))

    assert "混合@x=$1$ <b>" in drawn
    assert "plain" in drawn


def test_long_labels_are_cut_and_control_characters_left_out() -> None:
    labels = Labels()

    assert labels("a" * 40) == "a" * 27 + "..."
    stand_in = labels("一\x00\ud800二")
    assert stand_in.isascii()
    assert labels.originals == {stand_in: "一  二"}


def test_stand_ins_differ_and_none_begins_another() -> None:
    labels = Labels()
    stand_ins = [labels(f"系统{number}") for number in range(30)]

    assert len(set(stand_ins)) == 30
    assert not [(one, two) for one in stand_ins for two in stand_ins if one != two and one in two]


def test_more_systems_than_colours_differ_in_their_marks() -> None:
    results = small_results.retrieval()
    many = replace(results, systems=[replace(results.systems[0], name=f"system {number}") for number in range(12)])

    drawn = texts(plots.quality_plot(many))

    assert {f"system {number}" for number in range(12)} <= set(drawn)


def test_the_users_own_matplotlib_settings_change_nothing_and_stay_as_they_are() -> None:
    plain = plots.ann_plot(small_results.ann())
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path"}):
        assert plots.ann_plot(small_results.ann()) == plain
        assert mpl.rcParams["font.size"] == 30


def test_plots_drawn_by_two_threads_at_once_are_those_of_one() -> None:
    alone = plots.quality_plot(small_results.retrieval())
    drawn: list[str] = []
    threads = [
        threading.Thread(target=lambda: drawn.append(plots.quality_plot(small_results.retrieval()))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert drawn == [alone] * 3
