"""A killed re-index never harms what is served: every row of every part is looked at after each kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TRIALS = int(os.environ.get("ASKNOTES_KILL_TRIALS", "20"))


@pytest.mark.slow
def test_a_run_killed_at_any_moment_leaves_one_whole_version(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.ingest.killed_runs", str(tmp_path), str(TRIALS)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(reports) == TRIALS
    assert any(report["killed"] for report in reports)
    served = 0
    for report in reports:
        assert report["problem"] is None
        assert report["chunks"] == 6
        (version,) = report["versions"]
        assert served <= int(version) <= report["trial"]
        served = int(version)
        assert served == report["trial"] or report["killed"]
