"""One function over many items in threads, the results in the items' order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_AHEAD = 4  # items begun for each worker: enough that none waits, and few enough to be held in memory


def in_order(
    function: Callable[[_Item], _Result], items: Iterable[_Item], *, workers: int
) -> Generator[_Result, None, None]:
    """Yield ``function`` of each item in order, computed by so many threads; lazily, some items ahead.

    An error is raised where its result would have been; what was begun is finished first, nothing else is begun.
    """
    with ThreadPoolExecutor(max_workers=workers) as pool:
        begun: deque[Future[_Result]] = deque()
        for item in items:
            begun.append(pool.submit(function, item))
            if len(begun) >= _AHEAD * workers:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
