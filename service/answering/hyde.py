"""HyDE: a hypothetical answer, written without the notes, is searched with beside the question.

L. Gao, X. Ma, J. Lin and J. Callan, "Precise Zero-Shot Dense Retrieval without Relevance Labels", ACL 2023. As there,
the answer is encoded as a passage, because it looks like one; other than there, it never replaces the question: it is
a ranking of its own, with a weight of its own, so that what a small model makes up cannot hide what the question finds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from index.encoder import TextEncoder
from index.tokenizer import Tokenizer
from service.answering.config import AnsweringConfig
from service.answering.drafting import Drafts
from service.answering.explanation import Rejected
from service.answering.generator import LanguageModel
from service.answering.prompts import hypothesis_prompt, is_refusal
from service.answering.query import Hypothesis, Query

MAX_TOKENS = 64
_NGRAM = 3  # terms
_LEAST_DISTINCT = 0.6


def is_wanted(requested: bool | None, config: AnsweringConfig) -> bool:
    """Whether a request, or for want of a word of it the config, asks for a hypothetical answer."""
    return config.hyde if requested is None else requested


def write_hypothesis(query: Query, model: LanguageModel, drafts: Drafts, *, stop: Callable[[], bool]) -> str | None:
    """Have the model answer from what it knows, in the question's language; None where that was not done in time."""
    prompt = hypothesis_prompt(query.text, query.language)
    return drafts.write(model, prompt, max_new_tokens=MAX_TOKENS, stop=stop)


def accepted(
    text: str, query: Query, encoder: TextEncoder, tokenizer: Tokenizer, config: AnsweringConfig
) -> Hypothesis | Rejected:
    """Return what to search with, or why a text is not fit for it."""
    reason = _fault(text, query, tokenizer)
    if reason is None:
        (encoding,) = encoder.encode_passages([text])
        similarity = float(encoding.vector @ query.encoding.vector)
        if similarity >= config.hyde_min_similarity:
            return Hypothesis(text, encoding.vector, config.hyde_weight)
        reason = f"drifted, cosine {similarity:.3f}"
    return Rejected("hyde", reason, text)


def _fault(text: str, query: Query, tokenizer: Tokenizer) -> str | None:
    if not any(character.isalnum() for character in text):
        return "empty"
    if is_refusal(text, query.language):
        return "refuses"
    terms = tokenizer.terms(text)
    if set(terms) <= set(query.terms):
        return "repeats the question"
    return "repeats itself" if distinct_share(terms) < _LEAST_DISTINCT else None


def distinct_share(terms: list[str]) -> float:
    """Share of different ones among the runs of three terms, 0 to 1; 1 for a text without any."""
    runs = list(zip(*(itertools.islice(terms, start, None) for start in range(_NGRAM)), strict=False))
    return len(set(runs)) / len(runs) if runs else 1.0
