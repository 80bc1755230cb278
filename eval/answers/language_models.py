"""The configured language model for evaluations. Unlike the service, they refuse to do without one that is missing."""

from __future__ import annotations

from collections.abc import Callable

from transformers import AutoTokenizer

from index.errors import GenerationFailed
from service.language_model import open_language_model, resolved_language_model
from service.settings import Settings

__all__ = ["open_language_model", "token_counter"]


def token_counter(settings: Settings) -> Callable[[str], int] | None:
    """Count in the configured model's tokens without loading it; None and errors as ``open_language_model``."""
    resolved = resolved_language_model(settings)
    if resolved is None:
        return None
    try:
        tokenizer = AutoTokenizer.from_pretrained(resolved.location)
    except (OSError, ValueError, KeyError) as error:
        raise GenerationFailed(
            f"The tokenizer of {resolved.name!r} cannot be loaded: {error}", hint="Choose another answering.model."
        ) from error
    return lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])
