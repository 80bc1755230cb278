"""A grid of settings over one gold set, point by point, so that a run that was killed goes on where it stopped."""

from __future__ import annotations

import dataclasses
import itertools
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eval.gold import Gold, GoldInvalid, check_quotes
from eval.indexes import Indexes, NotesSource, eval_folder
from eval.pareto import front
from eval.provenance import provenance
from eval.results import ALL, Figure, SweepPoint, SweepResults
from eval.retrieval import summary_of
from eval.run import TOTAL, evaluate_run, run_systems
from eval.systems import System, SystemsInvalid
from index.durable import make_folder, storage_errors
from index.fingerprints import digest
from index.progress import ProgressListener, Unheard
from service.settings import Settings

MOST_POINTS = 10_000
_FOLDER = "sweeps"

_log = logging.getLogger(__name__)

Axes = Mapping[str, Sequence[Any]]
"""The values to try for each dotted key of the settings."""


def run_sweep(
    gold: Gold,
    system: System,
    axes: Axes,
    settings: Settings,
    *,
    measure: str,
    notes: Sequence[Path],
    listener: ProgressListener,
) -> SweepResults:
    """Measure ``system`` with every combination of the axes' values; what was measured before is taken as it was.

    Points are kept below the data folder, by gold, notes, system and all settings. Raises SystemsInvalid before
    anything is measured where a combination does not fit the schema, and what ``evaluate_retrieval`` raises.
    """
    if not gold.answerable:
        raise GoldInvalid(f"{gold.path}: no question is answerable.", hint="Retrieval is measured on answerable ones.")
    grid = _grid(system, axes, settings)
    source = NotesSource(settings, notes)
    check_quotes(gold, source.notes)
    kept = _KeptPoints.open(settings.data, gold, [note.sha256 for note in source.notes])
    points: list[SweepPoint] = []
    with Indexes(source, settings, Unheard()) as indexes:
        listener.start("settings", len(grid))
        for point_system, changed in grid:
            key = digest({"system": point_system.described(), "settings": _behind(point_system, settings)})
            point = kept.point(key)
            if point is None:
                point = _measured(point_system, changed, gold, indexes, settings)
                kept.add(key, point)
                indexes.release()
            points.append(point)
            listener.advance(1)
        listener.finish()
    return SweepResults(
        gold=summary_of(gold),
        system=system.name,
        axes={key: list(values) for key, values in axes.items()},
        measure=measure,
        points=_with_front(points, measure),
        provenance=provenance(settings),
    )


def _grid(system: System, axes: Axes, settings: Settings) -> Sequence[tuple[System, Mapping[str, Any]]]:
    """Return every combination as a system of its own; all are checked before the first is run."""
    if not axes or not all(axes.values()):
        raise SystemsInvalid("No setting is to be varied.", hint="Name one: --set index.fusion.depth=50,100,200.")
    combinations = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    if len(combinations) > MOST_POINTS:
        raise SystemsInvalid(f"The grid has {len(combinations)} points.", hint=f"Try {MOST_POINTS} at most.")
    grid = [
        (replace(system, name=_name(changed), settings={**system.settings, **changed}), changed)
        for changed in combinations
    ]
    for point_system, _ in grid:
        point_system.applied_to(settings)
    return grid


def _name(changed: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.rsplit('.', 1)[-1]}={value}" for key, value in changed.items())


def _behind(system: System, settings: Settings) -> dict[str, Any]:
    applied = system.applied_to(settings)
    return {"index": applied.index.model_dump(mode="json"), "ingest": applied.ingest.model_dump(mode="json")}


def _measured(
    system: System, changed: Mapping[str, Any], gold: Gold, indexes: Indexes, settings: Settings
) -> SweepPoint:
    (run,) = run_systems([system], gold.questions, indexes, settings, Unheard())
    result = evaluate_run(run, gold)
    return SweepPoint(
        settings=dict(changed),
        figures=result.figures[ALL],
        mean_chunk_chars=result.mean_chunk_chars,
        chunks=result.chunks,
        latency_ms=result.latency_ms[TOTAL].p50,
        index_bytes=result.index_bytes,
        build_s=run.index.opened.build_s,
    )


def _with_front(points: Sequence[SweepPoint], measure: str) -> list[SweepPoint]:
    best = front(
        points,
        higher=[lambda point: point.figures[measure].mean],
        lower=[lambda point: point.latency_ms, lambda point: point.index_bytes],
    )
    return [replace(point, on_front=on_front) for point, on_front in zip(points, best, strict=True)]


@dataclass
class _KeptPoints:
    """Measured points by key, one JSON line each, written through to the disk one by one."""

    path: Path
    points: dict[str, SweepPoint]

    @classmethod
    def open(cls, data: Path, gold: Gold, notes: Sequence[str]) -> _KeptPoints:
        name = digest({"gold": gold.sha256, "notes": sorted(notes)})
        path = eval_folder(data) / _FOLDER / f"{name}.jsonl"
        with storage_errors(f"Opening {path}"):
            make_folder(path.parent)
            lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
            if lines[-1]:  # killed while writing: the point is measured again, and its half line must not stay
                _log.warning("The last point of %s was not written to its end and is measured again.", path)
                with path.open("r+b") as file:
                    file.truncate(sum(len(line) + 1 for line in lines[:-1]))
        return cls(path, dict(_read_points(lines[:-1], path)))

    def point(self, key: str) -> SweepPoint | None:
        """Return what was measured under a key, if it was."""
        return self.points.get(key)

    def add(self, key: str, point: SweepPoint) -> None:
        """Keep a point; raises StorageFailed."""
        line = json.dumps({"key": key, "point": dataclasses.asdict(point)}, ensure_ascii=False) + "\n"
        with storage_errors(f"Writing {self.path}"), self.path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        self.points[key] = point


def _read_points(lines: Sequence[bytes], path: Path) -> Iterator[tuple[str, SweepPoint]]:
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            point = record["point"]
            figures = {name: Figure(**figure) for name, figure in point["figures"].items()}
            yield record["key"], SweepPoint(**{**point, "figures": figures})
        except (ValueError, KeyError, TypeError) as error:
            _log.warning("%s:%d cannot be read (%s); its point is measured again.", path, number, error)
