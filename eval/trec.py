"""Runs on disk, so that any tool can score them again: TREC runs and qrels, and runs with their passages' text.

In a folder ``runs``: ``SYSTEM.trec`` (question, Q0, chunk, rank, score, system), ``SYSTEM.qrels`` (question, 0, chunk,
1 for every hit that holds a quote and for every other chunk of the system's index that does), ``SYSTEM.jsonl`` (what
``asknotes search --queries`` writes, which the reference scorer reads), and ``runs.json`` with everything needed to
repeat them.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.gold import Gold
from eval.results import Provenance
from eval.run import SystemRun, relevant_chunks
from index import durable
from service.replies import run_line

FOLDER = "runs"
_UNSAFE = re.compile(r"[^A-Za-z0-9+._-]+")


def save_runs(folder: Path, runs: Sequence[SystemRun], gold: Gold, provenance: Provenance) -> None:
    """Write every run below ``folder``/runs; raises StorageFailed."""
    target = folder / FOLDER
    with durable.storage_errors(f"Writing runs to {target}"):
        target.mkdir(parents=True, exist_ok=True)
        for name, run in zip(file_names([run.system.name for run in runs]), runs, strict=True):
            durable.replace_file(target / f"{name}.trec", _trec(run, gold).encode())
            durable.replace_file(target / f"{name}.qrels", _qrels(run, gold).encode())
            durable.replace_file(target / f"{name}.jsonl", _with_text(run, gold).encode())
        described = json.dumps(_described(runs, gold, provenance), ensure_ascii=False, indent=1)
        durable.replace_file(target / "runs.json", f"{described}\n".encode())


def file_names(names: Sequence[str]) -> list[str]:
    """Return names that any file system takes, one for each system's, all different."""
    made: list[str] = []
    for name in names:
        plain = _UNSAFE.sub("_", name).strip(".") or "system"
        made.append(plain if plain not in made else f"{plain}-{len(made) + 1}")
    return made


def _trec(run: SystemRun, gold: Gold) -> str:
    tag = file_names([run.system.name])[0]
    return "".join(
        f"{_word(question.id)} Q0 {hit.chunk.id} {rank} {hit.score:.6f} {tag}\n"
        for question in gold.questions
        for rank, hit in enumerate(run.hits[question.id], start=1)
    )


def _qrels(run: SystemRun, gold: Gold) -> str:
    relevant = relevant_chunks(gold, run)
    return "".join(f"{_word(question)} 0 {chunk} 1\n" for question, chunks in relevant.items() for chunk in chunks)


def _word(identity: str) -> str:
    """The format separates by white space."""
    return re.sub(r"\s", "_", identity)


def _with_text(run: SystemRun, gold: Gold) -> str:
    return "".join(
        json.dumps(
            {"id": question.id, **run_line(run.hits[question.id]), "timings": dict(run.timings[question.id])},
            ensure_ascii=False,
        )
        + "\n"
        for question in gold.questions
    )


def _described(runs: Sequence[SystemRun], gold: Gold, provenance: Provenance) -> Mapping[str, object]:
    return {
        "gold": {"name": gold.name, "path": str(gold.path), "sha256": gold.sha256},
        "systems": {
            run.system.name: {
                **run.system.described(),
                "snapshot": run.index.tools.snapshot.name,
                "fingerprints": dict(run.index.tools.snapshot.manifest.fingerprints),
                "files": dict(run.index.tools.snapshot.manifest.files),
            }
            for run in runs
        },
        **dataclasses.asdict(provenance),
    }
