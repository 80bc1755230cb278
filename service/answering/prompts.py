"""What the language model is told, and what is said when the notes do not say: one text a language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.answering.context import Sentence
from service.answering.generator import Prompt


@dataclass(frozen=True, slots=True)
class _Texts:
    instruction: str
    request: str
    abstention: str
    refusals: tuple[str, ...]


_TEXTS = {
    "zh": _Texts(
        instruction="你根据给出的笔记回答问题。只用笔记里的内容，用中文写两三句完整的话，不要重复问题，不要编造。",
        request="笔记：\n{passages}\n\n问题：{question}",
        abstention="笔记里没有找到能回答这个问题的内容。",
        refusals=("没有提到", "没有提及", "没有说明", "未提及", "未提到", "没有相关", "无法回答", "无法确定"),
    ),
    "zh-Hant": _Texts(
        instruction="你根據給出的筆記回答問題。只用筆記裡的內容，用繁體中文寫兩三句完整的話，不要重複問題，不要編造。",
        request="筆記：\n{passages}\n\n問題：{question}",
        abstention="筆記裡沒有找到能回答這個問題的內容。",
        refusals=("沒有提到", "沒有提及", "沒有說明", "未提及", "未提到", "沒有相關", "無法回答", "無法確定"),
    ),
    "en": _Texts(
        instruction="You answer questions from the given notes. Use only what the notes say. Write two or three "
        "complete sentences in English. Do not repeat the question and do not make anything up.",
        request="Notes:\n{passages}\n\nQuestion: {question}\nAnswer in English:",
        abstention="The notes do not say anything that answers this question.",
        refusals=(
            "do not mention",
            "does not mention",
            "not mentioned",
            "not provide",
            "no information",
            "cannot answer",
        ),
    ),
}


def build_prompt(question: str, passages: Sequence[Sentence], language: str) -> Prompt:
    """The prompt for a question: the chosen sentences under their headings, best chunk first, then the question."""
    texts = _TEXTS[language]
    blocks: dict[str, list[str]] = {}
    for passage in passages:
        heading = passage.chunk.heading[-1] if passage.chunk.heading else passage.chunk.title
        blocks.setdefault(passage.chunk.id, [f"【{heading}】"] if heading else []).append(passage.text.strip())
    shown = "\n\n".join("\n".join(lines) for lines in blocks.values())
    return Prompt(instruction=texts.instruction, request=texts.request.format(passages=shown, question=question))


def abstention(language: str) -> str:
    """What is said when the notes do not say."""
    return _TEXTS[language].abstention


def is_refusal(sentence: str, language: str) -> bool:
    """Whether a written sentence says that the notes do not say."""
    return any(phrase in sentence.casefold() for phrase in _TEXTS[language].refusals)
