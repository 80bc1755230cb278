"""Questions and answers about tea and coffee, small enough to work their figures out by hand."""

from __future__ import annotations

from typing import Any

from eval.answers.run import AnsweredQuestion, CitedPassage
from eval.gold import Evidence, Question

TEA = "绿茶用八十度的水冲泡，水太烫会发苦。每次泡两分钟，最多泡三次。"
TEA_QUOTE = "绿茶用八十度的水冲泡，水太烫会发苦"
COFFEE = "Grind the beans fresh, 18 grams for a double shot. The water has 93 degrees."
COFFEE_QUOTE = "Grind the beans fresh, 18 grams for a double shot"


def question(identity: str = "T1", **changes: Any) -> Question:
    values: dict[str, Any] = {
        "id": identity,
        "text": "泡绿茶的水要多热？",
        "language": "zh",
        "type": "colloquial",
        "evidence": (Evidence("tea.md", TEA_QUOTE),),
        "answer": "八十度。",
        "key_facts": (("八十度", "80度"), ("发苦",)),
    }
    return Question(**{**values, **changes})


def unanswerable(identity: str = "U1", **changes: Any) -> Question:
    values: dict[str, Any] = {"text": "红茶产在哪里？", "type": "unanswerable", "answerable": False, "answer": ""}
    values |= {"evidence": (), "key_facts": ()}
    return question(identity, **{**values, **changes})


def cited(
    passage: str | None = TEA, *, n: int = 1, quote: str = "绿茶用八十度的水冲泡，水太烫会发苦。"
) -> CitedPassage:
    return CitedPassage(n, quote, passage)


def answered(text: str = "水要八十度，太烫会发苦[1]。", identity: str = "T1", **changes: Any) -> AnsweredQuestion:
    values: dict[str, Any] = {"id": identity, "text": text, "abstained": False, "citations": (cited(),)}
    return AnsweredQuestion(**{**values, **changes})


def abstained(identity: str = "T1", text: str = "笔记里没有找到能回答这个问题的内容。") -> AnsweredQuestion:
    return AnsweredQuestion(id=identity, text=text, abstained=True)
