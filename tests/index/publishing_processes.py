"""Runs in a process of its own (``python -m``), and forks: what happens to a data folder when publishers die.

Forking spares the seconds that every new interpreter takes to import FAISS and PyTorch. Every result is a line of JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from index.errors import IndexLocked
from index.publishing import SnapshotContent, publish, writing
from index.snapshot import open_current, snapshot_names
from tests.index.small_snapshots import CONFIG, TEXTS, content, publish_texts, texts_of

CRASHED, LOCKED, FAILED = 77, 3, 1
_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate"}


def crash_everywhere(folder: Path) -> None:
    """Publish again and again, each time with the process ending one file operation later, until none is left."""
    old, new = content(TEXTS[0]), content(*TEXTS)
    template = folder / "template"
    for _ in range(2):  # so that publishing has something to prune, too
        with writing(template):
            publish(template, old)
    operation, status = 0, CRASHED
    while status == CRASHED:
        operation += 1
        data = folder / "data"
        shutil.copytree(template, data)

        def publish_and_crash(at: int = operation, data: Path = data) -> None:
            exit_at_operation(at, under=data)
            with writing(data):
                publish(data, new)

        status = in_child(publish_and_crash)
        snapshot, problem = open_current(data, CONFIG)
        found = texts_of(snapshot)
        snapshot.close()
        recovered = publish_texts(data, "之后")
        report = {
            "status": status,
            "found": "old" if found == [TEXTS[0]] else "new" if found == list(TEXTS) else "mixture",
            "problem": problem and problem.message,
            "kept": snapshot.name in snapshot_names(data),
            "snapshots": len(snapshot_names(data)),
            "recovered": recovered == (data / "CURRENT").read_text().strip(),
            "strangers": [str(path) for path in stray_files(data)],
        }
        print(json.dumps(report), flush=True)  # noqa: T201 - what the test reads
        shutil.rmtree(data)


def race(folder: Path) -> None:
    """Eight publishers that start at the same instant, three times."""
    contents = [content(f"第{number}个进程写的。", *TEXTS) for number in range(8)]
    for _ in range(3):
        ready, go = os.pipe()
        children = []
        for each in contents:

            def publish_when_told(mine: SnapshotContent = each, ends: tuple[int, int] = (ready, go)) -> None:
                os.close(ends[1])
                os.read(ends[0], 1)  # returns when the parent closes its end
                with writing(folder):
                    publish(folder, mine)

            children.append(start_child(publish_when_told))
        os.close(ready)
        os.close(go)
        statuses = sorted(wait_for(child) for child in children)
        snapshot, problem = open_current(folder, CONFIG)
        texts_of(snapshot)
        snapshot.close()
        report = {"statuses": statuses, "name": int(snapshot.name), "problem": problem and problem.message}
        print(json.dumps(report), flush=True)  # noqa: T201 - what the test reads


def exit_at_operation(number: int, *, under: Path) -> None:
    """End this process, without any tidying up, at the start of its ``number``-th change of a file or of its fsync."""
    left, root = number, str(under)

    def count() -> None:
        nonlocal left
        left -= 1
        if not left:
            os._exit(CRASHED)

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        changes = event in _CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & 0o3)
        within = event in {"os.remove", "os.rmdir"} and arguments[1] != -1  # rmtree names what it removes by its folder
        if changes and (within or root in str(arguments[0])):
            count()

    def fsync(descriptor: int) -> None:
        count()
        really(descriptor)

    really = os.fsync
    os.fsync = fsync  # type: ignore[assignment]
    sys.addaudithook(hear)


def stray_files(data: Path) -> list[Path]:
    known = [data / name for name in ("CURRENT", "LOCK", "snapshots", "cache")]
    strangers = [path for path in data.iterdir() if path not in known]
    return strangers + [path for path in (data / "snapshots").iterdir() if path.name not in snapshot_names(data)]


def in_child(work: Callable[[], None]) -> int:
    return wait_for(start_child(work))


def start_child(work: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        work()
    except IndexLocked:
        os._exit(LOCKED)
    except BaseException:  # noqa: BLE001 - the parent's code must not go on in the child
        os._exit(FAILED)
    os._exit(0)


def wait_for(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    {"crash": crash_everywhere, "race": race}[sys.argv[1]](Path(sys.argv[2]))
