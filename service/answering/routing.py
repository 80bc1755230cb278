"""What kind of question it is, by its form: how it splits into parts, and how much has to be read for it.

A question that needs several passages ("A and B differ how?") is searched as a whole and part by part. The rules look
at the form of the sentence only, never at what it is about; a question of no known form is one question.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import rjieba

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

_HAN = r"\u3400-\u9fff"
_ITEM = r"[^，。；？！,;?!、]"
# 对比学习 is a name, 对比 A 和 B is not.
_AND = rf"(?:和|与|跟|以及|还有|vs\.?|versus|对比(?![{_HAN}]))"
# What says that each of the things named before it is asked about.
_EACH = (
    r"(?:(?:这|它们|他们)?[两二三四几]者|之间|区别|差别|差异|不同|异同|优劣|优缺点|关系|差在哪|各自|各|分别|谁|都|哪个|哪种"
    r"|(?:该|应该)?怎么(?:选|取舍|比))"
)
_LISTED = re.compile(
    rf"(?:^|[,;.?!。]) ?(?:请问|请(?=比较|对比))? ?(?:(?:比较|对比)(?:一下|(?![{_HAN}])))? ?"
    rf"(?P<items>{_ITEM}{{1,40}}?(?:、{_ITEM}{{1,40}}?){{0,12}}?(?:\s*{_AND}\s*|、){_ITEM}{{1,40}}?)"
    rf"(?:(?P<comma>,)\s*(?P<clause>[^;?!。]{{0,80}}{_EACH}[^;?!。]*)|(?P<asked>{_EACH}[^;?!。]*))",
    re.IGNORECASE,
)
_TOLD_TO_COMPARE = re.compile(
    rf"(?:请|帮我)? ?(?:比较|对比)(?:一下|(?![{_HAN}])) ?(?P<items>{_ITEM}{{1,60}}(?:、{_ITEM}{{1,40}}){{0,12}})[?。]?"
)
# "Unigram 三种子词算法挑选的标准", "PPO 的目标函数", "PPO有什么": the last thing and what is asked of all of them.
_ATTRIBUTE = re.compile(
    r"(?P<item>.+?)\s*(?:这?[两二三四几](?:种|个|者|类|件事上)|的|(?<=[A-Za-z0-9])\s(?=[^\sA-Za-z0-9])|(?=[有是](?:什么|何|啥|哪些|没有)))"
    r"(?P<attribute>.*)"
)
_ASKED_OF_BOTH = re.compile(
    r"(?:它们|他们|这?[两二三四几]者|之间|[有是](?:什么|何|啥|哪些|没有)|的?(?:区别|差别|差异|不同|异同|优劣|优缺点|关系)|差在哪里?|在哪里?"
    r"|各自|各|分别|都|[吗呢]$|哪[个种](?:更好|好)?|(?:该|应该)?怎么(?:选|取舍|比)|的$|^的|里$)+"
)
_COMPARED_ENGLISH = re.compile(
    r"\b(?:differences?|trade-?offs?|relation(?:ship)?) between (?P<a>.{2,60}?) and (?P<b>[^?.,:;]{2,60})"
    r"|\bhow (?:does|do|is|are) (?P<c>.{2,60}?) (?:differ(?:ent)? from|compare (?:to|with)) (?P<d>[^?.,:;]{2,60})"
    r"|\bcompare (?P<e>.{2,60}?) (?:and|with|to) (?P<f>[^?.,:;]{2,60})"
    r"|^(?P<g>[^?.,:;]{2,60}?) (?:vs\.?|versus) (?P<h>[^?.,:;]{2,60})",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(rf"、|{_AND}", re.IGNORECASE)
_QUOTED = re.compile(r"《[^》]*》|“[^”]*”|「[^」]*」|\"[^\"]*\"")
_SENTENCES = re.compile(r"(?<=[?;。])\s*")
_CLAUSES = re.compile(
    r"(?<=[^A-Za-z0-9\s]),\s*|,\s+and\s+(?=(?:why|how|what|when|which|where|who|did|does|do|is|are|was|were|can)\b)",
    re.IGNORECASE,
)
# "都", "各" and "分别" are told as often as they are asked.
_TOLD_OF_EACH = re.compile(r"都|各|分别")
# Words of a question in what is told: 试了好几次, 没什么效果.
_TOLD = re.compile(r"没有?(?:什么|怎么)|什么都|哪怕|无论如何|不管怎[么样]|[好了过这那前后]几[个种类步次条项]")
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
    text = " ".join(unify(question).split())
    if is_small_talk(text):
        return Routed("small-talk")
    parts = split(text, tokenizer)
    if parts:
        return Routed("parts", parts)
    if not _ASKS.search(text) and len(tokenizer.terms(text)) <= _MOST_TERMS:
        return Routed("term")
    return Routed("broad" if _BROAD.search(text) else "question")


def is_small_talk(question: str) -> bool:
    """Whether somebody greets, thanks or asks who is there, and asks the notes nothing."""
    return _SMALL_TALK.fullmatch(unify(question).strip().rstrip(" 。.!！~～?？,，")) is not None


def split(text: str, tokenizer: Tokenizer) -> tuple[str, ...]:
    """Return the questions that a question consists of, none where it is one question.

    ``text`` is unified and has single spaces: the patterns take long where many stand in a row.
    """
    sentences = _asking(_SENTENCES.split(text), tokenizer)
    if len(sentences) > 1:
        parts = [part for sentence in sentences for part in (_compared(sentence) or [sentence])]
        parts = parts if len(parts) <= _MOST_PARTS else sentences
    else:
        parts = _compared(text) or _asking(_CLAUSES.split(text), tokenizer)
    distinct = dict.fromkeys(part.rstrip("?;。 ") for part in parts if tokenizer.terms(part))
    return tuple(distinct)[:_MOST_PARTS] if len(distinct) > 1 else ()


def _compared(text: str) -> list[str]:
    """Each thing that is compared or listed, with what is asked of all of them."""
    english = _COMPARED_ENGLISH.search(text)
    in_english = [item.strip() for item in english.groupdict().values() if item] if english else []
    return _listed(text) or in_english


def _listed(text: str) -> list[str]:
    found = _LISTED.search(text)
    if found and not _is_told(found["clause"] or found["asked"]):
        return _with_what_is_asked(_items(text, *found.span("items")), found["clause"] or found["asked"])
    told_to = _TOLD_TO_COMPARE.fullmatch(text)
    return _with_what_is_asked(_items(text, *told_to.span("items")), "") if told_to else []


def _with_what_is_asked(listed: list[str], asked: str) -> list[str]:
    *items, last = listed
    if not items:
        return []
    attribute = _ATTRIBUTE.fullmatch(last)
    if attribute:
        last = attribute["item"]
    # "有什么区别" asks for nothing that a passage about one of the things would say; "怎么训练" does.
    common = _ASKED_OF_BOTH.sub(" ", f"{attribute['attribute'] if attribute else ''} {asked}")
    return [" ".join(f"{item} {common}".split()).rstrip(", ") for item in (*items, last)]


def _is_told(said: str) -> bool:
    """Whether what is said of the things listed is no question itself, and another clause asks, but not about each."""
    here, _, later = said.partition(",")
    return bool(later and _TOLD_OF_EACH.match(here)) and not (_asks(here) or re.search(_EACH, later))


def _items(text: str, start: int, end: int) -> list[str]:
    """What is listed in a stretch of text.

    What belongs to a word (饱和), stands in quotation marks or at the very beginning separates nothing.
    """
    whole = _unbroken(text)
    items, begin = [], start
    for separator in _SEPARATOR.finditer(text, start, end):
        first, last = separator.span()
        inside = whole[first] != (first, last) and last <= whole[first][1]
        if text[begin:first].strip() and not inside:
            items.append(text[begin:first])
            begin = last
    return [item.strip() for item in (*items, text[begin:end]) if item.strip()]


def _unbroken(text: str) -> list[tuple[int, int]]:
    """For each character the span of the word or the quotation that it belongs to."""
    spans: list[tuple[int, int]] = []
    for word in rjieba.cut(text, False):
        start = len(spans)
        spans += [(start, start + len(word))] * len(word)
    for quoted in _QUOTED.finditer(text):
        spans[quoted.start() : quoted.end()] = [quoted.span()] * len(quoted[0])
    return spans


def _asking(pieces: Sequence[str], tokenizer: Tokenizer) -> list[str]:
    """Pieces that ask something each; a situation told before the question is none."""
    return [
        piece.strip()
        for piece in pieces
        if (_asks(piece) or piece.rstrip().endswith("?")) and _count_terms(piece, tokenizer) >= _FEWEST_TERMS
    ]


def _count_terms(piece: str, tokenizer: Tokenizer) -> int:
    """How many terms a piece has; function words, which are terms where there is nothing else, do not count."""
    return len(tokenizer.terms(f"{piece} 0")) - 1


def _asks(piece: str) -> bool:
    return _WHOLE_ASK.search(_TOLD.sub("", piece)) is not None
