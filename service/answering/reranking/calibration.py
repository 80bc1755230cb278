"""From a reranker's scores to probabilities that passages answer, and to an order that keeps the one before it.

Platt 1999, "Probabilistic Outputs for Support Vector Machines": a logistic curve over the score, fitted to targets that
are a little less sure than 0 and 1, so that few passages, or ones that the score separates, give no certainty. Over the
score alone it is a poor one: what score a good passage gets differs from question to question. So each score counts as
three: as it is, by how much it is above the mean of the question's candidates, and by how much above the best other one
(docs/benchmarks.md has what that is worth). The same over two scores, the reranker's and that of the order before it,
adds up the log-odds of both: what each is worth beside the other is fitted as well.

A curve holds for the reranker, the kind of notes and the number of candidates that it was fitted with (asknotes eval
calibrate).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy.optimize import minimize
from scipy.special import expit

from index.durable import replace_file, storage_errors
from index.errors import AsknotesError

# Of the standardised weights, beside a sum over passages: so little that only a tie between equal features is decided.
_RIDGE = 1e-4


class CalibrationInvalid(AsknotesError):
    """A calibration that cannot be fitted, read, or used with the configured reranker."""

    type = "calibration_invalid"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ScoreWeights(_Part):
    """What a score adds to the log-odds; no weight is below 0, so none turns an order round."""

    level: float = Field(ge=0)
    above_mean: float = Field(ge=0)
    above_others: float = Field(ge=0)


class AloneCurve(_Part):
    """Log-odds by the reranker's score alone."""

    score: ScoreWeights
    intercept: float


class FusedCurve(_Part):
    """Log-odds by the reranker's score and by that of the order before it."""

    score: ScoreWeights
    earlier: ScoreWeights
    intercept: float


class FittedOn(_Part):
    """What a calibration was fitted on: ``passages`` candidates, of which ``answering`` hold a quote."""

    gold: str
    sha256: str
    questions: int = Field(ge=0)
    passages: int = Field(ge=0)
    answering: int = Field(ge=0)


@dataclass(frozen=True, slots=True)
class LabelledCandidates:
    """The candidates of one question, all arrays (n,).

    ``scores`` are the reranker's, ``earlier`` those of the order in which it got them; ``answers`` says which answer.
    """

    scores: np.ndarray
    earlier: np.ndarray
    answers: np.ndarray


class Calibration(_Part):
    """The curves of one reranker that reads ``candidates`` passages a question, as a file of JSON holds them."""

    version: Literal[1] = 1
    reranker: str = Field(min_length=1)
    candidates: int = Field(ge=2)
    alone: AloneCurve
    fused: FusedCurve
    fitted_on: FittedOn

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """(n,) float32: how likely each passage is to answer, by the reranker's (n,) scores of one question's."""
        log_odds = _part(scores, self.alone.score) + self.alone.intercept
        return np.asarray(expit(log_odds), dtype=np.float32)

    def fused_log_odds(self, scores: np.ndarray, earlier: np.ndarray) -> np.ndarray:
        """(n,) float32 to order by: log-odds that each passage of one question answers, by both scores.

        ``earlier`` (n,) are the scores by which the candidates were ordered when the reranker got them.
        """
        parts = _part(scores, self.fused.score) + _part(earlier, self.fused.earlier)
        return np.asarray(parts + self.fused.intercept, dtype=np.float32)

    def fused_probabilities(self, scores: np.ndarray, earlier: np.ndarray) -> np.ndarray:
        """(n,) float32: how likely each passage is to answer, by both scores."""
        return np.asarray(expit(self.fused_log_odds(scores, earlier)), dtype=np.float32)


def probability_of(log_odds: float) -> float:
    """The probability of log-odds, in [0, 1]."""
    return float(expit(log_odds))


