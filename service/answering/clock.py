"""How much time a question has left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """When a question has to be done with, by the monotonic clock, and whether somebody still waits for it."""

    end: float
    cancelled: threading.Event | None = None

    @classmethod
    def of(cls, seconds: float, cancelled: threading.Event | None = None) -> Clock:
        """A clock that runs out so many seconds from now."""
        return cls(time.monotonic() + seconds, cancelled)

    @property
    def seconds_left(self) -> float:
        """Seconds until it runs out, negative afterwards."""
        return self.end - time.monotonic()

    def is_over(self) -> bool:
        """Whether it ran out, or nobody waits any more."""
        return self.seconds_left <= 0 or (self.cancelled is not None and self.cancelled.is_set())

    def before(self, seconds: float, *, reserved: float) -> Callable[[], bool]:
        """Whether a step that may take so long from now on is over; it leaves ``reserved`` seconds to the others."""
        end = min(time.monotonic() + seconds, self.end - reserved)
        return lambda: time.monotonic() >= end or self.is_over()
