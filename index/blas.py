"""Products of small matrices on one thread.

numpy's BLAS takes a thread a core for each product and lets them spin for the next one. Between the many small products
of a search that gains nothing (docs/benchmarks.md), and on a machine that does anything else beside, encoding the next
question included, a product waits for a thread that waits for a core: the slowest searches took eight times as long.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def one_blas_thread() -> AbstractContextManager[object]:
    """Have every product of matrices in this block run on one thread; for the whole process, so keep it short."""
    limit: AbstractContextManager[object] = _controller().limit(limits=1)
    return limit


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")  # finding the libraries takes milliseconds
