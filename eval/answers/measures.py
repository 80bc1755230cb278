"""Measures of answers, question by question and then by slice: deterministic, no model judges here.

Key-fact recall is the reference scorer's. Citation precision and recall are named after ALCE (Gao et al., "Enabling
Large Language Models to Generate Text with Citations", EMNLP 2023) but need no entailment model: the gold says which
passages answer. Abstaining is the positive class of the abstention figures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from eval.answers.results import AnswerFigures
from eval.answers.run import AnsweredQuestion, CitedPassage
from eval.gold import Question
from eval.quotes import MAX_CHARS, fact_recall, groups_held
from eval.results import ALL, Figure, Latency
from eval.statistics import CONFIDENCE, RESAMPLES, figure, percentile
from index.tokenizer import Tokenizer
from ingest.language import language_of
from ingest.sentences import split_sentences, verbatim_spans
from service.answering.support import invented_details, without_marks

KEY_FACT_RECALL = "key_fact_recall"
KEY_FACT_RECALL_ECHO = "key_fact_recall_echo"
CITATION_PRECISION = "citation_precision"
CITATION_RECALL = "citation_recall"
CITATION_RATE = "citation_rate"
UNSUPPORTED_NUMBERS = "unsupported_numbers"
LANGUAGE_MATCH = "language_match"
ANSWER_CHARS = "answer_chars"
WRONGLY_ABSTAINED = "wrongly_abstained"
ABSTENTION_RECALL = "abstention_recall"
ABSTENTION_PRECISION = "abstention_precision"
ABSTENTION_F1 = "abstention_f1"
TOKENS_PER_S = "tokens_per_s"

MEASURES = (
    KEY_FACT_RECALL,
    KEY_FACT_RECALL_ECHO,
    CITATION_PRECISION,
    CITATION_RECALL,
    CITATION_RATE,
    UNSUPPORTED_NUMBERS,
    LANGUAGE_MATCH,
    ABSTENTION_PRECISION,
    ABSTENTION_RECALL,
    ABSTENTION_F1,
    WRONGLY_ABSTAINED,
    ANSWER_CHARS,
    TOKENS_PER_S,
)
"""Every measure, in the order of the tables."""

_MARK = re.compile(r"\[(\d+)\]")
_MARKS_ALONE = re.compile(r"^[ \t]*(?:\[\d+\][ \t]*)+$", re.MULTILINE)
_SEED = 20_07

Values = dict[str, float]


@dataclass(frozen=True, slots=True)
class Measured:
    """One question with what its answer measures; a measure that does not apply is absent, never 0."""

    question: Question
    answered: AnsweredQuestion
    values: Values


def measure_all(questions: Sequence[Question], answered: Sequence[AnsweredQuestion]) -> list[Measured]:
    """Measure every answer; both in the same order. Raises ValueError where they are not of the same questions."""
    if [question.id for question in questions] != [one.id for one in answered]:
        raise ValueError("the answers are not those to the questions")
    tokenizer = Tokenizer()
    return [
        Measured(question, one, measure(question, one, tokenizer))
        for question, one in zip(questions, answered, strict=True)
    ]


def measure(question: Question, answered: AnsweredQuestion, tokenizer: Tokenizer) -> Values:
    """Every measure that applies to one answer (results.py says to which each does)."""
    values: Values = {}
    if question.answerable:
        values |= _answerable_values(question, answered)
    else:
        values[ABSTENTION_RECALL] = float(answered.abstained)
    if answered.abstained:
        values[ABSTENTION_PRECISION] = float(not question.answerable)
    else:
        values |= _answer_values(question, answered, tokenizer)
    if answered.tokens_per_s is not None:
        values[TOKENS_PER_S] = answered.tokens_per_s
    return values


def _answerable_values(question: Question, answered: AnsweredQuestion) -> Values:
    values = {WRONGLY_ABSTAINED: float(answered.abstained)}
    recall = fact_recall(question.key_facts, answered.text)
    echo = fact_recall(question.key_facts, question.text)
    if recall is not None and echo is not None:
        values |= {KEY_FACT_RECALL: recall, KEY_FACT_RECALL_ECHO: echo}
    groups = list(question.groups.values())
    held = groups_held([(one.passage or "")[:MAX_CHARS] for one in answered.citations], groups)
    if groups:
        values[CITATION_RECALL] = len(frozenset().union(*held)) / len(groups)
    if answered.citations:
        right = [
            bool(found) or _states_a_fact(one, question) for one, found in zip(answered.citations, held, strict=True)
        ]
        values[CITATION_PRECISION] = sum(right) / len(right)
    return values


def _states_a_fact(citation: CitedPassage, question: Question) -> bool:
    """Whether the quoted sentence states a key fact and stands in the passage it is said to come from."""
    return citation.passage is not None and bool(fact_recall(question.key_facts, citation.quote))


def _answer_values(question: Question, answered: AnsweredQuestion, tokenizer: Tokenizer) -> Values:
    text = without_marks(answered.text).strip()
    values = {
        ANSWER_CHARS: float(len(text)),
        LANGUAGE_MATCH: float(_is_english(language_of(text)) == _is_english(question.language)),
    }
    marked = [bool(marks & {one.n for one in answered.citations}) for marks in sentence_marks(answered.text)]
    if marked:
        values[CITATION_RATE] = sum(marked) / len(marked)
    numbers = _numbers(text, "", tokenizer)
    if numbers:
        values[UNSUPPORTED_NUMBERS] = len(_numbers(text, _citable(question, answered), tokenizer)) / len(numbers)
    return values


def _is_english(language: str) -> bool:
    """Simplified and Traditional count as one language: in a short answer they often cannot be told apart."""
    return language == "en"


def sentence_marks(text: str) -> list[set[int]]:
    """For each sentence of an answer the numbers of its ``[n]`` marks.

    Marks on a line of their own are those of the sentence before, such as a block of code. Marks in code and formulas
    are none: ``a[1]`` cites nothing.
    """
    found: list[set[int]] = []
    for sentence in split_sentences(_MARKS_ALONE.sub(r"\g<0>\n", text)):
        marks = _marks(sentence)
        if any(character.isalnum() for character in _MARK.sub("", sentence)):
            found.append(marks)
        elif found:
            found[-1] |= marks
    return found


def _marks(sentence: str) -> set[int]:
    verbatim = verbatim_spans(sentence)
    return {
        int(mark.group(1))
        for mark in _MARK.finditer(sentence)
        if not any(start < mark.end() and mark.start() < end for start, end in verbatim)
    }


def _numbers(text: str, sources: str, tokenizer: Tokenizer) -> list[str]:
    """Numbers of more than one digit that stand in no source, by the rule that answers are checked with."""
    return [detail for detail in invented_details(text, sources, tokenizer) if detail[0].isdigit()]


def _citable(question: Question, answered: AnsweredQuestion) -> str:
    cited = (" ".join([*one.heading, one.passage or ""]) for one in answered.citations)
    return " ".join([question.text, *cited])


def figures_by_slice(measured: Sequence[Measured]) -> dict[str, AnswerFigures]:
    """Figures over all questions, of each type and of each language; a measure that nothing gives is absent."""
    return {name: _figures(part) for name, part in _slices(measured)}


def _slices(measured: Sequence[Measured]) -> Iterator[tuple[str, list[Measured]]]:
    yield ALL, list(measured)
    for kind in sorted({one.question.type for one in measured}):
        yield f"type:{kind}", [one for one in measured if one.question.type == kind]
    for language in sorted({one.question.language for one in measured}):
        yield f"language:{language}", [one for one in measured if one.question.language == language]


def _figures(measured: Sequence[Measured]) -> AnswerFigures:
    found: dict[str, Figure] = {}
    for name in MEASURES:
        values = [one.values[name] for one in measured if name in one.values]
        if values:
            found[name] = figure(values)
    f1 = _abstention_f1(measured)
    if f1 is not None:
        found[ABSTENTION_F1] = f1
    return AnswerFigures(questions=len(measured), measures={name: found[name] for name in MEASURES if name in found})


def _abstention_f1(measured: Sequence[Measured]) -> Figure | None:
    """F1 of abstaining with a bootstrap interval over questions; None where no question is to be abstained on."""
    abstained = np.array([one.answered.abstained for one in measured])
    wanted = np.array([not one.question.answerable for one in measured])
    if not wanted.any():
        return None
    observed = float(_f1(abstained, wanted))
    found = (
        stats.bootstrap(
            (abstained, wanted),
            _f1,
            paired=True,
            vectorized=True,
            n_resamples=RESAMPLES,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(_SEED),
        )
        if len(measured) > 1
        else None
    )
    low, high = (observed, observed) if found is None else found.confidence_interval
    return Figure(mean=observed, low=float(low), high=float(high), n=len(measured))


def _f1(abstained: np.ndarray, wanted: np.ndarray, axis: int = -1) -> np.ndarray:
    """2 TP / (2 TP + FP + FN); 1 for a sample in which nothing was to be abstained on and nothing was."""
    both = (abstained & wanted).sum(axis=axis)
    either = abstained.sum(axis=axis) + wanted.sum(axis=axis)
    return np.asarray(np.where(either == 0, 1.0, 2 * both / np.maximum(either, 1)))


def shares_of_writers(answered: Sequence[AnsweredQuestion]) -> dict[str, float]:
    """Share of the answers that the model, the notes' own sentences and nobody wrote; empty where one does not say."""
    writers = [one.written_by for one in answered]
    if None in writers or not writers:
        return {}
    return {name: writers.count(name) / len(writers) for name in ("model", "extract", "none")}


def latency(answered: Sequence[AnsweredQuestion]) -> dict[str, Latency]:
    """p50 and p95 of the times that every answer has."""
    times: Mapping[str, list[float | None]] = {
        "first_text": [one.first_text_ms for one in answered],
        "total": [one.total_ms for one in answered],
    }
    known = {name: [value for value in values if value is not None] for name, values in times.items()}
    return {
        name: Latency(p50=percentile(values, 0.5), p95=percentile(values, 0.95))
        for name, values in known.items()
        if values and len(values) == len(answered)
    }


def citations_without_passage(answered: Sequence[AnsweredQuestion]) -> int:
    """How many citations point to a passage that the run does not hold; they count as wrong."""
    return sum(one.passage is None for each in answered for one in each.citations)
