from __future__ import annotations

from dataclasses import replace

from eval.report import formats, readings, tables
from eval.results import Figure, Latency
from tests.eval import small_results


def test_formats_keep_three_decimals_and_no_sign_on_nothing() -> None:
    assert formats.measure(0.12345) == "0.123"
    assert formats.signed(-0.0001) == "0.000"
    assert formats.signed(-0.25) == "−0.250"
    assert formats.signed(0.25) == "+0.250"
    assert formats.probability(0.0002) == "<0.001"
    assert formats.probability(0.0499) == "0.050"
    assert [formats.milliseconds(value) for value in (0.456, 12.34, 1234.5)] == ["0.46", "12.3", "1,234"]
    assert [formats.size(value) for value in (0, 1023, 1536, 5 * 1024**5)] == ["0 B", "1,023 B", "1.5 KiB",
                                                                               "5,120.0 TiB"]  # fmt: skip
    assert formats.listed(["a", "b", "c"]) == "a, b and c"
    assert formats.last_parts(["a.size", "b.size", "c.k"]) == {"a.size": "a.size", "b.size": "b.size", "c.k": "k"}
    assert formats.moment("2026-01-02T03:04:05+00:00") == "2026-01-02 03:04 UTC"
    assert formats.moment("long ago") == "long ago"


def test_a_difference_is_significant_only_after_correction() -> None:
    shown = small_results.comparison("a", "b", p_corrected=0.049)
    not_shown = replace(small_results.comparison("a", "b", p_corrected=0.05), p=0.001)

    assert readings.reading(shown) == "b is significantly better"
    assert readings.reading(replace(shown, difference=-0.1)) == "a is significantly better"
    assert readings.reading(not_shown) == "no difference shown"


def test_a_system_that_beats_all_others_significantly_is_best_without_reserve() -> None:
    results = small_results.retrieval()
    one, two = (system.name for system in results.systems)
    beaten = small_results.comparison(one, two, p_corrected=0.01, difference=-0.3)

    best, other = readings.verdicts(replace(results, comparisons=[beaten]))

    assert best.sentence.startswith("is best: mrr@10")
    assert best.sentence.endswith(f"; significantly better than {two}.")
    assert other.sentence.endswith(f"; significantly worse than {one}.")


def test_the_measure_that_was_tested_decides() -> None:
    results = small_results.retrieval()

    assert readings.deciding_measure(results) == "mrr@10"
    assert readings.deciding_measure(replace(results, comparisons=results.comparisons[1:])) == "hit@5"
    assert readings.deciding_measure(replace(results, comparisons=[])) == "mrr@10"
    assert readings.deciding_measure(replace(results, systems=[])) == ""


def test_few_questions_say_what_one_of_them_weighs() -> None:
    assert readings.few_questions(7) == "one is 14.3 points"
    assert readings.few_questions(20) == ""


def test_sweep_verdict_counts_the_settings_that_chance_may_have_put_second() -> None:
    verdict = readings.sweep_verdict(small_results.sweep())

    assert verdict.startswith(
        "Best: ingest.chunker.max_chars = 800, ingest.chunker.overlap_chars = 0 with mrr@10 0.540 (0.400–0.700)"
    )
    assert "4 of 4 other settings lie within its interval" in verdict


def test_sweep_of_nothing_measured_says_so() -> None:
    assert readings.sweep_verdict(replace(small_results.sweep(), points=[])) == "Nothing was measured."


def test_no_family_may_find_enough() -> None:
    assert readings.ann_verdict(small_results.ann(), wanted=1.01).startswith("No setting finds 101%")


def test_stages_stand_in_the_order_they_run_in() -> None:
    results = small_results.retrieval()
    times = Latency(1.0, 2.0)
    systems = [
        replace(results.systems[0], latency_ms=dict.fromkeys(stages, times))
        for stages in (("question", "dense", "fusion", "total"), ("question", "lexical", "dense", "fusion", "late"))
    ]

    assert tables.stages_of(replace(results, systems=systems)) == ["question", "lexical", "dense", "fusion", "late"]


def test_a_measure_that_one_system_lacks_is_a_dash() -> None:
    results = small_results.retrieval()
    lacking = replace(results.systems[1], figures={"all": {"hit@5": Figure(0.9, 0.8, 1.0, 4)}})

    shown = tables.systems_table(replace(results, systems=[results.systems[0], lacking]))

    assert [cell.text for cell in shown.rows[1][1:5]] == ["–", "0.900", "–", "–"]


def test_a_language_that_all_questions_are_in_is_no_slice() -> None:
    assert tables.slices_of(small_results.retrieval()) == ["type:colloquial", "type:keyword"]
