"""The same question in other words: its key words, and what the language model makes of it.

Multi-query retrieval asks a question in several ways and fuses what is found (RAG-Fusion; Z. Rackauckas, 2024). What
the model writes is data that has to be fit: in the language asked for, not the question again, not an answer at
length, not a repetition. It is remembered (drafting.py), so that the same question is searched with the same words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from index.lexical import LexicalIndex
from index.tokenizer import Tokenizer
from ingest.language import language_of
from service.answering.drafting import Drafts
from service.answering.generator import LanguageModel
from service.answering.hyde import distinct_share
from service.answering.prompts import rewording_prompt, translation_prompt
from service.answering.query import Query

_MAX_TOKENS = 64
_MOST_KEY_WORDS = 6
_LONGEST_RATIO = 3.0
_LEAST_DISTINCT = 0.6
# "1. ", "2、", "- ": not the beginning of "3D" or "1.5B".
_LIST_MARK = re.compile(r"(?:[(（]?\d{1,2}[.、)）](?!\d)|[-*•])\s*")


def key_words(query: Query, lexical: LexicalIndex) -> str | None:
    """Return the question's rarest terms that the notes have, in the question's order; None where that is all of it."""
    terms = list(dict.fromkeys(query.terms))
    known = [term for term in terms if lexical.known_share([term]) > 0]
    rarity = dict(zip(known, lexical.idf(known).tolist(), strict=True))
    kept = set(sorted(known, key=lambda term: -rarity[term])[:_MOST_KEY_WORDS])
    return " ".join(term for term in terms if term in kept) if 0 < len(kept) < len(terms) else None


def write_rewordings(
    query: Query, model: LanguageModel, drafts: Drafts, *, number: int, stop: Callable[[], bool]
) -> list[str] | None:
    """Have the model ask the question in ``number`` other ways; None where that was not done in time."""
    prompt = rewording_prompt(query.text, query.language, number)
    written = drafts.write(model, prompt, max_new_tokens=_MAX_TOKENS * number, stop=stop)
    return None if written is None else [line for line in map(_plain, written.splitlines()) if line][:number]


def write_translation(
    query: Query, model: LanguageModel, drafts: Drafts, *, to: str, stop: Callable[[], bool]
) -> str | None:
    """Have the model translate the question; None where that was not done in time."""
    prompt = translation_prompt(query.text, to)
    written = drafts.write(model, prompt, max_new_tokens=_MAX_TOKENS, stop=stop)
    return None if written is None else _plain(written.strip().partition("\n")[0])


def fault_of(text: str, query: Query, tokenizer: Tokenizer, *, language: str, others: Sequence[str] = ()) -> str | None:
    """Why a text is not fit to be searched with beside the question; None where it is."""
    terms = tokenizer.terms(text)
    if not terms:
        return "is empty"
    if set(terms) == set(query.terms) or text in others:
        return "is the question again"
    if _is_english(language_of(text)) != _is_english(language):
        return "is in another language"
    if len(terms) > _LONGEST_RATIO * max(len(query.terms), _MOST_KEY_WORDS):
        return "is too long"
    return "repeats itself" if distinct_share(terms) < _LEAST_DISTINCT else None


def _is_english(language: str) -> bool:
    return language == "en"


def _plain(line: str) -> str:
    """Without the number or dash and the quotation marks that a model puts around a line of a list."""
    text = line.strip()
    mark = _LIST_MARK.match(text)
    return (text[mark.end() :] if mark else text).strip(" \"'“”「」")
