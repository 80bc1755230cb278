"""Sweeps: every combination once, resumed where a run stopped, and the front of what is worth its cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from eval import sweep
from eval.gold import GoldInvalid, read_gold
from eval.results import SweepPoint, SweepResults
from eval.run import SystemRun, run_systems
from eval.sweep import Axes, run_sweep
from eval.systems import SystemsInvalid, choose_systems
from index.progress import Unheard
from tests.eval.small_notes import QUESTIONS, TeaNotes, write_lines

AXES: Axes = {"ingest.chunker.max_tokens": [32, 80], "ingest.chunker.overlap_sentences": [0, 1]}


def swept(tea: TeaNotes, axes: Axes = AXES, system: str = "hybrid") -> SweepResults:
    return run_sweep(
        read_gold(tea.gold),
        choose_systems([system])[0],
        axes,
        tea.settings,
        measure="mrr@10",
        notes=(),
        listener=Unheard(),
    )


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the points that were really measured."""
    names: list[str] = []

    def watched(*arguments: object, **options: object) -> list[SystemRun]:
        names.append(arguments[0][0].name)  # type: ignore[index]  # the first argument is the systems
        return run_systems(*arguments, **options)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(sweep, "run_systems", watched)
    return names


def test_every_combination_is_measured_with_its_own_chunks(tea: TeaNotes) -> None:
    found = swept(tea)
    assert [tuple(point.settings.values()) for point in found.points] == [(32, 0), (32, 1), (80, 0), (80, 1)]
    small, _, large, _ = found.points
    assert small.chunks > large.chunks
    assert small.mean_chunk_chars < large.mean_chunk_chars
    assert found.axes == AXES
    assert any(point.on_front for point in found.points)


def test_no_point_on_the_front_is_beaten_in_everything(tea: TeaNotes) -> None:
    def costs(point: SweepPoint) -> tuple[float, float, float]:
        return (-point.figures["mrr@10"].mean, point.latency_ms, point.index_bytes)

    points = swept(tea).points
    for point in points:
        beaten = any(
            all(a <= b for a, b in zip(costs(other), costs(point), strict=True)) and costs(other) != costs(point)
            for other in points
        )
        assert point.on_front != beaten


def test_a_run_that_was_killed_goes_on_where_it_stopped(
    tea: TeaNotes, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed_after(points: int) -> Callable[..., list[SystemRun]]:
        def run(*arguments: object, **options: object) -> list[SystemRun]:
            if len(measured) == points:
                raise KeyboardInterrupt
            measured.append("before")
            return run_systems(*arguments, **options)  # type: ignore[arg-type]  # passed on as they came

        return run

    with monkeypatch.context() as patch:
        patch.setattr(sweep, "run_systems", killed_after(2))
        with pytest.raises(KeyboardInterrupt):
            swept(tea)
    measured.clear()
    resumed = swept(tea)
    assert measured == ["max_tokens=80, overlap_sentences=0", "max_tokens=80, overlap_sentences=1"]
    assert len(resumed.points) == 4
    measured.clear()
    assert swept(tea).points == resumed.points
    assert measured == []


def kept_file(tea: TeaNotes) -> Path:
    (path,) = (tea.settings.data / "cache" / "eval" / "sweeps").iterdir()
    return path


def test_a_half_written_last_point_is_measured_again_and_nothing_else(tea: TeaNotes, measured: list[str]) -> None:
    whole = swept(tea)
    path = kept_file(tea)
    path.write_bytes(path.read_bytes()[:-20])
    measured.clear()
    again = swept(tea)
    assert measured == ["max_tokens=80, overlap_sentences=1"]
    assert [point.figures for point in again.points] == [point.figures for point in whole.points]
    assert len(path.read_bytes().splitlines()) == 4


def test_a_damaged_point_is_measured_again(tea: TeaNotes, measured: list[str]) -> None:
    swept(tea)
    path = kept_file(tea)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b'{"key": 1}\n', *lines[2:]]))
    measured.clear()
    assert len(swept(tea).points) == 4
    assert measured == ["max_tokens=32, overlap_sentences=1"]


def test_a_larger_grid_takes_what_is_there_and_other_questions_do_not(tea: TeaNotes, measured: list[str]) -> None:
    swept(tea)
    measured.clear()
    swept(tea, {**AXES, "ingest.chunker.overlap_sentences": [0, 1, 2]})
    assert len(measured) == 2
    write_lines(tea.gold, QUESTIONS[:3])
    measured.clear()
    swept(tea)
    assert len(measured) == 4


def test_search_settings_share_one_index(tea: TeaNotes) -> None:
    found = swept(tea, {"index.fusion.depth": [5, 50], "index.fusion.lexical_weight": [0, 1]})
    assert len({point.chunks for point in found.points}) == 1
    assert not (tea.settings.data / "cache" / "eval" / "indexes").exists()


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({}, "No setting is to be varied"),
        ({"index.fusion.depth": []}, "No setting is to be varied"),
        ({"index.fusion.depth": [10, 0]}, "index.fusion.depth: Input should be greater"),
        ({"index.fusion.deep": [10]}, "index.fusion.deep: Extra inputs"),
        ({"index.fusion.depth": range(1, 200), "index.fusion.rrf_k": range(1, 200)}, "39601 points"),
    ],
)
def test_a_grid_that_cannot_be_run_is_refused_before_anything_is(
    tea: TeaNotes, measured: list[str], axes: Axes, said: str
) -> None:
    with pytest.raises(SystemsInvalid, match=said):
        swept(tea, axes)
    assert measured == []


def test_without_an_answerable_question_there_is_nothing_to_sweep(tea: TeaNotes) -> None:
    write_lines(tea.gold, QUESTIONS[4:])
    with pytest.raises(GoldInvalid, match="no question is answerable"):
        swept(tea)
