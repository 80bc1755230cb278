"""A reader's hold on a snapshot folder, and what the pruner sees of it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from index.shared_hold import SharedHold, removable

HOLD = """
import sys, time
from pathlib import Path
from index.shared_hold import SharedHold
hold = SharedHold(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def is_removable(folder: Path) -> bool:
    with removable(folder) as free:
        return free


def test_a_folder_is_free_when_its_last_reader_has_left(tmp_path: Path) -> None:
    assert is_removable(tmp_path)
    first, second = SharedHold(tmp_path), SharedHold(tmp_path)
    assert not is_removable(tmp_path)
    first.release()
    first.release()
    assert not is_removable(tmp_path)
    second.release()
    assert is_removable(tmp_path)


def test_a_hold_of_another_process_ends_when_that_is_killed(tmp_path: Path) -> None:
    reader = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == b"held\n"
    assert not is_removable(tmp_path)
    reader.kill()
    reader.communicate()
    assert is_removable(tmp_path)


def test_a_reader_that_comes_during_a_removal_waits_for_its_end(tmp_path: Path) -> None:
    held = threading.Event()

    def read() -> None:
        hold = SharedHold(tmp_path)
        held.set()
        hold.release()

    with removable(tmp_path) as free:
        assert free
        reader = threading.Thread(target=read)
        reader.start()
        assert not held.wait(0.05)
    assert held.wait(10)
    reader.join()


def test_what_is_not_there_cannot_be_held(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SharedHold(tmp_path / "missing")


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the folder of descriptors, which Path would add one to
    for _ in range(5):
        SharedHold(tmp_path).release()
        hold = SharedHold(tmp_path)
        assert not is_removable(tmp_path)
        hold.release()
        assert is_removable(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - see above
