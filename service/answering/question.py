"""A follow-up, with the conversation before it, as a question that stands alone.

First without a model: a question that refers to nothing and has a topic of its own is kept; any other gets the terms of
the question before it in front, which finds what both are about. Then, if so configured, the language model rewrites
it; what it writes is believed only as far as it can be checked. What was said before is data: it is shown to the model
as such, and nothing of the assistant's messages is searched with unless the model takes it up.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from index.lexical import LexicalIndex
from index.normalise import normalise
from index.tokenizer import Tokenizer, stem
from ingest.language import language_of
from service.answering.drafting import Drafts
from service.answering.exchange import Turn
from service.answering.generator import LanguageModel
from service.answering.prompts import rewriting_prompt

_MAX_TOKENS = 64
_LONGEST_RATIO = 3
_MOST_CARRIED = 12  # terms
_TURNS_SHOWN = 4
_FEWEST_BEFORE = 2  # topics before a pronoun: it then refers to these
_LEAST_KEPT = 0.5
_FEWEST_WORDS = 3  # of an English question that says in which language to answer

# On normalised text: Simplified and folded. A reference, or a beginning or an end that leaves something out.
_REFERS = re.compile(
    r"它|他们|她们|其中|其他|前者|后者|两者|二者|上述|刚才|上面(?:说|提|讲|那|的)|这|^那(?!么)"
    r"|^(?:还有|另外|然后|所以|继续)|^.{0,8}呢[?。!\s]*$"
    r"|\b(?:it|its|they|them|their|this|these|those|the former|the latter|above|previous)\b"
    r"|\b(?:is|was|does|do|of|about|with|for|from|like|than|after|before)\s+that\b"
    r"|^(?:and|but|so|or|then|also|what about|how about|why not|what else)\b"
)
# What is asked about a topic, not a topic.
_ASPECTS_LIST = """
    为什 什么 原因 理由 优点 缺点 优缺点 优势 劣势 好处 坏处 区别 差别 不同 异同 关系 联系 例子 举例 示例 原理 公式 定义
    概念 含义 意思 作用 用处 用途 用法 步骤 流程 过程 细节 详细 具体 解释 说明 介绍 总结 比较 对比 影响 结果
    效果 代码 实现 展开 讲讲 继续 方法 办法 方案 问题 情况 时候 场景 条件 应用 使用 选择 解决 计算 改进 取值
    设置 一般 通常 常见 常用 多少 几个 哪里 简单 主要
    advantage disadvantage drawback benefit pro con reason difference example formula definition meaning purpose step
    detail explain explanation describe summary compare comparison effect result code implementation method problem
    work use usage mean more else another give tell show general usual common much many other not no yes do does
    """
_ASPECTS = frozenset(stem(word) for word in _ASPECTS_LIST.split())

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Condensed:
    """A question that stands alone, and the language that the asker writes in."""

    text: str
    language: str


def as_asked(question: str) -> Condensed:
    """A question without a history."""
    return Condensed(question, language_of(question))


def condense(question: str, history: Sequence[Turn], tokenizer: Tokenizer, lexical: LexicalIndex) -> Condensed:
    """Put before a follow-up the terms of what was asked before it, which may have been a follow-up itself."""
    topic = ""
    for asked in (*_questions(history), question):
        topic = asked if stands_alone(asked, tokenizer, lexical) else _carried(topic, asked, tokenizer)
    return Condensed(topic, _language(question, topic))


def stands_alone(question: str, tokenizer: Tokenizer, lexical: LexicalIndex) -> bool:
    """Whether a question refers to nothing outside of it and names something that the notes know."""
    text = normalise(question).strip()
    before = [text[: reference.start()] for reference in _REFERS.finditer(text)]
    if any(len(_topics(part, tokenizer, lexical)) < _FEWEST_BEFORE for part in before):
        return False
    return bool(_topics(text, tokenizer, lexical))


def _topics(text: str, tokenizer: Tokenizer, lexical: LexicalIndex) -> set[str]:
    """Terms of the notes that say what a text is about."""
    terms = {term for term in tokenizer.terms(text) if len(term) > 1 and term not in _ASPECTS}
    return {term for term in terms if lexical.known_share([term]) > 0}


def rewrite(
    question: str,
    history: Sequence[Turn],
    condensed: Condensed,
    *,
    model: LanguageModel,
    drafts: Drafts,
    tokenizer: Tokenizer,
    stop: Callable[[], bool],
) -> Condensed | None:
    """Have the model write the question that stands alone; ``condensed`` itself where what it wrote is not fit.

    None where that was not done in time, or the model failed.
    """
    prompt = rewriting_prompt(question, history[-_TURNS_SHOWN:], condensed.language)
    written = drafts.write(model, prompt, max_new_tokens=_MAX_TOKENS, stop=stop)
    if written is None:
        return None
    text = written.partition("\n")[0].strip().strip("\"'“”「」")
    fault = _fault(text, question, history, condensed, tokenizer)
    if fault is not None:
        _log.info("condense: the rewritten question %s", fault)
        return condensed
    return Condensed(text, condensed.language)


def _fault(text: str, question: str, history: Sequence[Turn], condensed: Condensed, tokenizer: Tokenizer) -> str | None:
    terms, asked = set(tokenizer.terms(text)), set(tokenizer.terms(question))
    if not any(character.isalnum() for character in text):
        return "is empty"
    if len(text) > _LONGEST_RATIO * max(len(asked) for asked in (question, *_questions(history))):
        return "is too long"
    # Function words, of which a question may wholly consist, are no terms of a text that has others.
    kept = {term for term in asked if term in terms or (not term.isascii() and term in normalise(text))}
    if len(kept) < _LEAST_KEPT * len(asked):
        return "asks something else"
    said = " ".join(turn.content for turn in history)
    if not (terms - asked) & set(tokenizer.terms(said)):
        return "takes up nothing of the conversation"
    if (language_of(text) == "en") != (condensed.language == "en"):
        return "is in another language"
    return None


def _questions(history: Sequence[Turn]) -> list[str]:
    return [turn.content for turn in history if turn.role == "user" and turn.content.strip()]


def _carried(topic: str, question: str, tokenizer: Tokenizer) -> str:
    """``question`` with the terms of ``topic`` that it has not itself before it, the last ones if they are many."""
    own = set(tokenizer.terms(question))
    terms = [term for term in dict.fromkeys(tokenizer.terms(topic)) if term not in own and term not in _ASPECTS]
    # The tokenizer gives a long Chinese word and the words inside of it; the long one says it all.
    whole = [term for term in terms if term.isascii() or not any(term != other and term in other for other in terms)]
    return " ".join([*whole[-_MOST_CARRIED:], question])


def _language(question: str, condensed: str) -> str:
    """The language of the question; of a mere name, that of the conversation."""
    own = language_of(question)
    return own if own != "en" or len(question.split()) >= _FEWEST_WORDS else language_of(condensed)
