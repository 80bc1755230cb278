"""Publishing: atomic whatever happens, one writer, old snapshots kept as long as someone needs them."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from index import durable
from index.errors import AsknotesError, DataFolderForeign, IndexLocked, StorageFailed
from index.file_lock import FileLock
from index.publishing import publish, writing
from index.snapshot import current_name, open_current, open_snapshot, snapshot_names
from tests.index.publishing_processes import CRASHED, LOCKED, stray_files
from tests.index.small_snapshots import CONFIG, TEXTS, content, publish_texts, texts_of

ROOT = Path(__file__).parents[2]

WRITE = """
import sys, time
from pathlib import Path
from index.file_lock import FileLock
lock = FileLock(Path(sys.argv[1]) / "LOCK")
assert lock.try_acquire()
print("writing", flush=True)
time.sleep(60)
"""


def served(data: Path) -> tuple[str, list[str], AsknotesError | None]:
    snapshot, problem = open_current(data, CONFIG)
    snapshot.close()
    return snapshot.name, texts_of(snapshot), problem


def run(what: str, folder: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.index.publishing_processes", what, str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_a_process_that_ends_at_any_operation_leaves_the_old_snapshot_or_the_new_one(tmp_path: Path) -> None:
    reports = run("crash", tmp_path)
    assert [report["status"] for report in reports] == [CRASHED] * (len(reports) - 1) + [0]
    assert len(reports) > 40
    found = [report["found"] for report in reports]
    assert found == sorted(found, reverse=True)  # old, old, …, new, new: there is one moment of publishing
    assert set(found) == {"old", "new"}
    for report in reports:
        assert report["problem"] is None
        assert report["recovered"]
        assert report["strangers"] == []
        # What was served stays for rollback, and not what a crashed run built and never published.
        assert report["kept"]
        assert report["snapshots"] == 2


@pytest.mark.slow
def test_eight_processes_at_the_same_instant_write_one_after_the_other_or_are_refused(tmp_path: Path) -> None:
    published = 0
    for report in run("race", tmp_path / "data"):
        assert set(report["statuses"]) <= {0, LOCKED}
        published += report["statuses"].count(0)
        assert published >= 1
        assert report["name"] == published
        assert report["problem"] is None


def test_everything_is_on_disk_before_it_is_relied_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[tuple[str, str]] = []

    def noting(kind: str, call: Any) -> Any:
        def noted(first: Any, *rest: Any) -> Any:
            path = Path(f"/proc/self/fd/{first}").readlink() if isinstance(first, int) else Path(first)
            events.append((kind, str(path.relative_to(tmp_path))))
            return call(first, *rest)

        return noted

    publish_texts(tmp_path, TEXTS[0])
    monkeypatch.setattr(os, "fsync", noting("sync", os.fsync))
    monkeypatch.setattr(Path, "rename", noting("rename", Path.rename))
    monkeypatch.setattr(Path, "replace", noting("replace", Path.replace))
    publish_texts(tmp_path, *TEXTS)
    building = "snapshots/.building-000002"
    named = events.index(("rename", building))
    files = {f"{building}/{path.name}" for path in (tmp_path / "snapshots/000002").iterdir()}
    assert {path for kind, path in events[: named - 1] if kind == "sync"} == files
    temporary = f"CURRENT.{os.getpid()}.tmp"
    assert events[named - 1 :] == [
        ("sync", building),
        ("rename", building),
        ("sync", "snapshots"),
        ("sync", temporary),
        ("replace", temporary),
        ("sync", "."),
    ]


def test_the_first_and_the_next_snapshot_have_numbers_in_order(tmp_path: Path) -> None:
    data = tmp_path / "not" / "there"
    assert publish_texts(data, TEXTS[0]) == "000001"
    assert publish_texts(data, *TEXTS) == "000002"
    assert served(data) == ("000002", list(TEXTS), None)


def test_one_snapshot_is_kept_behind_the_published_one(tmp_path: Path) -> None:
    for number in range(1, 5):
        publish_texts(tmp_path, f"第{number}次")
        assert snapshot_names(tmp_path) == [f"{n:06d}" for n in (number - 1, number) if n]


def test_a_held_snapshot_outlives_three_publishes_and_is_pruned_after_its_reader(tmp_path: Path) -> None:
    publish_texts(tmp_path, *TEXTS)
    reader = open_snapshot(tmp_path, "000001", CONFIG)
    for number in range(3):
        publish_texts(tmp_path, f"第{number}次")
        assert "000001" in snapshot_names(tmp_path)
    assert snapshot_names(tmp_path) == ["000001", "000003", "000004"]
    again = open_snapshot(tmp_path, "000001", CONFIG)
    assert texts_of(reader) == texts_of(again) == list(TEXTS)
    reader.close()
    publish_texts(tmp_path, "还有一个读者")
    assert "000001" in snapshot_names(tmp_path)
    again.close()
    publish_texts(tmp_path, "没有读者了")
    assert snapshot_names(tmp_path) == ["000005", "000006"]


def test_what_stands_behind_for_rollback_is_what_was_published_before(tmp_path: Path) -> None:
    """Not a snapshot that a run built and could not publish any more, though its number is higher."""
    publish_texts(tmp_path, *TEXTS)
    publish_texts(tmp_path, "建好了，没有发布")
    (tmp_path / "CURRENT").write_text("000001\n")
    assert publish_texts(tmp_path, "新的") == "000003"
    assert snapshot_names(tmp_path) == ["000001", "000003"]


def test_an_old_snapshot_that_cannot_be_removed_is_said_and_does_not_fail_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    publish_texts(tmp_path, "一")
    publish_texts(tmp_path, "二")

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patched:
        patched.setattr("index.publishing.shutil.rmtree", refuse)
        assert publish_texts(tmp_path, "三") == "000003"
    assert "could not be removed" in caplog.text
    assert served(tmp_path) == ("000003", ["三"], None)
    publish_texts(tmp_path, "四")
    assert stray_files(tmp_path) == []


def test_leftovers_of_a_killed_run_are_removed_by_the_next(tmp_path: Path) -> None:
    publish_texts(tmp_path, "一")
    for name in (".building-000002", ".removing-000009"):
        (tmp_path / "snapshots" / name).mkdir()
        (tmp_path / "snapshots" / name / "chunks.jsonl").write_text("{")
    (tmp_path / "CURRENT.123.tmp").write_text("0000")
    publish_texts(tmp_path, "二")
    assert stray_files(tmp_path) == []
    assert served(tmp_path) == ("000002", ["二"], None)


def test_a_second_writer_of_the_same_process_is_refused_too(tmp_path: Path) -> None:
    with writing(tmp_path), pytest.raises(IndexLocked, match=str(os.getpid())) as refusal, writing(tmp_path):
        pass
    assert "Wait" in refusal.value.hint


def test_the_lock_of_another_process_is_respected_until_that_is_killed(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": ":".join(sys.path)}
    owner = subprocess.Popen([sys.executable, "-c", WRITE, tmp_path], stdout=subprocess.PIPE, env=environment)
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"writing\n"
    with pytest.raises(IndexLocked, match=str(owner.pid)):
        publish_texts(tmp_path, "等一等")
    owner.kill()
    owner.communicate()
    assert publish_texts(tmp_path, "轮到我") == "000001"


def test_the_lock_is_free_after_a_run_that_failed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), writing(tmp_path):
        raise ZeroDivisionError
    with FileLock(tmp_path / "LOCK") as lock:
        assert lock.held


def test_a_folder_that_something_else_filled_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("mine")
    with pytest.raises(DataFolderForeign, match=r"thesis\.docx") as refusal:
        publish_texts(tmp_path, "x")
    assert "--data" in refusal.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_a_current_file_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "CURRENT").write_text("MANIFEST-000004\n")
    with pytest.raises(DataFolderForeign):
        publish_texts(tmp_path, "x")
    assert (tmp_path / "CURRENT").read_text() == "MANIFEST-000004\n"


def test_a_file_beside_a_published_index_does_no_harm(tmp_path: Path) -> None:
    publish_texts(tmp_path, "一")
    (tmp_path / "README").write_text("asknotes keeps its index here")
    assert publish_texts(tmp_path, "二") == "000002"


def test_a_data_folder_that_is_a_file_or_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for data in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(StorageFailed, match="data folder"):
            publish_texts(data, "x")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("function", ["write_bytes", "sync_file", "sync_folder", "rename", "replace_file"])
def test_a_disk_that_refuses_leaves_the_old_snapshot_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, number: int
) -> None:
    publish_texts(tmp_path, *TEXTS)

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(durable, function, refuse)
        with pytest.raises(StorageFailed, match="Writing the new snapshot failed") as refusal:
            publish_texts(tmp_path, "新")
    assert "still served" in refusal.value.hint
    assert served(tmp_path) == ("000001", list(TEXTS), None)
    publish_texts(tmp_path, "新")
    assert served(tmp_path)[1] == ["新"]
    assert stray_files(tmp_path) == []


@pytest.mark.parametrize("limit", [0, 10, 100, 200, 400, 700])
def test_files_that_cannot_grow_any_further_leave_the_old_snapshot_served(tmp_path: Path, limit: int) -> None:
    """The kernel refuses what goes beyond the limit to FAISS, numpy and us alike, as a full disk does."""
    publish_texts(tmp_path, *TEXTS)
    new = content(*TEXTS, "新")
    with writing(tmp_path):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(StorageFailed) as refusal:
                publish(tmp_path, new)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refusal.value.hint
    assert stray_files(tmp_path) == []
    assert current_name(tmp_path) == "000001"
    assert served(tmp_path) == ("000001", list(TEXTS), None)
