"""A lock between processes that dies with its owner: ``flock`` on a file that names the owner's process id.

The kernel drops the lock when its owner ends, however it ends, so a lock cannot be stale; the file itself stays
(removing it would let two processes hold locks on two files of one name). The process id in it is for messages only.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from index.errors import StorageFailed

_LONGEST_PID = 20


class FileLock:
    """An exclusive lock on ``path`` for one holder at a time, threads of one process included.

    Usable as a context manager (waits until it has the lock) or by ``try_acquire``. Works on local file systems;
    on a network file system it is as good as that system's ``flock``. A child made by ``os.fork`` without ``exec``
    shares the lock until the parent releases it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object has the lock."""
        return self._descriptor is not None

    def try_acquire(self) -> bool:
        """Take the lock if it is free; ``False`` if another holder has it. Raises ``StorageFailed``."""
        return self._take(fcntl.LOCK_EX | fcntl.LOCK_NB)

    def acquire(self, on_wait: Callable[[int | None], None] | None = None) -> None:
        """Take the lock, waiting for its holder to end.

        ``on_wait`` is called once, before waiting, with the holder's process id (``None`` if not known).
        Raises ``StorageFailed`` where the lock file cannot be made.
        """
        if self.try_acquire():
            return
        if on_wait is not None:
            on_wait(self.owner())
        self._take(fcntl.LOCK_EX)

    def release(self) -> None:
        """Give the lock back; nothing happens if it is not held."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            os.ftruncate(descriptor, 0)
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)

    def owner(self) -> int | None:
        """Process id that the lock file names, for messages; ``None`` if it names none."""
        try:
            text = self.path.read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            return None
        return int(text) if text.isascii() and text.isdigit() and len(text) < _LONGEST_PID else None

    def _take(self, operation: int) -> bool:
        if self.held:
            raise RuntimeError(f"{self.path} is already locked by this object")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _cannot_lock(self.path, error) from error
        try:
            fcntl.flock(descriptor, operation)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError as error:
            os.close(descriptor)
            raise _cannot_lock(self.path, error) from error
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


@contextmanager
def locked(path: Path, on_wait: Callable[[int | None], None] | None = None) -> Iterator[None]:
    """Hold the lock on ``path`` for a ``with`` block; ``on_wait`` as in ``FileLock.acquire``."""
    lock = FileLock(path)
    lock.acquire(on_wait)
    try:
        yield
    finally:
        lock.release()


def _cannot_lock(path: Path, error: OSError) -> StorageFailed:
    return StorageFailed(
        f"cannot lock {path}: {error.strerror or error}",
        hint="check that the folder exists, is writable and is not full, or name another one",
    )
