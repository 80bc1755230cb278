"""Short texts for retrieval: whole or not at all, written once, and only so many remembered."""

from __future__ import annotations

import time

import pytest

from service.answering.drafting import Drafts
from service.answering.generator import Prompt
from tests.service.answering.toy_language_model import ToyLanguageModel


def never() -> bool:
    return False


def write(drafts: Drafts, model: ToyLanguageModel, request: str = "词频？") -> str | None:
    return drafts.write(model, Prompt("写。", request), max_new_tokens=9, stop=never)


def test_the_pieces_are_one_text() -> None:
    assert write(Drafts(), ToyLanguageModel([" 词频", "会饱和。\n"])) == "词频会饱和。"


def test_no_more_is_written_than_allowed() -> None:
    model = ToyLanguageModel(["词"] * 99)
    assert write(Drafts(), model) == "词" * 9


def test_the_same_prompt_is_written_once_for_each_model() -> None:
    drafts, model = Drafts(), ToyLanguageModel(["词频会饱和。"])
    assert write(drafts, model) == write(drafts, model) == "词频会饱和。"
    assert len(model.prompts) == 1
    write(drafts, model, "别的？")
    assert len(model.prompts) == 2


def test_an_empty_text_is_remembered_too() -> None:
    drafts, model = Drafts(), ToyLanguageModel([])
    assert write(drafts, model) == write(drafts, model) == ""
    assert len(model.prompts) == 1


def test_the_prompt_that_was_longest_not_asked_for_is_forgotten() -> None:
    drafts, model = Drafts(kept=2), ToyLanguageModel(["好。"])
    for request in ("a", "b", "a", "c"):
        write(drafts, model, request)
    assert [prompt.request for prompt in model.prompts] == ["a", "b", "c"]
    write(drafts, model, "a")
    assert len(model.prompts) == 3
    write(drafts, model, "b")
    assert len(model.prompts) == 4


def test_what_the_deadline_cuts_off_is_neither_used_nor_remembered() -> None:
    drafts, model = Drafts(), ToyLanguageModel(["词频", "会饱和。"], seconds=0.05)
    end = time.monotonic() + 0.02
    prompt = Prompt("写。", "词频？")
    assert drafts.write(model, prompt, max_new_tokens=9, stop=lambda: time.monotonic() >= end) is None
    assert write(drafts, model) == "词频会饱和。"


def test_with_no_time_left_the_model_is_not_asked_but_what_is_known_is_said() -> None:
    drafts, model = Drafts(), ToyLanguageModel(["好。"])
    prompt = Prompt("写。", "词频？")
    assert drafts.write(model, prompt, max_new_tokens=9, stop=lambda: True) is None
    assert model.prompts == []
    write(drafts, model)
    assert drafts.write(model, prompt, max_new_tokens=9, stop=lambda: True) == "好。"


def test_a_model_that_fails_is_logged_and_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    drafts = Drafts()
    assert write(drafts, ToyLanguageModel(["词频", "会饱和。"], fails_after=1)) is None
    assert "The toy broke." in caplog.text
    assert write(drafts, ToyLanguageModel(["词频会饱和。"])) == "词频会饱和。"
