from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from index.errors import StorageFailed
from index.file_lock import FileLock, locked

HOLD = """
import sys
from pathlib import Path
from index.file_lock import FileLock
lock = FileLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""
COUNT = """
import sys, time
from pathlib import Path
from index.file_lock import locked
counter = Path(sys.argv[2])
for _ in range(5):
    with locked(Path(sys.argv[1])):
        value = int(counter.read_text())
        time.sleep(0.002)
        counter.write_text(str(value + 1))
"""


def start(script: str, *arguments: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def start_holder(path: Path) -> subprocess.Popen[str]:
    holder = start(HOLD, path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_lock_has_one_holder_and_names_it(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.try_acquire()
    assert not second.try_acquire()
    assert second.owner() == os.getpid()
    first.release()
    assert second.owner() is None
    assert second.try_acquire()
    second.release()


def test_another_process_holds_it_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = start_holder(path)
    lock = FileLock(path)
    assert not lock.try_acquire()
    assert lock.owner() == holder.pid
    end(holder)  # SIGKILL: it cannot tidy up
    assert lock.try_acquire()
    assert lock.owner() == os.getpid()
    lock.release()


def test_who_waits_is_told_for_whom_and_gets_it_when_the_owner_dies(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = start_holder(path)
    waited_for: list[int | None] = []

    def kill_owner(owner: int | None) -> None:
        waited_for.append(owner)
        threading.Timer(0.1, holder.kill).start()

    with locked(path, kill_owner):
        assert FileLock(path).owner() == os.getpid()
    assert waited_for == [holder.pid]
    holder.communicate()


def test_eight_processes_at_once_never_overlap(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    workers = [start(COUNT, tmp_path / "lock", counter) for _ in range(8)]
    for worker in workers:
        worker.communicate(timeout=60)
    assert [worker.returncode for worker in workers] == [0] * 8
    assert counter.read_text() == "40"


def test_the_lock_is_released_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "lock"):
        raise ZeroDivisionError
    lock = FileLock(tmp_path / "lock")
    assert lock.try_acquire()
    lock.release()
    lock.release()  # once more does nothing
    assert not lock.held


def test_taking_a_lock_twice_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with FileLock(tmp_path / "lock") as lock, pytest.raises(RuntimeError, match="already locked"):
        lock.try_acquire()


@pytest.mark.parametrize("content", ["", "no number", "9" * 40, "²"])
def test_a_lock_file_with_other_content_names_nobody(tmp_path: Path, content: str) -> None:
    path = tmp_path / "lock"
    path.write_text(content)
    assert FileLock(path).owner() is None


def test_a_place_where_no_file_can_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    attempts: list[Callable[[], object]] = [
        FileLock(tmp_path / "file" / "lock").try_acquire,
        FileLock(tmp_path).try_acquire,  # a folder
    ]
    for attempt in attempts:
        with pytest.raises(StorageFailed, match="cannot lock"):
            attempt()
