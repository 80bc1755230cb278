"""Rerankers: models that read a question and a passage together and say how well the one answers the other.

Late interaction (index/late.py) needs none of this: its vectors lie in the index. These read every candidate anew, so
they get few, and they cost what a forward pass of their model costs for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from index import weights
from index.errors import ConfigInvalid, WeightsMissing
from service.answering.cross_encoder import open_cross_encoder
from service.answering.generator import LanguageModel, TransformersModel
from service.answering.language_model_reranker import ChoosingModel, LanguageModelReranker
from service.settings import Settings

NO_RERANKER = "none"
LATE = "late"
LANGUAGE_MODEL = "lm"


def never() -> bool:
    """Nobody stops it."""
    return False


class Reranker(Protocol):
    """Scores passages for a question. Thread-safe: one question at a time, others wait for their turn."""

    @property
    def name(self) -> str:
        """The reranker's name in the config and in a request."""

    def scores(self, question: str, passages: Sequence[str], *, stop: Callable[[], bool] = never) -> np.ndarray:
        """(n,) float32 for the first n passages, higher is better; n is less than all only when ``stop()`` was true.

        Give the best candidates first. Question and passage are cut to what the model reads, never the question in
        favour of the passage; no length raises. An empty passage is not read and gets the lowest score.
        """


def open_reranker(
    name: str,
    *,
    cache: Path,
    device: str = "auto",
    batch_size: int = 16,
    max_tokens: int = 512,
    language_model: ChoosingModel | None = None,
) -> Reranker:
    """Open the reranker of a name: ``lm`` is the yes or no of ``language_model``, any other name a cross-encoder's.

    ``cache`` is the folder of converted weights (index/weights.py), ``max_tokens`` the longest input of question and
    passage together. Raises ConfigInvalid for ``late`` and ``none``, which are no models, and for a model that is no
    cross-encoder; WeightsMissing and WeightsCorrupt where a model is not there or not whole.
    """
    if name in (NO_RERANKER, LATE):
        raise ConfigInvalid(
            f"The reranker {name!r} is no model that could be opened.",
            hint=f"Name a cross-encoder or `{LANGUAGE_MODEL}`; `{LATE}` and `{NO_RERANKER}` need nothing opened.",
        )
    if name != LANGUAGE_MODEL:
        return open_cross_encoder(name, cache=cache, device=device, batch_size=batch_size, max_tokens=max_tokens)
    if language_model is None:
        raise WeightsMissing(
            f"The reranker `{LANGUAGE_MODEL}` asks the language model, and none is loaded.",
            hint="Name one with answering.model, and run `asknotes models --fetch` if it is a bundled one.",
        )
    return LanguageModelReranker(language_model, max_tokens=max_tokens)


def reranker_of(settings: Settings, name: str, model: LanguageModel | None) -> Reranker:
    """Open the reranker of a name with these settings; ``model`` is the loaded language model, if there is one."""
    answering = settings.answering
    return open_reranker(
        name,
        cache=weights.cache_folder(settings.index.models_cache),
        device=answering.device,
        batch_size=answering.rerank_batch_size,
        max_tokens=answering.rerank_max_tokens,
        language_model=model if isinstance(model, TransformersModel) else None,
    )
