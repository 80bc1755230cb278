"""Writes that survive a crash: every byte on disk before its name, every name on disk before it is relied on.

All writing of snapshots goes through these few functions, so that a crash test can stop the process at each
of them in turn.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from index.errors import StorageFailed


def write_bytes(path: Path, content: bytes) -> None:
    """Write a new file and fsync it; raises FileExistsError rather than overwrite."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def make_folder(path: Path) -> None:
    """Make a folder, unless it is there, and fsync the one that holds it."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Fsync a file that a library wrote."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Fsync a folder, so that the names in it are on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(source: Path, target: Path) -> None:
    """Rename and fsync the folder that holds the new name."""
    source.rename(target)
    sync_folder(target.parent)


def replace_file(path: Path, content: bytes) -> None:
    """Replace a small file atomically: the old content or the new one, never a mixture."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        write_bytes(temporary, content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Turn the operating system's refusals into StorageFailed with a remedy.

    ``doing`` completes "… failed", for instance "Writing the new snapshot".
    """
    try:
        yield
    except OSError as error:
        raise StorageFailed(f"{doing} failed: {error}", hint=_remedy(error)) from error


def _remedy(error: OSError) -> str:
    kept = "What was published before is untouched and still served."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full: free some space or choose another folder with --data, and run it again. {kept}"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"The folder cannot be written: check its owner and rights, or choose another with --data. {kept}"
    return f"Check the disk (is it full?) and run it again. {kept}"
