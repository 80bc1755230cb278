"""Model work off the event loop: so many at once, so many waiting, and an end to it when the client leaves."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self, TypeVar

import anyio
import anyio.to_thread
from starlette.requests import Request

from service.http.errors import DeadlineExceeded, ServiceBusy

Result = TypeVar("Result")

Work = Callable[[threading.Event, float | None], Result]
"""Blocking work: is given the event that is set when nobody wants the result any more, and the seconds left."""


class ClientLeft(Exception):
    """The client closed the connection before its reply was ready."""


class WorkQueue:
    """Bounded room for blocking work: ``concurrency`` at once and ``queue`` waiting; beyond, ServiceBusy."""

    def __init__(self, *, concurrency: int, queue: int, retry_after_s: int) -> None:
        self._room = concurrency + queue
        self._inside = 0
        self._retry_after_s = retry_after_s
        self._turns = anyio.Semaphore(concurrency)
        self._threads = anyio.CapacityLimiter(concurrency)

    @property
    def inside(self) -> int:
        """How many requests are being worked on or waiting."""
        return self._inside

    def enter(self) -> Place:
        """Take a place, to be used once as a context manager; raises ServiceBusy when all are taken."""
        if self._inside >= self._room:
            raise ServiceBusy(
                f"{self._inside} requests are being worked on or waiting.",
                hint=f"Try again in {self._retry_after_s} s; `server.queue` sets how many may wait.",
                retry_after_s=self._retry_after_s,
            )
        self._inside += 1
        return Place(self)

    def leave(self) -> None:
        """Give one place back."""
        self._inside -= 1

    async def run(self, work: Work[Result], deadline_s: float | None) -> Result:
        """Wait for a turn and run ``work`` in a thread; raises DeadlineExceeded if the turn comes too late.

        When the awaiting task is cancelled the work's event is set, and the turn is kept until it returns.
        """
        left_s = await self._turn(deadline_s)
        try:
            return await self._in_thread(work, left_s)
        finally:
            self._turns.release()

    async def _turn(self, deadline_s: float | None) -> float | None:
        began = time.monotonic()
        with anyio.move_on_after(deadline_s) as wait:
            await self._turns.acquire()
        if wait.cancelled_caught:
            raise DeadlineExceeded(
                f"The deadline of {deadline_s} s passed before the question's turn came.",
                hint="Allow more time, or try again when less is going on.",
            )
        return None if deadline_s is None else max(deadline_s - (time.monotonic() - began), 0.001)

    async def _in_thread(self, work: Work[Result], left_s: float | None) -> Result:
        cancelled = threading.Event()
        with _bare_errors():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_set_when_cancelled, cancelled)
                result = await anyio.to_thread.run_sync(work, cancelled, left_s, limiter=self._threads)
                tasks.cancel_scope.cancel()
        return result


class Place:
    """One request's place in the queue."""

    def __init__(self, queue: WorkQueue) -> None:
        self._queue = queue

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.leave()

    async def run(self, work: Work[Result], *, deadline_s: float | None = None) -> Result:
        """Run work at its turn; see WorkQueue.run."""
        return await self._queue.run(work, deadline_s)

    async def run_for(self, request: Request, work: Work[Result], *, deadline_s: float | None = None) -> Result:
        """Run work for a client that waits for one reply; raises ClientLeft if it does not wait to the end."""
        with _bare_errors():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_cancel_when_client_leaves, request, tasks.cancel_scope)
                result = await self.run(work, deadline_s=deadline_s)
                tasks.cancel_scope.cancel()
                return result
        raise ClientLeft


async def _cancel_when_client_leaves(request: Request, scope: anyio.CancelScope) -> None:
    # the body has been read: the next thing to come is the end of the connection
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _set_when_cancelled(event: threading.Event) -> None:
    """Set the event as soon as the surrounding scope is cancelled, while the thread is still being waited for."""
    try:
        await anyio.sleep_forever()
    finally:
        event.set()


@contextlib.contextmanager
def _bare_errors() -> Iterator[None]:
    """Raise the only error of a task group as itself: the helpers beside the work never fail."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group.exceptions[0].__cause__
