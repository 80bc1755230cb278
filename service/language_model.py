"""The configured language model, for work that cannot be done without it; the engine answers without (engine.py)."""

from __future__ import annotations

from collections.abc import Callable

from transformers import AutoTokenizer

from index import weights
from index.errors import GenerationFailed
from index.weights import ResolvedModel
from service.answering.config import NO_MODEL
from service.answering.generator import LanguageModel, TransformersModel
from service.settings import Settings


def open_language_model(settings: Settings) -> LanguageModel | None:
    """Load the configured model, None where none is configured; raises WeightsMissing, GenerationFailed."""
    resolved = _resolved(settings)
    answering = settings.answering
    return None if resolved is None else TransformersModel(resolved, device=answering.device, dtype=answering.dtype)


def token_counter(settings: Settings) -> Callable[[str], int] | None:
    """Count in the configured model's tokens without loading it; None and errors as ``open_language_model``."""
    resolved = _resolved(settings)
    if resolved is None:
        return None
    try:
        tokenizer = AutoTokenizer.from_pretrained(resolved.location)
    except (OSError, ValueError, KeyError) as error:
        raise GenerationFailed(
            f"The tokenizer of {resolved.name!r} cannot be loaded: {error}", hint="Choose another answering.model."
        ) from error
    return lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])


def _resolved(settings: Settings) -> ResolvedModel | None:
    if settings.answering.model == NO_MODEL:
        return None
    return weights.resolve(settings.answering.model, cache=weights.cache_folder(settings.index.models_cache))
