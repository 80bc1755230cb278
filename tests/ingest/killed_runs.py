"""Runs in a process of its own (``python -m``), and forks: index runs that are killed at a random moment."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from index.config import IndexConfig
from index.snapshot import open_current
from ingest.config import IngestConfig
from ingest.pipeline import index_notes
from tests.index.small_snapshots import texts_of
from tests.toys import ToyEncoder

CONFIG, INGEST = IndexConfig(), IngestConfig()
NOTES = 6


def kill_runs(folder: Path, trials: int) -> None:
    """Change every note, start a run and kill it, again and again; each line of JSON is what was served then."""
    write(folder, 0)
    index(folder)
    began = time.monotonic()
    index_twice = folder / "timing"
    index(folder, index_twice)
    longest = time.monotonic() - began
    delays = random.Random(7)  # noqa: S311 - moments, not secrets
    for trial in range(1, trials + 1):
        write(folder, trial)
        child = os.fork()
        if not child:
            index(folder)
            os._exit(0)
        time.sleep(delays.uniform(0, 1.2 * longest))
        os.kill(child, signal.SIGKILL)
        killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        snapshot, problem = open_current(folder / "data", CONFIG)
        versions = {text.split("版")[1] for text in texts_of(snapshot)}
        snapshot.close()
        report = {"killed": killed, "versions": sorted(versions), "problem": problem and problem.message}
        print(json.dumps({"trial": trial, "chunks": len(snapshot.chunks), **report}), flush=True)  # noqa: T201


def write(folder: Path, version: int) -> None:
    (folder / "notes").mkdir(exist_ok=True)
    for number in range(NOTES):
        word = "甲乙丙丁戊己"[number]
        text = f"# {word}\n\n{word * 3}说的是第{number}件事，这是它的版{version}版，{word}和别的都不一样。\n"
        (folder / "notes" / f"{number}.md").write_text(text, encoding="utf-8")


def index(folder: Path, data: Path | None = None) -> None:
    index_notes([folder / "notes"], data or folder / "data", CONFIG, INGEST, encoder=ToyEncoder())


if __name__ == "__main__":
    kill_runs(Path(sys.argv[1]), int(sys.argv[2]))