def fit_calibration(
    reranker: str, questions: Sequence[LabelledCandidates], *, candidates: int, fitted_on: FittedOn
) -> Calibration:
    """Fit both curves by maximum likelihood to the candidates of all questions.

    Raises CalibrationInvalid where none or all of them answer, or where a higher score does not make it likelier.
    """
    answers = np.concatenate([question.answers for question in questions])
    scores = np.concatenate([_features(question.scores) for question in questions])
    earlier = np.concatenate([_features(question.earlier) for question in questions])
    alone, alone_intercept = logistic_curve(scores, answers)
    if not alone.any():
        raise CalibrationInvalid(
            f"The scores of {reranker!r} are no higher for passages that answer: there is nothing to calibrate.",
            hint="Choose another reranker, or compare it with `none` by `asknotes eval retrieval` first.",
        )
    fused, fused_intercept = logistic_curve(np.concatenate([scores, earlier], axis=1), answers)
    width = scores.shape[1]
    return Calibration(
        reranker=reranker,
        candidates=candidates,
        alone=AloneCurve(score=_weights(alone), intercept=alone_intercept),
        fused=FusedCurve(score=_weights(fused[:width]), earlier=_weights(fused[width:]), intercept=fused_intercept),
        fitted_on=fitted_on,
    )


def logistic_curve(features: np.ndarray, answers: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights (f,), none below 0, and intercept of the logistic curve over (n, f) features with Platt's targets.

    Raises CalibrationInvalid where none or all of the (n,) ``answers`` are true.
    """
    positive, negative = int(answers.sum()), int((~answers).sum())
    if not positive or not negative:
        raise CalibrationInvalid(
            f"A calibration needs passages that answer and passages that do not, not {positive} and {negative}.",
            hint="Give gold questions with evidence, and more than one candidate for each.",
        )
    # Platt's targets (his section 2.2): the mean of each side under a uniform prior.
    targets = np.where(answers, (positive + 1) / (positive + 2), 1 / (negative + 2))
    middle, spread = features.mean(axis=0), features.std(axis=0)
    spread[spread == 0] = 1.0
    columns = np.column_stack([(features - middle) / spread, np.ones(len(features))])
    fitted = minimize(
        _loss,
        np.zeros(columns.shape[1]),
        args=(columns, targets),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * features.shape[1] + [(None, None)],
        options={"ftol": 1e-14, "gtol": 1e-8, "maxiter": 10_000},
    ).x
    weights = fitted[:-1] / spread
    return weights, float(fitted[-1] - weights @ middle)


def save_calibration(path: Path, calibration: Calibration) -> None:
    """Write a calibration as JSON; raises StorageFailed."""
    with storage_errors(f"Writing {path}"):
        replace_file(path, (calibration.model_dump_json(indent=1) + "\n").encode())


def load_calibration(path: Path, reranker: str | None = None) -> Calibration:
    """Read what ``save_calibration`` wrote; raises CalibrationInvalid, also for one of another than ``reranker``."""
    hint = "Make it anew with `asknotes eval calibrate`."
    try:
        calibration = Calibration.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CalibrationInvalid(f"{path}: cannot be read: {error.strerror}", hint=hint) from error
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in details["loc"])
        raise CalibrationInvalid(f"{path}: {place}: {details['msg']}", hint=hint) from error
    if reranker is not None and calibration.reranker != reranker:
        raise CalibrationInvalid(
            f"{path}: is of the reranker {calibration.reranker!r}, not of {reranker!r}.",
            hint=f"Make one with `asknotes eval calibrate --reranker {reranker}`, or configure none.",
        )
    return calibration


def _loss(parameters: np.ndarray, columns: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
    """Cross-entropy with the targets, and its gradient."""
    logits = columns @ parameters
    shrunk = _RIDGE * np.append(parameters[:-1], 0.0)
    value = float(np.sum(np.logaddexp(0.0, logits) - targets * logits) + shrunk @ parameters / 2)
    return value, columns.T @ (expit(logits) - targets) + shrunk


def _features(scores: np.ndarray) -> np.ndarray:
    """(n, 3): each score of one question's candidates, how far above their mean, and above the best of the others."""
    level = np.asarray(scores, dtype=np.float64)
    if len(level) < 2:  # noqa: PLR2004 - one candidate has no others
        return np.column_stack([level, np.zeros_like(level), np.zeros_like(level)])
    second, best = np.sort(level)[-2:]
    others = np.where(np.arange(len(level)) == level.argmax(), second, best)
    return np.column_stack([level, level - level.mean(), level - others])


def _weights(fitted: np.ndarray) -> ScoreWeights:
    level, above_mean, above_others = (float(weight) for weight in fitted)
    return ScoreWeights(level=level, above_mean=above_mean, above_others=above_others)


def _part(scores: np.ndarray, weights: ScoreWeights) -> np.ndarray:
    return np.asarray(_features(scores) @ [weights.level, weights.above_mean, weights.above_others])
