"""Calibrating a reranker: which of its candidates hold the evidence, and how far its probabilities can be believed.

A candidate answers if it holds one of the question's quotes, so the probabilities are of holding gold evidence: a
passage that answers in other words counts as one that does not. Candidates of unanswerable questions never answer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from eval.gold import Gold, GoldInvalid, Question, check_quotes
from eval.indexes import Indexes, NotesSource
from eval.quotes import MAX_CHARS, groups_held
from eval.run import search_with
from eval.systems import System
from index.passages import embedded_text
from index.progress import ProgressListener
from index.schema import Hit
from service.answering.rerank import LANGUAGE_MODEL_RERANKERS, LATE, Reranker, reranker_of
from service.answering.reranking.calibration import Calibration, FittedOn, LabelledCandidates, fit_calibration
from service.language_model import open_language_model
from service.settings import Settings

BINS = 10
FOLDS = 5

Predict = Callable[["ScoredQuestion"], np.ndarray]
"""(n,) probabilities that each candidate of a question answers."""


@dataclass(frozen=True, slots=True)
class ScoredQuestion:
    """One question with its candidates, in the order before the reranker."""

    id: str
    answerable: bool
    candidates: LabelledCandidates


@dataclass(frozen=True, slots=True)
class Reliability:
    """How probabilities do against what is so.

    ``calibration_error``: expected calibration error over ten bins of equal width (Guo et al. 2017, "On Calibration of
    Modern Neural Networks"), over all candidates; ``best_calibration_error`` that over the likeliest candidate of each
    question alone, where nearly all of the others do not answer and say so. ``brier``: mean squared error, to be read
    beside ``base_brier``, that of always saying the share that answers. ``auc``: how often a candidate that answers is
    likelier than one that does not. ``abstention_auc``: how often the best probability of an answerable question is
    higher than that of an unanswerable one; either is None where all are of one kind. ``mrr``: mean reciprocal rank of
    the first candidate that answers, over answerable questions, in the order of the probabilities.
    """

    candidates: int
    answering: int
    calibration_error: float
    best_calibration_error: float
    brier: float
    base_brier: float
    auc: float | None
    abstention_auc: float | None
    mrr: float


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """What a calibration is worth: ``earlier_mrr`` is that of the order before the reranker."""

    calibration: Calibration
    alone: Reliability
    fused: Reliability
    earlier_mrr: float
    held_out: bool
    """Whether every question was left out of what was fitted for it."""

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**dataclasses.asdict(self), "calibration": self.calibration.model_dump()}


def scored_questions(
    gold: Gold,
    reranker: str,
    settings: Settings,
    *,
    notes: Sequence[Path] = (),
    candidates: int | None = None,
    listener: ProgressListener,
) -> list[ScoredQuestion]:
    """Score the best candidates of every question, answering.rerank_candidates of them unless said otherwise.

    ``late`` is scored as it is; any other reranker reads what late interaction puts first, as in a search. Raises
    GoldInvalid, IndexMissing, NotesChanged, what opening the reranker raises, GenerationFailed.
    """
    if not gold.answerable:
        raise GoldInvalid(f"{gold.path}: no question is answerable.", hint="A calibration needs passages that answer.")
    depth = candidates or settings.answering.rerank_candidates
    model = _opened(reranker, settings)  # a missing one is said before any work
    system = System("candidates", rerank=LATE, settings={"answering.reranker": LATE, "answering.span_chars": 0})
    source = NotesSource(settings, notes)
    check_quotes(gold, source.notes)
    found = []
    with Indexes(source, settings, listener) as indexes:
        index = indexes.prepare(system.applied_to(settings))
        listener.start("scoring candidates", len(gold.questions))
        for question in gold.questions:
            hits, _ = search_with(system, index, question.text, depth)
            found.append(_scored(question, [hit for hit in hits if LATE in hit.signals], model))
            listener.advance(1)
        listener.finish()
    return found


def calibrate(gold: Gold, reranker: str, questions: Sequence[ScoredQuestion]) -> CalibrationReport:
    """Fit a calibration to all questions, and measure those that are fitted to four fifths of them on the other fifth.

    Raises CalibrationInvalid where none of the candidates answers, or every one, also where it is so without a fifth.
    """
    folds = [_fitted(gold, reranker, [one for i, one in enumerate(questions) if i % FOLDS != k]) for k in range(FOLDS)]
    fold_of = {question.id: folds[position % FOLDS] for position, question in enumerate(questions)}
    return _report(_fitted(gold, reranker, questions), questions, lambda question: fold_of[question.id], held_out=True)


def check_calibration(calibration: Calibration, questions: Sequence[ScoredQuestion]) -> CalibrationReport:
    """Measure a calibration as it is, best on questions and notes that it was not fitted to."""
    return _report(calibration, questions, lambda _: calibration, held_out=False)


def _opened(name: str, settings: Settings) -> Reranker | None:
    if name == LATE:
        return None
    model = open_language_model(settings) if name in LANGUAGE_MODEL_RERANKERS else None
    return reranker_of(settings, name, model)


def _scored(question: Question, hits: Sequence[Hit], model: Reranker | None) -> ScoredQuestion:
    held = groups_held([hit.chunk.text[:MAX_CHARS] for hit in hits], list(question.groups.values()))
    if model is None:
        scores = np.array([hit.signals[LATE].score for hit in hits], dtype=np.float64)
    else:
        scores = model.scores(question.text, [embedded_text(hit.chunk) for hit in hits]).astype(np.float64)
    return ScoredQuestion(
        id=question.id,
        answerable=question.answerable,
        candidates=LabelledCandidates(
            scores=scores,
            earlier=np.array([hit.score for hit in hits], dtype=np.float64),
            answers=np.array([bool(groups) for groups in held], dtype=bool),
        ),
    )


def _fitted(gold: Gold, reranker: str, questions: Sequence[ScoredQuestion]) -> Calibration:
    labelled = [question.candidates for question in questions]
    fitted_on = FittedOn(
        gold=gold.name,
        sha256=gold.sha256,
        questions=len(labelled),
        passages=sum(len(one.answers) for one in labelled),
        answering=sum(int(one.answers.sum()) for one in labelled),
    )
    most = max(len(one.answers) for one in labelled)
    return fit_calibration(reranker, labelled, candidates=most, fitted_on=fitted_on)


def _report(
    calibration: Calibration,
    questions: Sequence[ScoredQuestion],
    calibration_of: Callable[[ScoredQuestion], Calibration],
    *,
    held_out: bool,
) -> CalibrationReport:
    return CalibrationReport(
        calibration=calibration,
        alone=reliability(questions, lambda one: calibration_of(one).probabilities(one.candidates.scores)),
        fused=reliability(
            questions,
            lambda one: calibration_of(one).fused_probabilities(one.candidates.scores, one.candidates.earlier),
        ),
        earlier_mrr=_mean_reciprocal_rank(questions, lambda one: one.candidates.earlier),
        held_out=held_out,
    )


def reliability(questions: Sequence[ScoredQuestion], predict: Predict) -> Reliability:
    """Measure predictions over the candidates of all questions; raises ValueError where there is no question."""
    predicted = [predict(question) for question in questions]
    probabilities = np.concatenate(predicted).astype(np.float64)
    answers = np.concatenate([question.candidates.answers for question in questions])
    filled = [(one, question) for one, question in zip(predicted, questions, strict=True) if len(one)]
    best = np.array([float(one.max()) for one, _ in filled])
    best_answers = np.array([question.candidates.answers[int(one.argmax())] for one, question in filled], dtype=bool)
    share = float(answers.mean())
    return Reliability(
        candidates=len(answers),
        answering=int(answers.sum()),
        calibration_error=expected_calibration_error(probabilities, answers),
        best_calibration_error=expected_calibration_error(best, best_answers),
        brier=float(np.mean((probabilities - answers) ** 2)),
        base_brier=share * (1 - share),
        auc=area_under_curve(probabilities, answers),
        abstention_auc=area_under_curve(best, np.array([question.answerable for _, question in filled], dtype=bool)),
        mrr=_mean_reciprocal_rank(questions, predict),
    )


def expected_calibration_error(probabilities: np.ndarray, answers: np.ndarray, bins: int = BINS) -> float:
    """Mean distance between what is said and what is so, bin by bin, weighted by how many fall into each."""
    bin_of = np.minimum((probabilities * bins).astype(int), bins - 1)
    gaps = [abs(float(np.sum(probabilities[bin_of == one] - answers[bin_of == one]))) for one in np.unique(bin_of)]
    return sum(gaps) / len(probabilities)


def area_under_curve(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """Area under the ROC curve, ties as a half (Mann & Whitney's U); None where all are of one kind."""
    count = int(positive.sum())
    others = len(positive) - count
    if not count or not others:
        return None
    above = float(rankdata(scores)[positive].sum()) - count * (count + 1) / 2
    return above / (count * others)


def _mean_reciprocal_rank(questions: Sequence[ScoredQuestion], order_by: Predict) -> float:
    ranks = []
    for question in questions:
        if question.answerable:
            ordered = question.candidates.answers[np.argsort(-order_by(question), kind="stable")]
            ranks.append(1 / (int(ordered.argmax()) + 1) if ordered.any() else 0.0)
    return float(np.mean(ranks))
