"""A system that searches through written questions can be measured like any other."""

from __future__ import annotations

import pytest

from eval.gold import read_gold
from eval.retrieval import evaluate_retrieval
from eval.systems import choose_systems
from index.errors import ConfigInvalid
from index.progress import Unheard
from service.answering.config import AnsweringConfig
from tests.eval.small_notes import TeaNotes
from tests.service.answering.toy_language_model import ToyLanguageModel

ASKED = "睡前喝茶怎么才不影响睡觉？"
WITH, WITHOUT = "hybrid+late@ingest.questions.enabled=true", "hybrid+late"


def measure(tea: TeaNotes, names: list[str], *, model: str) -> list[int]:
    """How many chunks each system's index holds."""
    settings = tea.settings.model_copy(update={"answering": AnsweringConfig(model=model, span_chars=0)})
    found, _ = evaluate_retrieval(read_gold(tea.gold), choose_systems(names), settings, notes=(), listener=Unheard())
    return [system.chunks for system in found.systems]


def test_the_model_writes_for_the_system_that_wants_it_and_once(tea: TeaNotes, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[ToyLanguageModel] = []

    def opening(settings: object) -> ToyLanguageModel:
        opened.append(ToyLanguageModel(ASKED))
        return opened[-1]

    monkeypatch.setattr("eval.indexes.open_language_model", opening)
    measure(tea, [WITHOUT], model="toy")
    assert opened == []
    with_questions, without = measure(tea, [WITH, WITHOUT], model="toy")
    assert with_questions == without == len(opened[0].prompts)
    measure(tea, [WITH], model="toy")
    assert len(opened) == 1


@pytest.mark.parametrize("stage", ["rewording", "hyde"])
def test_a_system_whose_question_is_worked_on_by_the_model_has_it(
    tea: TeaNotes, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    model = ToyLanguageModel("晚上喝红茶会睡不着吗")
    monkeypatch.setattr("eval.indexes.open_language_model", lambda _: model)
    measure(tea, [f"{WITHOUT}@answering.{stage}=true"], model="toy")
    assert model.prompts


def test_without_a_language_model_it_is_refused(tea: TeaNotes) -> None:
    with pytest.raises(ConfigInvalid):
        measure(tea, [WITH], model="none")
