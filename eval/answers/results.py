"""What an evaluation of answers found, as plain frozen data.

Measures of an answer, each a mean over questions (``Figure``), by slice (``all``, ``type:multi``, ``language:en``):

=======================  ===============================================================  ==========================
measure                  of a question                                                    over which questions
=======================  ===============================================================  ==========================
key_fact_recall          share of the key facts that the answer states                    answerable, with key facts
key_fact_recall_echo     the same for an answer that only repeats the question            the same
citation_precision       share of the citations that are right                            answerable, with citations
citation_recall          share of the evidence groups that some cited passage holds       answerable, with quotes
citation_rate            share of the answer's sentences that carry a citation's mark     answered
unsupported_numbers      share of the answer's numbers that stand nowhere it could cite   answered, with numbers
language_match           1 where the answer is in the question's language                 answered
answer_chars             characters of the answer, without marks                          answered
wrongly_abstained        1 where the system abstained                                     answerable
abstention_recall        1 where the system abstained                                     unanswerable
abstention_precision     1 where the question is unanswerable                             abstained
abstention_f1            harmonic mean of the two; no mean, its interval is resampled     all
tokens_per_s             tokens a second, from the model's first piece to its last        where the model wrote
=======================  ===============================================================  ==========================

A quotation counts as the answer's own words: Chinese notes quoted in answer to an English question are a language
mismatch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.results import Figure, GoldSummary, Latency, Provenance

ANSWER_RESULTS_VERSION = 1


@dataclass(frozen=True, slots=True)
class AnswerFigures:
    """One slice of the questions: how many there are, and the figures that some of them give."""

    questions: int
    measures: Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two judgements of the same ``n`` answers agree.

    ``share`` is that of equal verdicts, ``kappa`` Cohen's, ``correlation`` Spearman's; each None where it is not
    defined (no answers, or one side says the same of all).
    """

    n: int
    share: float | None
    kappa: float | None
    correlation: float | None = None


@dataclass(frozen=True, slots=True)
class JudgeResults:
    """What a judging model thought, and how far the deterministic figures agree with it.

    ``figures`` are ``judged_correct`` (answerable, judged) and ``judged_supported`` (answered, judged), ``unjudged``
    maps the questions without a verdict to the reason: they are in no figure.
    """

    model: str
    url: str
    judged: int
    unjudged: Mapping[str, str]
    figures: Mapping[str, Figure]
    correctness: Agreement
    abstention: Agreement
    verdicts: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class AnswerResults:
    """A system's answers to one gold set. ``snapshot`` and ``provenance`` are None for a run read from a file.

    ``written_by`` maps model/extract/none to its share, ``latency_ms`` has ``first_text`` (the first words that a
    reader sees: of the model's draft, or the whole answer) and ``total``; both empty where the run does not say.
    """

    gold: GoldSummary
    source: str
    snapshot: str | None
    slices: Mapping[str, AnswerFigures]
    written_by: Mapping[str, float]
    latency_ms: Mapping[str, Latency]
    per_question: Mapping[str, Mapping[str, float]]
    provenance: Provenance | None
    judge: JudgeResults | None = None
    notices: Sequence[str] = ()
    version: int = ANSWER_RESULTS_VERSION

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON-able values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class RgbFigures:
    """RGB at one noise ratio: ``accuracy`` below a ratio of 1, ``rejected`` the share of questions abstained on."""

    noise: float
    passages_mean: float
    accuracy: Figure | None
    rejected: Figure


@dataclass(frozen=True, slots=True)
class RgbResults:
    """RGB's noise and rejection protocol over one of its files; ``outcomes`` has a row a question and ratio."""

    path: str
    sha256: str
    questions: int
    passages: int
    ratios: Sequence[RgbFigures]
    outcomes: Sequence[Mapping[str, Any]]
    provenance: Provenance
    version: int = ANSWER_RESULTS_VERSION

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON-able values."""
        return dataclasses.asdict(self)
