"""A reader's hold on a snapshot folder, by ``flock``: the pruner asks for the whole and finds it taken.

The kernel lets the hold go when its process dies, so a crashed reader never keeps a folder alive.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class SharedHold:
    """Shared lock on a folder from construction to ``release``."""

    def __init__(self, folder: Path) -> None:
        """Take hold, after a pruner that is at work; raises OSError where the folder cannot be opened."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let go; doing so twice is harmless."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        """Let go when the last reader of a replaced snapshot is done with it: nobody else knows when that is."""
        if hasattr(self, "_descriptor"):
            self.release()


@contextlib.contextmanager
def removable(folder: Path) -> Iterator[bool]:
    """Whether nobody holds the folder; while the block runs, nobody can take hold of it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)
