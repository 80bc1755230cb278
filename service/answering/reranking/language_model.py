"""The configured language model as a reranker: the probability of its yes that a passage answers the question.

Not what the model writes counts but the probability of the next token, softmax over the two that it may say (Nogueira,
Jiang & Lin 2020, "Document Ranking with a Pretrained Sequence-to-Sequence Model").
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ingest.language import language_of
from service.answering.generator import Prompt

_QUESTION_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class _Texts:
    instruction: str
    request: str
    choices: tuple[str, str]
    """Yes, no."""


# The question stands before the passage: what all passages of a question have in common is read once.
_TEXTS = {
    "zh": _Texts(
        instruction="你判断一段笔记能不能回答一个问题，只回答“是”或“否”。",
        request="问题：{question}\n\n笔记：\n{passage}\n\n这段笔记能回答上面的问题吗？只回答“是”或“否”。",
        choices=("是", "否"),
    ),
    "zh-Hant": _Texts(
        instruction="你判斷一段筆記能不能回答一個問題，只回答「是」或「否」。",
        request="問題：{question}\n\n筆記：\n{passage}\n\n這段筆記能回答上面的問題嗎？只回答「是」或「否」。",
        choices=("是", "否"),
    ),
    "en": _Texts(
        instruction="You judge whether a passage of some notes answers a question. Say only Yes or No.",
        request="Question: {question}\n\nPassage:\n{passage}\n\nDoes the passage answer the question? Yes or No:",
        choices=("Yes", "No"),
    ),
}


class ChoosingModel(Protocol):
    """What this asks of a language model; service/answering/generator.TransformersModel fulfils it."""

    def count_tokens(self, text: str) -> int:
        """Tokens of a text."""

    def choice_probabilities(
        self, prompts: Sequence[Prompt], choices: Sequence[str], *, stop: Callable[[], bool]
    ) -> np.ndarray:
        """(n, choices): how likely each choice is to come next, among the choices, after the first n prompts."""


class LanguageModelReranker:
    """A Reranker on a causal language model, one forward pass a passage; scores are probabilities."""

    name = "lm"

    def __init__(self, model: ChoosingModel, *, max_tokens: int) -> None:
        self._model = model
        self._question_tokens = max(1, int(max_tokens * _QUESTION_SHARE))
        self._max_tokens = max_tokens

    def scores(self, question: str, passages: Sequence[str], *, stop: Callable[[], bool] = lambda: False) -> np.ndarray:
        """(n,) float32 in [0, 1] for the first n passages: P(yes) / (P(yes) + P(no)), 0 for an empty passage.

        ``stop`` is asked before every passage. Raises GenerationFailed where the model fails.
        """
        texts = _TEXTS[language_of(question)]
        asked = cut_to_tokens(question, self._question_tokens, self._model.count_tokens)
        room = self._max_tokens - self._model.count_tokens(asked)
        written = [row for row, passage in enumerate(passages) if passage.strip()]
        prompts = [
            _prompt(texts, asked, cut_to_tokens(passages[row], room, self._model.count_tokens)) for row in written
        ]
        yes = self._model.choice_probabilities(prompts, texts.choices, stop=stop)[:, 0]
        done = written[len(yes)] if len(yes) < len(written) else len(passages)
        scores = np.zeros(done, dtype=np.float32)
        scores[written[: len(yes)]] = yes
        return scores


def cut_to_tokens(text: str, limit: int, count_tokens: Callable[[str], int]) -> str:
    """The longest beginning of ``text`` that a search by halves finds to have at most ``limit`` tokens."""
    if count_tokens(text) <= limit:
        return text
    kept = bisect_right(range(len(text)), limit, lo=1, key=lambda length: count_tokens(text[:length])) - 1
    return text[:kept]


def _prompt(texts: _Texts, question: str, passage: str) -> Prompt:
    return Prompt(texts.instruction, texts.request.format(question=question, passage=passage))
