"""What the language model is told, and what is said when the notes do not say: one text a language.

Notes and earlier messages stand in the request, as data, never in the instruction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.answering.context import Sentence
from service.answering.exchange import Role, Turn
from service.answering.generator import Prompt

_TURN_CHARS = 200
"""How much of an earlier message is shown: what was talked about stands at its beginning."""


@dataclass(frozen=True, slots=True)
class _Texts:
    instruction: str
    request: str
    abstention: str
    greeting: str
    refusals: tuple[str, ...]
    hypothesis: str
    rewriting: str
    conversation: str
    rewording: str
    translation: str
    passage: str
    questions: str
    roles: Mapping[Role, str]


_TEXTS = {
    "zh": _Texts(
        instruction="你根据给出的笔记回答问题。只用笔记里的内容，用中文写两三句完整的话，不要重复问题，不要编造。",
        request="笔记：\n{passages}\n\n问题：{question}",
        abstention="笔记里没有找到能回答这个问题的内容。",
        greeting="我只根据你的笔记回答问题：问一个笔记里写过的内容吧。",
        refusals=("没有提到", "没有提及", "没有说明", "未提及", "未提到", "没有相关", "无法回答", "无法确定"),
        hypothesis="针对问题写一小段教科书式的解答，一两句完整的话，直接说内容，不要重复问题，不要分点。",
        rewriting="把最后的追问改写成一个不看对话也能懂的完整问题，补上追问所指的东西。只写改写后的问题，不要回答它。",
        conversation="对话：\n{turns}\n\n追问：{question}\n\n完整问题：",
        rewording="换 {number} 种说法问同一个问题：用别的词，意思不变。一行一个，只写问题，不要回答，不要编号。",
        translation="把问题翻译成简体中文。只写译文，不要回答问题。",
        passage="笔记：\n{passage}",
        questions="你替不知道术语的人提问：用日常的话写 {number} 个不同的问题，答案要在给出的笔记里。"
        "一行一个，只写问题，不要答案，不要编号，不要照抄笔记。",
        roles={"user": "用户", "assistant": "助手"},
    ),
    "zh-Hant": _Texts(
        instruction="你根據給出的筆記回答問題。只用筆記裡的內容，用繁體中文寫兩三句完整的話，不要重複問題，不要編造。",
        request="筆記：\n{passages}\n\n問題：{question}",
        abstention="筆記裡沒有找到能回答這個問題的內容。",
        greeting="我只根據你的筆記回答問題：問一個筆記裡寫過的內容吧。",
        refusals=("沒有提到", "沒有提及", "沒有說明", "未提及", "未提到", "沒有相關", "無法回答", "無法確定"),
        hypothesis="針對問題用繁體中文寫一小段教科書式的解答，一兩句完整的話，直接說內容，不要重複問題，不要分點。",
        rewriting="把最後的追問用繁體中文改寫成一個不看對話也能懂的完整問題，補上追問所指的東西。只寫改寫後的問題，不要回答它。",
        conversation="對話：\n{turns}\n\n追問：{question}\n\n完整問題：",
        rewording="用繁體中文換 {number} 種說法問同一個問題：用別的詞，意思不變。一行一個，只寫問題，不要回答或編號。",
        translation="把問題翻譯成繁體中文。只寫譯文，不要回答問題。",
        passage="筆記：\n{passage}",
        questions="你替不知道術語的人提問：用繁體中文和日常的話寫 {number} 個不同的問題，答案要在給出的筆記裡。"
        "一行一個，只寫問題，不要答案，不要編號，不要照抄筆記。",
        roles={"user": "用戶", "assistant": "助手"},
    ),
    "en": _Texts(
        instruction="You answer questions from the given notes. Use only what the notes say. Write two or three "
        "complete sentences in English. Do not repeat the question and do not make anything up.",
        request="Notes:\n{passages}\n\nQuestion: {question}\nAnswer in English:",
        abstention="The notes do not say anything that answers this question.",
        greeting="I answer questions from your notes only: ask about something that stands in them.",
        refusals=(
            "do not mention",
            "does not mention",
            "not mentioned",
            "not provide",
            "no information",
            "cannot answer",
        ),
        hypothesis="Write a short passage, as a textbook would have it, that answers the question: one or two complete "
        "sentences in English. State the content directly. Do not repeat the question and do not use a list.",
        rewriting="Rewrite the follow-up as one complete question that can be understood without the conversation: say "
        "what it refers to. Write only the rewritten question, in English, and do not answer it.",
        conversation="Conversation:\n{turns}\n\nFollow-up: {question}\n\nComplete question:",
        rewording="Ask the same question in {number} other ways, in English: other words, same meaning. One a line, "
        "questions only, without answers or numbers.",
        translation="Translate the question into English. Write only the translation and do not answer the question.",
        passage="Note:\n{passage}",
        questions="You ask for people who do not know the technical terms: write {number} different questions in plain "
        "English whose answers stand in the given note. One a line, questions only, without answers or numbers. Do not "
        "copy the note.",
        roles={"user": "User", "assistant": "Assistant"},
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


def hypothesis_prompt(question: str, language: str) -> Prompt:
    """The prompt for a hypothetical answer, written without the notes (HyDE)."""
    return Prompt(instruction=_TEXTS[language].hypothesis, request=question)


def rewriting_prompt(question: str, history: Sequence[Turn], language: str) -> Prompt:
    """The prompt for a question that stands alone, from a follow-up and the messages before it, oldest first."""
    texts = _TEXTS[language]
    turns = "\n".join(f"{texts.roles[turn.role]}: {_one_line(turn.content)}" for turn in history)
    return Prompt(instruction=texts.rewriting, request=texts.conversation.format(turns=turns, question=question))


def rewording_prompt(question: str, language: str, number: int) -> Prompt:
    """The prompt for the same question in ``number`` other ways, one a line (multi-query)."""
    return Prompt(instruction=_TEXTS[language].rewording.format(number=number), request=question)


def translation_prompt(question: str, to: str) -> Prompt:
    """The prompt for a question in another language."""
    return Prompt(instruction=_TEXTS[to].translation, request=question)


def passage_questions_prompt(passage: str, language: str, number: int) -> Prompt:
    """The prompt for ``number`` questions that a passage of the notes answers, one a line (document expansion)."""
    texts = _TEXTS[language]
    return Prompt(texts.questions.format(number=number), texts.passage.format(passage=passage))


def _one_line(message: str) -> str:
    return " ".join(message.split())[:_TURN_CHARS]


def abstention(language: str) -> str:
    """What is said when the notes do not say."""
    return _TEXTS[language].abstention


def greeting(language: str) -> str:
    """What is said to somebody who greets or thanks and asks the notes nothing."""
    return _TEXTS[language].greeting


def is_refusal(sentence: str, language: str) -> bool:
    """Whether a written sentence says that the notes do not say."""
    return any(phrase in sentence.casefold() for phrase in _TEXTS[language].refusals)
