from __future__ import annotations

from pathlib import Path

import pytest

from index.errors import AsknotesError
from service.answering.config import NO_MODEL, AnsweringConfig
from service.language_model import open_language_model, token_counter
from service.settings import Settings
from tests.service.answering.tiny_language_model import tiny_language_model


def configured(model: object) -> Settings:
    return Settings(answering=AnsweringConfig(model=str(model), device="cpu", dtype="float32"))


def test_tokens_are_those_of_the_configured_model(tmp_path: Path) -> None:
    tiny_language_model(tmp_path)
    settings = configured(tmp_path)
    count, model = token_counter(settings), open_language_model(settings)
    assert count is not None
    assert model is not None
    assert count("abc de") == model.count_tokens("abc de") == 6


def test_no_model_is_none() -> None:
    assert token_counter(configured(NO_MODEL)) is None
    assert open_language_model(configured(NO_MODEL)) is None


def test_a_model_that_is_missing_is_an_error_and_not_none(tmp_path: Path) -> None:
    for opened in (token_counter, open_language_model):
        with pytest.raises(AsknotesError):
            opened(configured(tmp_path / "nothing"))
