"""Whether a question that a language model wrote about a passage is fit for use: what a program can tell."""

from __future__ import annotations

import re
from collections.abc import Sequence

from index.normalise import normalise
from index.tokenizer import Tokenizer
from ingest.language import language_of

_SHORTEST = 6  # letters and digits
_LONGEST = {"zh": 60, "zh-Hant": 60, "en": 160}
_LONGEST_COPY = 0.6  # of the question's characters in one title
_DUPLICATE = 0.7  # Jaccard overlap of two questions' character bigrams
_ENDS_LIKE_A_QUESTION = re.compile(r"[?？]$")
_ASKS = re.compile(
    r"什么|什麼|谁|誰|哪|几|幾|多[少大长長久高热熱深快远遠重]|怎么|怎麼|怎样|怎樣|如何|为何|為何|为什么|為什麼|是否|吗|嗎|呢|有没有|有沒有|能不能|会不会|會不會|是不是|要不要|"
    r"\b(?:what|who|whom|whose|which|when|where|why|how|does|do|did|is|are|was|were|can|could|should|will|would)\b",
    re.IGNORECASE,
)
_POINTS_AT_TEXT = re.compile(
    r"这句|這句|这段|這段|这篇|這篇|这条|這條|本文|上文|文中|原文|笔记中|筆記中|笔记里|筆記裡|根据笔记|根據筆記|句子|段落|材料|以上|上述|"
    r"\b(?:the|this|that) (?:sentence|passage|text|note|notes|statement|excerpt|paragraph|author)\b",
    re.IGNORECASE,
)
_OPENS_WITH_POINTER = re.compile(
    r"(?:它|他|这(?!种情况)|那|此|其(?!实|中)|該|该|這)|(?:it|this|that|these|those|they)\b", re.IGNORECASE
)
_ASKS_NOTHING = re.compile(
    r"你(?:对|對|觉得|覺得|认为|認為|怎么看|怎麼看|有什么|有什麼|了解|知道)|看法|想法|"
    r"\b(?:do you think|your opinion|you know about)\b",
    re.IGNORECASE,
)
# "1. ", "2、", "问题3：", "1. Q: ": not the beginning of "3D" or "1.5B".
_BEFORE_QUESTION = re.compile(
    r"(?:\s*(?:(?:问题|問題|问|問|Q|Question)\s*\d*\s*[:：.]|[(（]?\d{1,2}[.)、）](?!\d)|[-*+•](?=\s)))+\s*",
    re.IGNORECASE,
)
_HAN = re.compile(r"[\u3400-\u9fff]")
_FUNCTION_CHARACTERS = frozenset(
    "的是在有和中了不为為什么麼怎如何哪些多少几幾个個会會能要用时時对對上下这這那把被从從到与與或"
)
_AROUND = " \t\"'“”‘’「」『』*`"


def plain_question(line: str) -> str:
    """Return the question in a line that a model wrote, without label, number and quotes; up to its question mark."""
    mark = _BEFORE_QUESTION.match(line)
    question = (line[mark.end() :] if mark else line).strip(_AROUND)
    ends = [question.find(mark) for mark in "?？" if mark in question]
    return question[: min(ends) + 1] if ends else question


def question_fault(
    question: str, passage: str, titles: Sequence[str], accepted: Sequence[str], tokenizer: Tokenizer, *, language: str
) -> str:
    """Why a question about a passage under ``titles`` may not stand beside those ``accepted``; empty where it may.

    ``language`` is the passage's; Traditional and Simplified Chinese, which short questions do not tell apart, are one.
    """
    letters = _letters(question)
    reasons = {
        "not a question": not (_ENDS_LIKE_A_QUESTION.search(question) and _ASKS.search(question)),
        "too short": len(letters) < _SHORTEST,
        "too long": len(question) > _LONGEST[language],
        "in another language": _is_english(language_of(question)) != _is_english(language),
        "points at the text": bool(_POINTS_AT_TEXT.search(question) or _OPENS_WITH_POINTER.match(question)),
        "asks for an opinion": bool(_ASKS_NOTHING.search(question)),
        "a copy of its heading": _repeats_title(letters, titles),
        "says nothing of its sentence": not _is_about(question, passage, tokenizer),
        "a duplicate": any(_overlap(letters, _letters(other)) >= _DUPLICATE for other in accepted),
    }
    return next((reason for reason, applies in reasons.items() if applies), "")


def _is_about(question: str, passage: str, tokenizer: Tokenizer) -> bool:
    """Whether it shares a term with its passage, or two Chinese characters that carry a meaning: 冻结 and 冻住."""
    terms = {term for term in tokenizer.terms(question) if len(term) > 1}
    characters = set(_HAN.findall(question)) & set(_HAN.findall(passage)) - _FUNCTION_CHARACTERS
    return bool(terms & set(tokenizer.terms(passage))) or len(characters) > 1


def _repeats_title(question: str, titles: Sequence[str]) -> bool:
    letters = map(_letters, titles)
    return any(title and title in question and len(title) >= _LONGEST_COPY * len(question) for title in letters)


def _overlap(text: str, other: str) -> float:
    own, theirs = _bigrams(text), _bigrams(other)
    return len(own & theirs) / len(own | theirs) if own | theirs else 1.0


def _bigrams(text: str) -> set[str]:
    return {text[start : start + 2] for start in range(len(text) - 1)}


def _letters(text: str) -> str:
    return "".join(character for character in normalise(text) if character.isalnum())


def _is_english(language: str) -> bool:
    return language == "en"
