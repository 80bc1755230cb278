"""The configured language model, for work that cannot be done without it; the engine answers without (engine.py)."""

from __future__ import annotations

from index import weights
from index.weights import ResolvedModel
from service.answering.config import NO_MODEL
from service.answering.generator import LanguageModel, TransformersModel
from service.settings import Settings


def open_language_model(settings: Settings) -> LanguageModel | None:
    """Load the configured model, None where none is configured; raises WeightsMissing, GenerationFailed."""
    resolved = resolved_language_model(settings)
    answering = settings.answering
    return None if resolved is None else TransformersModel(resolved, device=answering.device, dtype=answering.dtype)


def resolved_language_model(settings: Settings) -> ResolvedModel | None:
    """Where the configured model lies, None where none is configured; raises WeightsMissing."""
    if settings.answering.model == NO_MODEL:
        return None
    return weights.resolve(settings.answering.model, cache=weights.cache_folder(settings.index.models_cache))
