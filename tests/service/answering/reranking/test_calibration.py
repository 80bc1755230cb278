"""Calibrated scores: the curve against another minimisation of the same loss, its ends, and its file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from index.errors import StorageFailed
from service.answering.reranking.calibration import (
    AloneCurve,
    Calibration,
    CalibrationInvalid,
    FittedOn,
    FusedCurve,
    LabelledCandidates,
    ScoreWeights,
    fit_calibration,
    load_calibration,
    logistic_curve,
    probability_of,
    save_calibration,
)

FITTED_ON = FittedOn(gold="g", sha256="0" * 64, questions=2, passages=4, answering=1)
KNOWN = Calibration(
    reranker="late",
    candidates=3,
    alone=AloneCurve(score=ScoreWeights(level=2.0, above_mean=3.0, above_others=0.5), intercept=-1.0),
    fused=FusedCurve(
        score=ScoreWeights(level=1.0, above_mean=0.0, above_others=0.0),
        earlier=ScoreWeights(level=0.0, above_mean=4.0, above_others=0.0),
        intercept=-2.0,
    ),
    fitted_on=FITTED_ON,
)


def questions(count: int = 300, *, noise: float = 0.0) -> list[LabelledCandidates]:
    """Questions whose scores have a level of their own; the candidate furthest above its question's mean answers."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(count):
        own = random.normal(size=6)
        found.append(
            LabelledCandidates(
                scores=own + 5 * random.normal() + noise * random.normal(size=6),
                earlier=random.normal(size=6),
                answers=random.random(6) < expit(4 * (own - own.mean()) - 3),
            )
        )
    return found


class TestProbabilities:
    def test_a_score_counts_as_it_is_above_the_mean_and_above_the_best_of_the_others(self) -> None:
        scores = np.array([1.0, 4.0, 1.0], dtype=np.float32)
        log_odds = np.array([2 * 1 + 3 * -1 + 0.5 * -3 - 1, 2 * 4 + 3 * 2 + 0.5 * 3 - 1, 2 * 1 + 3 * -1 + 0.5 * -3 - 1])
        found = KNOWN.probabilities(scores)
        np.testing.assert_allclose(found, 1 / (1 + np.exp(-log_odds)), rtol=1e-6)
        assert found.dtype == np.float32

    def test_both_scores_add_up_their_log_odds(self) -> None:
        scores, earlier = np.array([1.0, 2.0]), np.array([3.0, 5.0])
        np.testing.assert_allclose(KNOWN.fused_log_odds(scores, earlier), [1 + 4 * -1 - 2, 2 + 4 * 1 - 2])
        expected = 1 / (1 + np.exp(-np.array([-5.0, 4.0])))
        np.testing.assert_allclose(KNOWN.fused_probabilities(scores, earlier), expected, rtol=1e-6)

    def test_log_odds_of_nought_are_an_even_chance(self) -> None:
        assert probability_of(0.0) == 0.5
        assert probability_of(float(np.log(3))) == pytest.approx(0.75)

    def test_two_that_are_equally_good_are_none_above_the_other(self) -> None:
        first, second, _ = KNOWN.probabilities(np.array([4.0, 4.0, 1.0]))
        assert first == second == pytest.approx(1 / (1 + np.exp(-(2 * 4 + 3 * 1 - 1))))

    def test_no_candidate_one_and_great_scores(self) -> None:
        assert KNOWN.probabilities(np.array([])).shape == (0,)
        assert KNOWN.probabilities(np.array([1.0])).tolist() == [pytest.approx(1 / (1 + np.exp(-1)))]
        assert KNOWN.probabilities(np.array([-1e6, 1e6])).tolist() == [0.0, 1.0]


