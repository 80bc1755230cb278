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
from service.answering.config import LANGUAGE_MODEL_RERANKERS, AnsweringConfig
from service.answering.generator import LanguageModel, TransformersModel
from service.answering.reranking.calibration import Calibration, load_calibration
from service.answering.reranking.colbert import is_colbert, open_colbert
from service.answering.reranking.cross_encoder import open_cross_encoder
from service.answering.reranking.language_model import (
    JUDGEMENT,
    JudgementReranker,
    LikelihoodReranker,
    ScoringModel,
)
from service.answering.reranking.passage_reading import never
from service.settings import Settings

__all__ = [
    "LANGUAGE_MODEL",
    "LANGUAGE_MODEL_RERANKERS",
    "LATE",
    "NO_RERANKER",
    "WITHOUT_MODEL",
    "Reranker",
    "calibration_of",
    "never",
    "open_reranker",
    "reranker_of",
]

NO_RERANKER = "none"
LATE = "late"
WITHOUT_MODEL = frozenset({NO_RERANKER, LATE})
"""Names for which no model is opened."""
LANGUAGE_MODEL = JUDGEMENT


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
    language_model: ScoringModel | None = None,
) -> Reranker:
    """Open the reranker of a name.

    ``lm`` is the yes or no of ``language_model``, ``lm-likelihood`` how likely it finds the question after a passage;
    any other name is a ColBERT checkpoint where its files are those of one, else a cross-encoder.

    ``cache`` is the folder of converted weights (index/weights.py), ``max_tokens`` the longest input: question and
    passage together, for a ColBERT checkpoint each of them. Raises ConfigInvalid for ``late`` and ``none``, which are
    no models, and for a model that cannot rerank; WeightsMissing and WeightsCorrupt where one is not there or not
    whole.
    """
    if name in WITHOUT_MODEL:
        raise ConfigInvalid(
            f"The reranker {name!r} is no model that could be opened.",
            hint=f"Name a cross-encoder, a ColBERT checkpoint or `{JUDGEMENT}`; `{LATE}` and `{NO_RERANKER}` need "
            "nothing opened.",
        )
    if name in LANGUAGE_MODEL_RERANKERS:
        return _language_model_reranker(name, language_model, max_tokens)
    resolved = weights.resolve(name, cache=cache)
    if resolved.kind == "unknown" and is_colbert(resolved):
        return open_colbert(resolved, device=device, batch_size=batch_size, max_tokens=max_tokens)
    return open_cross_encoder(name, cache=cache, device=device, batch_size=batch_size, max_tokens=max_tokens)


def _language_model_reranker(name: str, model: ScoringModel | None, max_tokens: int) -> Reranker:
    if model is None:
        raise WeightsMissing(
            f"The reranker `{name}` asks the language model, and none is loaded.",
            hint="Name one with answering.model, and run `asknotes models --fetch` if it is a bundled one.",
        )
    if name == JUDGEMENT:
        return JudgementReranker(model, max_tokens=max_tokens)
    return LikelihoodReranker(model, max_tokens=max_tokens)


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


def calibration_of(answering: AnsweringConfig) -> Calibration | None:
    """The configured reranker's calibration, None where none is configured; raises CalibrationInvalid."""
    path = answering.rerank_calibration
    return None if path is None else load_calibration(path.expanduser(), answering.reranker)
