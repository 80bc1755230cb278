"""How much time a question has left, by a clock that the tests set."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from service.answering import clock as module
from service.answering.clock import Clock


@dataclass
class Now:
    """Stands for the time module."""

    seconds: float = 100.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    stopped = Now()
    monkeypatch.setattr(module, "time", stopped)
    return stopped


def test_it_runs_out_after_its_seconds(now: Now) -> None:
    clock = Clock.of(5.0)
    assert (clock.seconds_left, clock.is_over()) == (5.0, False)
    now.seconds += 4.5
    assert (clock.seconds_left, clock.is_over()) == (0.5, False)
    now.seconds += 0.5
    assert (clock.seconds_left, clock.is_over()) == (0.0, True)
    now.seconds += 2.0
    assert (clock.seconds_left, clock.is_over()) == (-2.0, True)


def test_it_is_over_when_nobody_waits_any_more(now: Now) -> None:
    cancelled = threading.Event()
    clock = Clock.of(5.0, cancelled)
    stop = clock.before(5.0, reserved=0.0)
    assert not clock.is_over()
    assert not stop()
    cancelled.set()
    assert clock.is_over()
    assert stop()
    assert clock.seconds_left == 5.0


@pytest.mark.parametrize(
    ("seconds", "reserved", "allowed"),
    [(3.0, 4.0, 3.0), (8.0, 4.0, 6.0), (20.0, 0.0, 10.0)],
    ids=["its own time", "what is reserved", "the whole time"],
)
def test_a_step_is_over_after_its_time_or_where_that_of_the_others_begins(
    now: Now, seconds: float, reserved: float, allowed: float
) -> None:
    stop = Clock.of(10.0).before(seconds, reserved=reserved)
    now.seconds += allowed - 0.25
    assert not stop()
    now.seconds += 0.25
    assert stop()


@pytest.mark.parametrize("reserved", [10.0, 99.0])
def test_where_all_is_reserved_a_step_is_over_at_once(now: Now, reserved: float) -> None:
    assert Clock.of(10.0).before(3.0, reserved=reserved)()


def test_the_time_of_a_step_begins_when_the_step_does(now: Now) -> None:
    clock = Clock.of(10.0)
    now.seconds += 4.0
    stop = clock.before(3.0, reserved=0.0)
    now.seconds += 2.5
    assert not stop()
    now.seconds += 0.5
    assert stop()
    assert not clock.is_over()
