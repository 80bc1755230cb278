"""The gate: figures that must not fall, kept in a file that is checked in beside the questions they are about."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eval.results import ALL, RetrievalResults, SystemResult
from index.durable import replace_file, storage_errors
from index.errors import AsknotesError

GATED = ("hit@1", "hit@5", "mrr@10", "ndcg@10")
SIDE = "hit@5"
_EPSILON = 2e-6  # figures and tolerances are kept to six digits: a fall by exactly the tolerance is not more


class BaselineInvalid(AsknotesError):
    """A baseline that cannot be read, or that is about other questions or systems."""

    type = "baseline_invalid"


class SystemBaseline(BaseModel):
    """What one system reached: figures by measure, the questions it found at rank 5, its mean chunk length."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    figures: dict[str, float]
    found: list[str]
    mean_chunk_chars: float
    chunks: int


class Baseline(BaseModel):
    """Figures of systems over one gold set, and by how much each may fall."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gold: str
    gold_sha256: str
    questions: int = Field(ge=1)
    tolerance: dict[str, float]
    systems: dict[str, SystemBaseline] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Fall:
    """A figure that fell by more than its tolerance, and the questions that are no longer found at rank 5."""

    system: str
    measure: str
    before: float
    now: float
    tolerance: float
    lost: Sequence[str]


def make_baseline(results: RetrievalResults, tolerance: float | None = None) -> Baseline:
    """Return the baseline of these results; each figure may fall by ``tolerance``, one question where None.

    One question: other processors round differently, and that can turn a close rank.
    """
    allowed = 1 / results.gold.answerable if tolerance is None else tolerance
    return Baseline(
        gold=results.gold.name,
        gold_sha256=results.gold.sha256,
        questions=results.gold.answerable,
        tolerance={measure: round(allowed, 6) for measure in GATED},
        systems={system.name: _system_baseline(system) for system in results.systems},
    )


def _system_baseline(system: SystemResult) -> SystemBaseline:
    return SystemBaseline(
        figures={measure: round(system.figures[ALL][measure].mean, 6) for measure in GATED},
        found=_found(system),
        mean_chunk_chars=round(system.mean_chunk_chars, 1),
        chunks=system.chunks,
    )


def _found(system: SystemResult) -> list[str]:
    return sorted(question for question, values in system.per_question.items() if values[SIDE] > 0)


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write a baseline as JSON that reads well in a diff; raises StorageFailed."""
    with storage_errors(f"Writing {path}"):
        replace_file(path, (json.dumps(baseline.model_dump(), ensure_ascii=False, indent=1) + "\n").encode())


def read_baseline(path: Path) -> Baseline:
    """Read what ``write_baseline`` wrote; raises BaselineInvalid."""
    hint = "Write it anew with --write-baseline."
    try:
        return Baseline.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BaselineInvalid(f"{path}: cannot be read: {error.strerror}", hint=hint) from error
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in details["loc"])
        raise BaselineInvalid(f"{path}: {place}: {details['msg']}", hint=hint) from error


def falls(results: RetrievalResults, baseline: Baseline) -> list[Fall]:
    """Return every figure that fell by more than its tolerance; BaselineInvalid if the two cannot be compared."""
    if baseline.gold_sha256 != results.gold.sha256:
        raise BaselineInvalid(
            f"The baseline is about other questions than {results.gold.path} now holds.",
            hint="Look at what changed in the gold file, then write the baseline anew with --write-baseline.",
        )
    measured = {system.name: system for system in results.systems}
    missing = [name for name in baseline.systems if name not in measured]
    if missing:
        raise BaselineInvalid(
            f"The baseline also knows {', '.join(missing)}, which was not run.",
            hint=f"Run with --systems {','.join(baseline.systems)}, or write the baseline anew.",
        )
    return [
        fall
        for name, before in baseline.systems.items()
        for fall in _falls_of(measured[name], before, baseline.tolerance)
    ]


def _falls_of(system: SystemResult, before: SystemBaseline, tolerance: Mapping[str, float]) -> list[Fall]:
    lost = sorted(set(before.found) - set(_found(system)))
    fallen = []
    for measure, value in before.figures.items():
        now = system.figures[ALL][measure].mean
        allowed = tolerance.get(measure, 0.0)
        if now < value - allowed - _EPSILON:
            fallen.append(Fall(system.name, measure, value, now, allowed, lost))
    return fallen
