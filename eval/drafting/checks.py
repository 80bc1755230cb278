"""Whether a drafted question may stand in a gold set: what a program can tell, before a person reads it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from eval.drafting.sentences import Candidate
from eval.quotes import normalised
from index.tokenizer import Tokenizer
from ingest.language import language_of

_SHORTEST = 6  # letters and digits
_LONGEST = {"zh": 60, "zh-Hant": 60, "en": 160}
_LONGEST_COPY = 0.6  # of the question's characters in one run of the sentence's
_MOST_BIGRAMS = 0.8  # of the question's character bigrams that are the sentence's
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
_BEFORE_QUESTION = re.compile(
    r"^\s*(?:问题|問題|问|問|Q|Question)\s*\d*\s*[:：.]\s*|^\s*(?:\d{1,2}[.)、]|[-*+])\s+", re.IGNORECASE
)
_HAN = re.compile(r"[\u3400-\u9fff]")
_FUNCTION_CHARACTERS = frozenset(
    "的是在有和中了不为為什么麼怎如何哪些多少几幾个個会會能要用时時对對上下这這那把被从從到与與或"
)
_AROUND = " \t\"'“”‘’「」『』*`"


def drafted_question(written: str) -> str:
    """Return the question in what a model wrote: its first line with words, without label, number and quotes."""
    line = next((line for line in written.splitlines() if any(c.isalnum() for c in line)), "")
    question = _BEFORE_QUESTION.sub("", line).strip(_AROUND)
    ends = [question.find(mark) for mark in "?？" if mark in question]
    return question[: min(ends) + 1] if ends else question


def rejection(question: str, candidate: Candidate, accepted: Sequence[str], tokenizer: Tokenizer) -> str:
    """Why a question may not stand beside those ``accepted`` before it; empty where it may."""
    letters, sentence = normalised(question), normalised(candidate.sentence)
    language = language_of(candidate.sentence)
    reasons = {
        "not a question": not (_ENDS_LIKE_A_QUESTION.search(question) and _ASKS.search(question)),
        "too short": len(letters) < _SHORTEST,
        "too long": len(question) > _LONGEST[language],
        "in another language": language_of(question) != language,
        "points at the text": bool(_POINTS_AT_TEXT.search(question) or _OPENS_WITH_POINTER.match(question)),
        "asks for an opinion": bool(_ASKS_NOTHING.search(question)),
        "a copy of its heading": _repeats_heading(letters, candidate),
        "a copy of its sentence": _is_copy(letters, sentence),
        "says nothing of its sentence": not _is_about(question, candidate, tokenizer),
        "a duplicate": any(_overlap(letters, normalised(other)) >= _DUPLICATE for other in accepted),
    }
    return next((reason for reason, applies in reasons.items() if applies), "")


def _is_copy(question: str, sentence: str) -> bool:
    """Whether the question is mostly one run of the sentence, or almost only made of its bigrams."""
    bigrams = _bigrams(question)
    shared = len(bigrams & _bigrams(sentence)) / len(bigrams) if bigrams else 1.0
    return _longest_run(question, sentence) >= _LONGEST_COPY * len(question) or shared >= _MOST_BIGRAMS


def _longest_run(text: str, other: str) -> int:
    """Length of the longest common substring."""
    longest = 0
    for start in range(len(text)):
        while start + longest < len(text) and text[start : start + longest + 1] in other:
            longest += 1
    return longest


def _is_about(question: str, candidate: Candidate, tokenizer: Tokenizer) -> bool:
    """Whether it shares a term with its sentence, or two Chinese characters that carry a meaning: 冻结 and 冻住."""
    terms = {term for term in tokenizer.terms(question) if len(term) > 1}
    characters = set(_HAN.findall(question)) & set(_HAN.findall(candidate.sentence)) - _FUNCTION_CHARACTERS
    return bool(terms & set(tokenizer.terms(candidate.sentence))) or len(characters) > 1


def _repeats_heading(question: str, candidate: Candidate) -> bool:
    """Whether most of the question is one of the titles above its sentence."""
    titles = (normalised(part) for part in (candidate.title, *candidate.heading))
    return any(title and title in question and len(title) >= _LONGEST_COPY * len(question) for title in titles)


def _overlap(text: str, other: str) -> float:
    own, theirs = _bigrams(text), _bigrams(other)
    return len(own & theirs) / len(own | theirs) if own | theirs else 1.0


def _bigrams(text: str) -> set[str]:
    return {text[start : start + 2] for start in range(len(text) - 1)}