class TestFit:
    def test_a_known_curve_is_found_again(self) -> None:
        random = np.random.default_rng(0)
        features = random.normal(1.0, 2.0, (8000, 2))
        answers = random.random(8000) < expit(features @ [1.5, 0.5] - 2.0)
        weights, intercept = logistic_curve(features, answers)
        np.testing.assert_allclose(weights, [1.5, 0.5], atol=0.1)
        assert intercept == pytest.approx(-2.0, abs=0.15)

    @pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
    def test_it_minimises_platts_loss_whatever_the_unit_of_the_scores(self, scale: float) -> None:
        random = np.random.default_rng(1)
        scores = random.normal(1.0, 2.0, 40)
        answers = random.random(40) < expit(1.5 * scores - 2.0)
        targets = np.where(answers, (answers.sum() + 1) / (answers.sum() + 2), 1 / ((~answers).sum() + 2))

        def loss(parameters: np.ndarray) -> float:
            logits = parameters[0] * scores + parameters[1]
            return float(np.sum(np.logaddexp(0, logits) - targets * logits))

        best = minimize(loss, [0.0, 0.0], tol=1e-10).x
        (slope,), intercept = logistic_curve(scores[:, None] * scale, answers)
        assert slope * scale == pytest.approx(best[0], abs=2e-3)
        assert intercept == pytest.approx(best[1], abs=2e-3)

    def test_what_the_score_separates_gives_no_certainty(self) -> None:
        (slope,), intercept = logistic_curve(
            np.array([[-1.0], [-2.0], [1.0], [2.0]]), np.array([False, False, True, True])
        )
        low, high = expit(slope * np.array([-2.0, 2.0]) + intercept)
        assert 0.1 < low < 0.3
        assert 0.7 < high < 0.9

    def test_a_score_that_is_worse_for_what_answers_gets_no_weight(self) -> None:
        weights, intercept = logistic_curve(
            np.array([[1.0, 0.0], [2.0, 1.0], [3.0, 0.0], [4.0, 1.0]]), np.array([True, True, False, False])
        )
        assert weights.tolist() == [0.0, 0.0]
        assert expit(intercept) == pytest.approx(0.5, abs=1e-3)

    def test_what_a_question_raises_for_all_its_candidates_does_not_count(self) -> None:
        found = fit_calibration("it", questions(), candidates=6, fitted_on=FITTED_ON)
        weights = found.alone.score
        assert weights.level < 0.1 < weights.above_mean + weights.above_others
        scores = np.array([0.0, 0.0, 3.0])
        np.testing.assert_allclose(found.probabilities(scores), found.probabilities(scores + 5), atol=0.05)

    def test_an_order_that_knows_nothing_adds_nothing_and_one_that_knows_does(self) -> None:
        noisy = questions(600, noise=1.0)
        knowing = [LabelledCandidates(scores=one.earlier, earlier=one.scores, answers=one.answers) for one in noisy]
        scores, level = np.array([0.0, 0.0, 2.0]), np.zeros(3)
        by_score = fit_calibration("it", noisy, candidates=6, fitted_on=FITTED_ON)
        assert np.ptp(by_score.fused_log_odds(scores, level)) > 10 * np.ptp(by_score.fused_log_odds(level, scores))
        twice = [LabelledCandidates(one.scores, one.scores, one.answers) for one in noisy]
        by_both = fit_calibration("it", twice, candidates=6, fitted_on=FITTED_ON)
        one_half = np.ptp(by_both.fused_log_odds(scores, level))
        assert one_half == pytest.approx(np.ptp(by_both.fused_log_odds(level, scores)), rel=0.01)
        with pytest.raises(CalibrationInvalid, match="nothing to calibrate"):
            fit_calibration("it", _turned(knowing), candidates=6, fitted_on=FITTED_ON)

    @pytest.mark.parametrize("answers", [[], [True, True], [False]])
    def test_candidates_of_one_kind_are_refused(self, answers: list[bool]) -> None:
        with pytest.raises(CalibrationInvalid, match="passages that answer") as refused:
            logistic_curve(np.zeros((len(answers), 1)), np.array(answers, dtype=bool))
        assert "gold questions" in refused.value.hint


def _turned(found: list[LabelledCandidates]) -> list[LabelledCandidates]:
    return [LabelledCandidates(-one.earlier, one.earlier, one.answers) for one in found]


class TestFile:
    def test_it_is_read_as_it_was_written(self, tmp_path: Path) -> None:
        save_calibration(tmp_path / "late.json", KNOWN)
        assert load_calibration(tmp_path / "late.json") == KNOWN
        assert load_calibration(tmp_path / "late.json", "late") == KNOWN
        assert [path.name for path in tmp_path.iterdir()] == ["late.json"]

    def test_that_of_another_reranker_is_refused(self, tmp_path: Path) -> None:
        save_calibration(tmp_path / "late.json", KNOWN)
        with pytest.raises(CalibrationInvalid, match="of the reranker 'late', not of 'lm'") as refused:
            load_calibration(tmp_path / "late.json", "lm")
        assert "asknotes eval calibrate --reranker lm" in refused.value.hint

    @pytest.mark.parametrize(
        ("damage", "place"),
        [
            (lambda content: content | {"version": 2}, "version"),
            (lambda content: content | {"more": 1}, "more"),
            (lambda content: content | {"candidates": "20"}, "candidates"),
            (lambda content: {key: value for key, value in content.items() if key != "alone"}, "alone"),
            (lambda content: content | {"alone": content["alone"] | {"intercept": float("nan")}}, "alone.intercept"),
            (lambda content: content | {"alone": content["alone"] | {"score": {"level": -1.0}}}, "alone.score.level"),
        ],
        ids=["version", "unknown key", "text for a number", "missing part", "no number", "negative weight"],
    )
    def test_a_damaged_one_is_refused_with_the_place(
        self, tmp_path: Path, damage: Callable[[dict[str, Any]], dict[str, Any]], place: str
    ) -> None:
        path = tmp_path / "late.json"
        path.write_text(json.dumps(damage(KNOWN.model_dump())), encoding="utf-8")
        with pytest.raises(CalibrationInvalid, match=f"{path}: {place}") as refused:
            load_calibration(path)
        assert "asknotes eval calibrate" in refused.value.hint

    @pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]"])
    def test_what_is_no_calibration_at_all_is_refused(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "late.json").write_bytes(content)
        with pytest.raises(CalibrationInvalid):
            load_calibration(tmp_path / "late.json")

    def test_a_file_or_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(CalibrationInvalid, match="cannot be read"):
            load_calibration(tmp_path / "none.json")
        with pytest.raises(StorageFailed):
            save_calibration(tmp_path / "none" / "late.json", KNOWN)
