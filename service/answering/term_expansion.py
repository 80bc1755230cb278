"""A question in the words that the notes use elsewhere for what it names.

The names come from the notes themselves (index/glossary.py). An English question gets the Chinese names of its terms, a
Chinese one the English names and synonyms; the question itself is never replaced, only searched with beside them.

Measured on two gold sets and on questions for one name of a thing where the passage has the other
(docs/benchmarks.md): it finds far more for questions that ask for names and nothing else (``names_only``), and helps no
other kind: there the encoder already meets the other name, and what else is asked for gets less weight.
"""

from __future__ import annotations

from dataclasses import dataclass

from index.glossary import Glossary, Mention
from index.names import is_chinese
from index.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class TermExpansion:
    """A question under the other names of its terms.

    ``text`` is the question with the likeliest other
    name in the place of each known one, to be searched with as a variant; the question itself where there is none.
    ``names_only``: the question asks for nothing but names that the glossary knows (``什么是 RoPE``).
    """

    text: str
    names_only: bool


def expand_terms(question: str, glossary: Glossary, tokenizer: Tokenizer) -> TermExpansion:
    """Return what the glossary adds to a question; nothing where it knows none of its terms."""
    mentions = glossary.mentions(question)
    named = {term for mention in mentions for term in tokenizer.terms(question[mention.start : mention.end])}
    return TermExpansion(
        text=_in_other_names(question, mentions),
        names_only=bool(mentions) and set(tokenizer.terms(question)) <= named,
    )


def _in_other_names(question: str, mentions: list[Mention]) -> str:
    parts, end = [], 0
    for mention in mentions:
        name, other = question[mention.start : mention.end], mention.others[0]
        if is_chinese(name) and is_chinese(other):
            continue  # a synonym says what an encoder knows already, and less surely than a translation
        parts += [question[end : mention.start], " ", other, " "]
        end = mention.end
    return " ".join("".join([*parts, question[end:]]).split()) if parts else question
