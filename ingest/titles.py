"""What a title's words tell: its number and the number's style, and whether it asks something."""

from __future__ import annotations

import re

_HAN_NUMBER = "一二三四五六七八九十百"
# What a number looks like, by style; a style's headings are siblings.
_NUMBER_STYLES = (
    ("decimal", re.compile(r"\d{1,2}(?:\.\d{1,2}){1,3}(?:[.、．]\s*|\s+|(?=[^\s\w.%]|[\u3400-\u9fff]))")),
    ("number", re.compile(r"\d{1,3}(?:[.．](?!\d)|[、)）])\s*")),
    ("bracketed", re.compile(r"[(（]\d{1,3}[)）]\s*")),
    ("circled", re.compile(r"[①-⑳]\s*")),
    ("han", re.compile(rf"[{_HAN_NUMBER}]{{1,3}}[、.．]\s*")),
    ("han-bracketed", re.compile(rf"[(（][{_HAN_NUMBER}]{{1,3}}[)）]\s*")),
)
_CHAPTER = re.compile(rf"第[{_HAN_NUMBER}\d]{{1,4}}[章节讲课篇部]")
COLON_END = re.compile(r"\s*[:：]\s*$")
QUESTION_MARK = re.compile(r"[?？][\s\"'”’」』）)】\]]*$")
_ASKING = re.compile(
    r"什么|什麼|为何|為何|如何|怎么|怎麼|怎样|怎樣|哪些|哪几|哪幾|哪种|哪个|是否|能否|多少|有无|区别$|區別$|吗$|嗎$|呢$"
    r"|(?:^|[，,])(?:请|简述|简要|介绍|描述|说说|谈谈|讲讲|聊聊|列举|论述|解释(?![性器：:]))"
    r"|^(?:what|how|why|when|which|who|where|explain|describe|compare)\b",
    re.IGNORECASE,
)
_PLAINLY_ASKING = re.compile(
    r"^(?:什[么麼](?:是|叫|时候|情况)|[为為]什[么麼]|[为為]何|如何|怎[么麼]|怎[样樣]|哪些|能否|[请請]|简述|简要|介绍一?下|描述一?下|说说|谈谈|讲讲|聊聊|列举)"
    r"|^(?:what|how|why|when|which|who|where|explain|describe|compare)\b"
    r"|(?:是什[么麼]|有哪些|怎[么麼][办辦]|怎么回事|怎[么麼][样樣]|什[么麼]用|什么区别|多少|[吗嗎]|呢)$",
    re.IGNORECASE,
)
_MAX_BARE_QUESTION = 60
_MAX_PLAIN_QUESTION = 40


def is_question(text: str) -> bool:
    """Recognise a question or a request to explain: one that ends so, or a short one that asks without a mark."""
    words = strip_number(text.strip())
    if QUESTION_MARK.search(words):
        return True
    bare = COLON_END.sub("", words).rstrip("。. ")
    return len(bare) <= _MAX_BARE_QUESTION and not re.search(r"[。！；;：:]", bare) and bool(_ASKING.search(bare))


def asks_plainly(text: str) -> bool:
    """Recognise a question in running text, where an asking word within a statement (`学习如何…`) is none."""
    words = strip_number(text.strip())
    if QUESTION_MARK.search(words):
        return True
    bare = COLON_END.sub("", words).rstrip("。. ")
    return (
        len(bare) <= _MAX_PLAIN_QUESTION and not re.search(r"[。！；;：:]", bare) and bool(_PLAINLY_ASKING.search(bare))
    )


def strip_number(text: str) -> str:
    """Return a title without its leading number: numbering restarts within a note, so it identifies nothing."""
    for _, pattern in _NUMBER_STYLES:
        match = pattern.match(text)
        if match and match.end():
            return text[match.end() :].strip()
    return text.strip()


def number_style(text: str) -> str:
    """Name the style of the number that ``text`` starts with, empty if none."""
    if _CHAPTER.match(text):
        return "chapter"
    for style, pattern in _NUMBER_STYLES:
        match = pattern.match(text)
        if match and match.end() and match.end() < len(text):
            return f"{style}{match.group().count('.')}" if style == "decimal" else style
    return ""
