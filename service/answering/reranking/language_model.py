"""The configured language model as a reranker: what it thinks of a passage, or of the question after a passage.

``lm``: the probability of its yes that a passage answers the question. Not what the model writes counts but the
probability of the next token, softmax over the two that it may say (Nogueira, Jiang & Lin 2020, "Document Ranking with
a Pretrained Sequence-to-Sequence Model").

``lm-likelihood``: how likely the question is as what somebody asks about the passage (Sachan et al. 2022, "Improving
Passage Retrieval with Zero-Shot Question Generation"), the mean log-probability of its tokens. No model needs to know
what it knows for that: it only has to write on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ingest.language import language_of
from service.answering.generator import Prompt
from service.answering.reranking.passage_reading import never, with_empty

JUDGEMENT = "lm"
LIKELIHOOD = "lm-likelihood"

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


# Instruction and request of lm-likelihood. The passage stands before the question, which is what is written on.
_ASKED_ABOUT = {
    "zh": Prompt("你根据一段笔记写出一个它能回答的问题，只写问题。", "笔记：\n{passage}\n\n请根据这段笔记写一个问题。"),
    "zh-Hant": Prompt(
        "你根據一段筆記寫出一個它能回答的問題，只寫問題。", "筆記：\n{passage}\n\n請根據這段筆記寫一個問題。"
    ),
    "en": Prompt(
        "You write a question that a passage of some notes answers. Write only the question.",
        "Passage:\n{passage}\n\nPlease write a question based on this passage.",
    ),
}


class ScoringModel(Protocol):
    """What this asks of a language model; service/answering/generator.TransformersModel fulfils it."""

    def count_tokens(self, text: str) -> int:
        """Tokens of a text."""

    def choice_probabilities(
        self, prompts: Sequence[Prompt], choices: Sequence[str], *, stop: Callable[[], bool]
    ) -> np.ndarray:
        """(n, choices): how likely each choice is to come next, among the choices, after the first n prompts."""

    def log_likelihoods(self, prompts: Sequence[Prompt], continuation: str, *, stop: Callable[[], bool]) -> np.ndarray:
        """(n,): the mean log-probability of the continuation's tokens after each of the first n prompts."""


class JudgementReranker:
    """A Reranker on a causal language model, one forward pass a passage; scores are probabilities."""

    name = JUDGEMENT

    def __init__(self, model: ScoringModel, *, max_tokens: int) -> None:
        self._model = model
        self._max_tokens = max_tokens

    def scores(self, question: str, passages: Sequence[str], *, stop: Callable[[], bool] = never) -> np.ndarray:
        """(n,) float32 in [0, 1] for the first n passages: P(yes) / (P(yes) + P(no)), 0 for an empty passage.

        ``stop`` is asked before every passage. Raises GenerationFailed where the model fails.
        """
        texts = _TEXTS[language_of(question)]
        asked, room = _room_beside(question, self._model, self._max_tokens)
        written = [row for row, passage in enumerate(passages) if passage.strip()]
        prompts = [
            Prompt(texts.instruction, texts.request.format(question=asked, passage=passage))
            for passage in _cut([passages[row] for row in written], room, self._model)
        ]
        yes = self._model.choice_probabilities(prompts, texts.choices, stop=stop)[:, 0]
        done = written[len(yes)] if len(yes) < len(written) else len(passages)
        scores = np.zeros(done, dtype=np.float32)
        scores[written[: len(yes)]] = yes
        return scores


class LikelihoodReranker:
    """A Reranker on a causal language model, one forward pass a passage; scores are mean log-probabilities."""

    name = LIKELIHOOD

    def __init__(self, model: ScoringModel, *, max_tokens: int) -> None:
        self._model = model
        self._max_tokens = max_tokens

    def scores(self, question: str, passages: Sequence[str], *, stop: Callable[[], bool] = never) -> np.ndarray:
        """(n,) float32 up to 0 for the first n passages: the mean of log P(token of the question | passage).

        An empty passage gets one less than the lowest of the others. ``stop`` is asked before every passage. Raises
        GenerationFailed where the model fails.
        """
        prompt = _ASKED_ABOUT[language_of(question)]
        asked, room = _room_beside(question, self._model, self._max_tokens)
        written = [row for row, passage in enumerate(passages) if passage.strip()]
        prompts = [
            Prompt(prompt.instruction, prompt.request.format(passage=passage))
            for passage in _cut([passages[row] for row in written], room, self._model)
        ]
        found = self._model.log_likelihoods(prompts, asked, stop=stop)
        return with_empty(found.tolist(), written, len(passages))


def _room_beside(question: str, model: ScoringModel, tokens: int) -> tuple[str, int]:
    """The question, cut to its share of the input, and the tokens that are left for a passage."""
    asked = cut_to_tokens(question, max(1, int(tokens * _QUESTION_SHARE)), model.count_tokens)
    return asked, tokens - model.count_tokens(asked)


def _cut(passages: Sequence[str], room: int, model: ScoringModel) -> list[str]:
    return [cut_to_tokens(passage, room, model.count_tokens) for passage in passages]


def cut_to_tokens(text: str, limit: int, count_tokens: Callable[[str], int]) -> str:
    """The longest beginning of ``text`` that a search by halves finds to have at most ``limit`` tokens."""
    if count_tokens(text) <= limit:
        return text
    kept = bisect_right(range(len(text)), limit, lo=1, key=lambda length: count_tokens(text[:length])) - 1
    return text[:kept]
