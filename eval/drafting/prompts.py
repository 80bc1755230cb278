"""What the language model is told when it drafts a question: one text a language, a second try with a question word.

Measured on the bundled 0.5B model: an example in the prompt is copied instead of followed, so there is none; asked a
second time, with a question word that the program takes from what the sentence says, it often asks something else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from eval.drafting.sentences import Candidate
from ingest.language import language_of
from service.answering.generator import Prompt


@dataclass(frozen=True, slots=True)
class _Texts:
    instruction: str
    request: str
    kind: str
    because: re.Pattern[str]
    why: str
    amount: str
    other: str


_BETWEEN = " — "
_NUMBER = re.compile(r"\d")
_TEXTS = {
    "zh": _Texts(
        instruction="你是出题老师，只写问题，不写答案。",
        request="笔记主题：{topic}\n笔记内容：{sentence}\n\n请针对这条笔记提一个{kind}问题，考查学生是否理解。"
        "换一种说法，不要照抄。只写一个问题。",
        kind="用“{word}”来问的",
        because=re.compile("因为|由于|所以|因此|否则|导致|为了|才能|以免|避免|不然|代价|怕"),
        why="为什么",
        amount="多少",
        other="什么",
    ),
    "zh-Hant": _Texts(
        instruction="你是出題老師，用繁體中文，只寫問題，不寫答案。",
        request="筆記主題：{topic}\n筆記內容：{sentence}\n\n請針對這條筆記提一個{kind}問題，考查學生是否理解。"
        "換一種說法，不要照抄。只寫一個問題。",
        kind="用「{word}」來問的",
        because=re.compile("因為|由於|所以|因此|否則|導致|為了|才能|以免|避免|不然|代價|怕"),
        why="為什麼",
        amount="多少",
        other="什麼",
    ),
    "en": _Texts(
        instruction="You are a teacher who writes exam questions. Write only the question, never the answer.",
        request="Topic: {topic}\nNote: {sentence}\n\nAsk one short {kind}question that this note answers, to see "
        "whether a student has understood it. Use other words, do not copy. Write only the question.",
        kind='"{word}" ',
        because=re.compile(r"\b(?:because|so|since|otherwise|therefore|to avoid|which means|without)\b", re.IGNORECASE),
        why="why",
        amount="how many",
        other="what",
    ),
}


def draft_prompts(candidate: Candidate) -> Sequence[Prompt]:
    """Return the prompts to try for a sentence: an open one, then one that names the question word."""
    texts = _TEXTS[language_of(candidate.sentence)]
    kinds = ("", texts.kind.format(word=_question_word(candidate.sentence, texts)))
    return [
        Prompt(
            texts.instruction,
            texts.request.format(topic=_topic(candidate), sentence=candidate.sentence, kind=kind),
        )
        for kind in kinds
    ]


def _question_word(sentence: str, texts: _Texts) -> str:
    if texts.because.search(sentence):
        return texts.why
    return texts.amount if _NUMBER.search(sentence) else texts.other


def _topic(candidate: Candidate) -> str:
    path = dict.fromkeys(part for part in (candidate.title, *candidate.heading) if part)
    return _BETWEEN.join(list(path)[-2:]) or candidate.note
