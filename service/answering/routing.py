"""What kind of question it is, by its form: how it splits into parts, and how much has to be read for it.

A question that needs several passages ("A and B differ how?") is searched as a whole and part by part. The rules look
at the form of the sentence only, never at what it is about; a question of no known form is one question.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from index.normalise import unify
from index.tokenizer import Tokenizer

Route = Literal["small-talk", "term", "parts", "broad", "question"]

_MOST_PARTS = 4
_MOST_TERMS = 4  # of what is typed as a term and not as a sentence
_FEWEST_TERMS = 2  # of a part

_SMALL_TALK = re.compile(
    r"(?:你好|您好|哈喽|嗨|早上好|下午好|晚上好|早安|晚安|谢谢(?:你|您|啦|了)*|多谢|再见|拜拜|在吗|好的|你是谁|你叫什么(?:名字)?|你能做什么|你会什么"
    r"|hi|hello|hey|thanks|thank you(?: very much| so much)?|bye|goodbye|good (?:morning|afternoon|evening|night)"
    r"|how are you|who are you|what can you do|ok|okay)",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"[?？]|什么|怎么|怎样|如何|为什么|为啥|为何|哪|谁|几|多少|多大|多久|吗|呢|是否|能否|区别|介绍|解释|说明|讲讲"
    r"|\b(?:what|why|how|when|where|which|who|does|do|is|are|can|should|explain|describe|compare)\b",
    re.IGNORECASE,
)
_BROAD = re.compile(
    r"有哪些|有哪几|哪几[种个类]|都有什么|总结|概述|综述|梳理|列出|列举|整体|全流程|全过程"
    r"|\b(?:overview|summari[sz]e|list (?:all|the)|what are (?:all )?the|which kinds|all the)\b",
    re.IGNORECASE,
)

_ITEM = r"[^，。；？！,;?!、]"
_AND = r"(?:和|与|跟|以及|还有|vs\.?|versus|对比)"
# What says that each of the things named before it is asked about.
_EACH = (
    r"(?:(?:这|它们|他们)?[两二三四几]者|之间|区别|差别|差异|不同|异同|优劣|优缺点|关系|差在哪|各自|各|分别|谁|都|哪个|哪种"
    r"|(?:该|应该)?怎么(?:选|取舍|比))"
)
_LISTED = re.compile(
    rf"(?:^|[,;.?!。])\s*(?:请问|比较(?:一下)?|对比(?:一下)?)?\s*"
    rf"(?P<items>{_ITEM}{{1,40}}?(?:、{_ITEM}{{1,40}}?)*(?:\s*{_AND}\s*|、){_ITEM}{{1,40}}?)"
    rf"(?:(?P<comma>,)\s*(?P<clause>[^;?!。]*{_EACH}[^;?!。]*)|(?P<asked>{_EACH}[^;?!。]*))",
    re.IGNORECASE,
)
# "Unigram 三种子词算法挑选的标准", "PPO 的目标函数": the last thing and what is asked of all of them.
_ATTRIBUTE = re.compile(
    r"(?P<item>.+?)\s*(?:这?[两二三四几](?:种|个|者|类|件事上)|的|(?<=[A-Za-z0-9])\s(?=[^\sA-Za-z0-9]))(?P<attribute>.*)"
)
_ASKED_OF_BOTH = re.compile(
    r"(?:(?:这|它们|他们)?[两二三四几]者|之间|有(?:什么|何|啥)|是(?:什么|啥)|区别|差别|差异|不同|异同|优劣|优缺点|关系|差在哪里?|在哪里?|各自|各|分别|都|[吗呢]$"
    r"|哪[个种](?:更好|好)?|(?:该|应该)?怎么(?:选|取舍|比)|的$|^的|里$)+"
)
_COMPARED_ENGLISH = re.compile(
    r"\b(?:differences?|trade-?offs?|relation(?:ship)?) between (?P<a>.{2,60}?) and (?P<b>[^?.,;]{2,60})"
    r"|\bhow (?:does|do|is|are) (?P<c>.{2,60}?) (?:differ(?:ent)? from|compare (?:to|with)) (?P<d>[^?.,;]{2,60})"
    r"|\bcompare (?P<e>.{2,60}?) (?:and|with|to) (?P<f>[^?.,;]{2,60})"
    r"|^(?P<g>[^?.,;]{2,60}?) (?:vs\.?|versus) (?P<h>[^?.,;]{2,60})",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(rf"\s*(?:、|{_AND})\s*", re.IGNORECASE)
_SENTENCES = re.compile(r"(?<=[?;。])\s*")
_CLAUSES = re.compile(
    r"(?<=[^A-Za-z0-9\s]),\s*|,\s+and\s+(?=(?:why|how|what|when|which|where|who|did|does|do|is|are|was|were|can)\b)",
    re.IGNORECASE,
)
_WHOLE_ASK = re.compile(
    r"(?:吗|呢|什么|怎么|怎样|如何|为什么|为啥|为何|哪|谁|几[个种类步次条项]|第几|多少|多大|多久|是否|能不能|会不会|是不是|有没有|要不要|区别)"
    r"|\b(?:what|why|how|when|where|which|who|did|does|do|is|are|can|should)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Routed:
    """``parts`` are the questions that a question consists of: none, or two to four."""

    route: Route
    parts: tuple[str, ...] = ()


def route(question: str, tokenizer: Tokenizer) -> Routed:
    """Tell by its form what kind of question it is."""
    text = unify(question).strip()
    if _SMALL_TALK.fullmatch(text.rstrip(" 。.!！~～?？,，")):
        return Routed("small-talk")
    parts = split(text, tokenizer)
    if parts:
        return Routed("parts", parts)
    if not _ASKS.search(text) and len(tokenizer.terms(text)) <= _MOST_TERMS:
        return Routed("term")
    return Routed("broad" if _BROAD.search(text) else "question")


def split(text: str, tokenizer: Tokenizer) -> tuple[str, ...]:
    """Return the questions that a question consists of, none where it is one question."""
    sentences = _asking(_SENTENCES.split(text), tokenizer)
    if len(sentences) > 1:
        parts = [part for sentence in sentences for part in (_compared(sentence) or [sentence])]
        parts = parts if len(parts) <= _MOST_PARTS else sentences
    else:
        parts = _compared(text) or _asking(_CLAUSES.split(text), tokenizer)
    distinct = tuple(dict.fromkeys(part.rstrip("?;。 ") for part in parts))[:_MOST_PARTS]
    return distinct if len(distinct) > 1 else ()


def _compared(text: str) -> list[str]:
    """Each thing that is compared or listed, with what is asked of all of them."""
    english = _COMPARED_ENGLISH.search(text)
    if english:
        return [item.strip() for item in english.groupdict().values() if item]
    found = _LISTED.search(text)
    if not found:
        return []
    *items, last = [item.strip() for item in _SEPARATOR.split(found["items"]) if item.strip()]
    attribute = _ATTRIBUTE.fullmatch(last)
    if attribute:
        last = attribute["item"]
    # "有什么区别" asks for nothing that a passage about one of the things would say; "怎么训练" does.
    common = _ASKED_OF_BOTH.sub(
        " ", f"{attribute['attribute'] if attribute else ''} {found['clause'] or found['asked']}"
    )
    return [" ".join(f"{item} {common}".split()) for item in (*items, last)]


def _asking(pieces: Sequence[str], tokenizer: Tokenizer) -> list[str]:
    """Pieces that ask something each; a situation told before the question is none."""
    return [
        piece.strip()
        for piece in pieces
        if (_WHOLE_ASK.search(piece) or piece.rstrip().endswith("?")) and len(tokenizer.terms(piece)) >= _FEWEST_TERMS
    ]
