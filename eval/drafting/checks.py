"""Whether a drafted question may stand in a gold set: what a program can tell, before a person reads it."""

from __future__ import annotations

from collections.abc import Sequence

from eval.drafting.sentences import Candidate
from eval.quotes import normalised
from index.tokenizer import Tokenizer
from ingest.language import language_of
from service.question_checks import plain_question, question_fault

_LONGEST_COPY = 0.6  # of the question's characters in one run of the sentence's
_MOST_BIGRAMS = 0.8  # of the question's character bigrams that are the sentence's


def drafted_question(written: str) -> str:
    """Return the question in what a model wrote: its first line with words, without label, number and quotes."""
    return plain_question(next((line for line in written.splitlines() if any(c.isalnum() for c in line)), ""))


def rejection(question: str, candidate: Candidate, accepted: Sequence[str], tokenizer: Tokenizer) -> str:
    """Why a question may not stand beside those ``accepted`` before it; empty where it may.

    Other than one that is only searched with, it may not give its sentence's words away.
    """
    language = language_of(candidate.sentence)
    titles = (candidate.title, *candidate.heading)
    fault = question_fault(question, candidate.sentence, titles, accepted, tokenizer, language=language)
    if fault:
        return fault
    if language_of(question) != language:
        return "in another language"
    return "a copy of its sentence" if _is_copy(normalised(question), normalised(candidate.sentence)) else ""


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


def _bigrams(text: str) -> set[str]:
    return {text[start : start + 2] for start in range(len(text) - 1)}
