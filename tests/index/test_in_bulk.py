"""Work done by threads comes back in order, lazily, and with its errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from index.in_bulk import in_order


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_the_order_of_the_items_whoever_is_first(workers: int) -> None:
    later = threading.Event()

    def slow_first(item: int) -> int:
        if item == 0 and workers > 1:
            assert later.wait(timeout=30)  # the first is done after the second
        if item == 1:
            later.set()
        return item * item

    assert list(in_order(slow_first, range(50), workers=workers)) == [item * item for item in range(50)]


def test_no_items_give_no_results() -> None:
    assert list(in_order(abs, [], workers=2)) == []


def test_only_some_items_are_begun_ahead_of_what_is_taken() -> None:
    begun: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1000):
            begun.append(item)
            yield item

    results = in_order(abs, items(), workers=2)
    assert begun == []
    assert [next(results) for _ in range(10)] == list(range(10))
    assert len(begun) < 30


def test_an_error_comes_where_its_result_would_and_nothing_else_is_begun() -> None:
    done: list[int] = []

    def fails(item: int) -> int:
        done.append(item)
        if item == 7:
            raise ValueError("seven")
        return item

    results = in_order(fails, range(1000), workers=3)
    assert [next(results) for _ in range(7)] == list(range(7))
    with pytest.raises(ValueError, match="seven"):
        next(results)
    assert max(done) < 30


def test_who_takes_no_more_has_no_more_begun() -> None:
    done: list[int] = []
    results = in_order(done.append, range(1000), workers=2)
    next(results)
    results.close()
    assert len(done) < 30
