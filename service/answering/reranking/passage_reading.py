"""What rerankers have in common: passages go through a model in batches until somebody says stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from index.errors import WeightsCorrupt

_Model = TypeVar("_Model", bound=torch.nn.Module)


class ModelReranker(Generic[_Model]):
    """What every Reranker on a model of sentence-transformers has: its name, its place, and one reader at a time."""

    def __init__(self, model: _Model, *, name: str, batch_size: int, max_tokens: int) -> None:
        self._model = model
        self._name = name
        self._batch_size = batch_size
        self._max_tokens = max_tokens
        # A fast tokenizer keeps truncation as state and refuses a second borrower: one lock for it and the model.
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The model's name in the config."""
        return self._name

    @property
    def device(self) -> str:
        """Where the forward pass runs, ``cpu`` or ``cuda:0``."""
        return str(self._model.device)

    @property
    def max_tokens(self) -> int:
        """Longest input that is read, with the special tokens."""
        return self._max_tokens


def never() -> bool:
    """Nobody stops it."""
    return False


def scores_in_batches(
    passages: Sequence[str],
    read: Callable[[list[str]], np.ndarray],
    *,
    batch_size: int,
    stop: Callable[[], bool],
) -> np.ndarray:
    """(n,) float32: ``read`` scores each batch of passages that are not empty; ``stop`` is asked before every batch.

    n is less than all passages only where it was true. An empty passage gets one less than the lowest of the others.
    """
    written = [row for row, passage in enumerate(passages) if passage.strip()]
    found: list[float] = []
    for start in range(0, len(written), batch_size):
        if stop():
            break
        found.extend(read([passages[row] for row in written[start : start + batch_size]]).tolist())
    return with_empty(found, written, len(passages))


def with_empty(found: Sequence[float], written: Sequence[int], passages: int) -> np.ndarray:
    """(n,) float32: the scores that were found for the first of the rows ``written``, and the empty ones between them.

    n is the number of passages, or the first row that was to be read and was not. An empty passage gets one less than
    the lowest of the others.
    """
    done = written[len(found)] if len(found) < len(written) else passages
    scores = np.full(done, min(found, default=1.0) - 1.0, dtype=np.float32)
    scores[list(written[: len(found)])] = found
    return scores


def finite(scores: np.ndarray, name: str) -> np.ndarray:
    """The scores as float32; raises WeightsCorrupt where one is no number."""
    if not np.isfinite(scores).all():
        raise WeightsCorrupt(
            f"The reranker {name!r} computes scores that are no numbers.",
            hint="Check its weights, or run it on the CPU if it overflows in half precision; `none` does without.",
        )
    return np.asarray(scores, dtype=np.float32)


def longest_input(model: Any) -> int:
    """Tokens of the longest input that a model of sentence-transformers reads as it was saved."""
    positions = positions_of(model)
    return min(int(model.max_seq_length or positions), positions)


def positions_of(model: Any) -> int:
    """Tokens that a model of sentence-transformers has positions for, whatever its folder says it should be given.

    A folder's tokenizer may not say, or may count positions that are padding.
    """
    positions = getattr(model[0].config, "max_position_embeddings", None) or model.max_seq_length
    paddings = [
        module.position_embeddings.padding_idx
        for module in model.modules()
        if isinstance(getattr(module, "position_embeddings", None), torch.nn.Embedding)
    ]
    # RoBERTa and its kin number positions from the padding index on.
    return int(positions) - max((padding + 1 for padding in paddings if padding is not None), default=0)
