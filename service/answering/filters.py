"""Which chunks a search may find."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from index.schema import Chunk
from service.answering.exchange import ChunkFilter


def allowed_rows(chunks: Sequence[Chunk], chunk_filter: ChunkFilter | None) -> np.ndarray | None:
    """Boolean mask (rows,) of what may be found, None for everything."""
    if chunk_filter is None:
        return None
    return np.fromiter((_passes(chunk, chunk_filter) for chunk in chunks), dtype=bool, count=len(chunks))


def _passes(chunk: Chunk, chunk_filter: ChunkFilter) -> bool:
    if chunk_filter.path is not None and not chunk.note.startswith(chunk_filter.path):
        return False
    if not set(chunk_filter.tags) <= set(chunk.tags):
        return False
    if chunk_filter.language is not None and chunk.language != chunk_filter.language:
        return False
    return _in_dates(chunk.date, chunk_filter.date_from, chunk_filter.date_to)


def _in_dates(date: str | None, first: str | None, last: str | None) -> bool:
    if first is None and last is None:
        return True
    if date is None:
        return False
    # ISO dates compare as text; a bound without a time covers the whole day.
    return (first is None or date >= first) and (last is None or date[: len(last)] <= last)
