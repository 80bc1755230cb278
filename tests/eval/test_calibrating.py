"""Calibrating: which candidates are scored, how reliability is measured, and that no question measures itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest

from eval import calibrating
from eval.calibrating import (
    FOLDS,
    ScoredQuestion,
    area_under_curve,
    calibrate,
    check_calibration,
    expected_calibration_error,
    reliability,
    scored_questions,
)
from eval.gold import Gold, GoldInvalid, read_gold
from index.errors import ConfigInvalid, WeightsMissing
from index.progress import Unheard
from service.answering.rerank import never
from service.answering.reranking.calibration import CalibrationInvalid, LabelledCandidates
from tests.eval.small_notes import QUESTIONS, TeaNotes, write_lines


def asked(name: str, answers: Sequence[bool], scores: Sequence[float], *, answerable: bool = True) -> ScoredQuestion:
    candidates = LabelledCandidates(np.array(scores), np.arange(len(scores), 0.0, -1.0), np.array(answers, dtype=bool))
    return ScoredQuestion(name, answerable, candidates)


class TestMeasures:
    def test_the_calibration_error_by_hand(self) -> None:
        said = np.array([0.05, 0.05, 0.15, 0.95, 1.0])
        so = np.array([False, True, False, True, True])
        # Bins: two say .05 and half are so; one says .15 and is not; two say .975 and are.
        assert expected_calibration_error(said, so) == pytest.approx((2 * 0.45 + 0.15 + 2 * 0.025) / 5)
        assert expected_calibration_error(np.array([0.0, 1.0]), np.array([False, True])) == 0.0

    @pytest.mark.parametrize(
        ("scores", "positive", "area"),
        [
            ([1, 2, 3, 4], [0, 0, 1, 1], 1.0),
            ([4, 3, 2, 1], [0, 0, 1, 1], 0.0),
            ([1, 3, 2, 4], [0, 0, 1, 1], 0.75),
            ([1, 1, 1], [0, 1, 0], 0.5),
            ([1, 2], [1, 1], None),
        ],
    )
    def test_the_area_under_the_curve_by_hand(
        self, scores: list[float], positive: list[int], area: float | None
    ) -> None:
        assert area_under_curve(np.array(scores), np.array(positive, dtype=bool)) == area

    def test_all_measures_of_three_questions_by_hand(self) -> None:
        questions = [
            asked("a", [False, True], [0.2, 0.8]),
            asked("b", [True, False], [0.4, 0.6]),
            asked("c", [False, False], [0.3, 0.1], answerable=False),
        ]
        found = reliability(questions, lambda one: one.candidates.scores)
        assert (found.candidates, found.answering) == (6, 2)
        assert found.brier == pytest.approx((0.04 + 0.04 + 0.36 + 0.36 + 0.09 + 0.01) / 6)
        assert found.base_brier == pytest.approx(2 / 9)
        assert found.auc == pytest.approx(7 / 8)  # .4 is below .6, all other pairs are right
        assert found.abstention_auc == 1.0
        assert found.mrr == pytest.approx((1 + 1 / 2) / 2)  # the unanswerable one does not count
        assert found.best_calibration_error == pytest.approx((0.2 + 0.6 + 0.3) / 3)

    def test_without_unanswerable_questions_nothing_is_said_of_abstention(self) -> None:
        found = reliability([asked("a", [True, False], [0.9, 0.1])], lambda one: one.candidates.scores)
        assert found.abstention_auc is None


class LikesWords:
    """A reranker that counts the characters that question and passage share."""

    name = "words"

    def __init__(self) -> None:
        self.read: list[tuple[str, list[str]]] = []

    def scores(self, question: str, passages: Sequence[str], *, stop: Callable[[], bool] = never) -> np.ndarray:
        self.read.append((question, list(passages)))
        return np.array([len(set(question) & set(passage)) for passage in passages], dtype=np.float32)


class TestCandidates:
    def test_late_interaction_is_scored_as_it_is(self, tea: TeaNotes) -> None:
        found = scored_questions(read_gold(tea.gold), "late", tea.settings, candidates=5, listener=Unheard())
        assert [question.id for question in found] == [question["id"] for question in QUESTIONS]
        assert [question.answerable for question in found] == [True, True, True, True, False]
        for question in found:
            assert len(question.candidates.scores) == 5
        assert all(one >= other for one, other in pairwise(found[0].candidates.earlier))
        assert found[0].candidates.answers.sum() == 1
        assert found[1].candidates.answers.sum() == 2
        assert not found[4].candidates.answers.any()

    def test_a_model_reads_what_late_interaction_puts_first(
        self, tea: TeaNotes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = LikesWords()
        monkeypatch.setattr(calibrating, "reranker_of", lambda _settings, _name, _model: model)
        late = scored_questions(read_gold(tea.gold), "late", tea.settings, candidates=4, listener=Unheard())
        found = scored_questions(read_gold(tea.gold), "words", tea.settings, candidates=4, listener=Unheard())
        assert [len(passages) for _, passages in model.read] == [4] * 5
        assert model.read[0][0] == QUESTIONS[0]["question"]
        assert "绿茶" in "".join(model.read[0][1])
        for one, other in zip(found, late, strict=True):
            np.testing.assert_array_equal(one.candidates.earlier, other.candidates.earlier)
            np.testing.assert_array_equal(one.candidates.answers, other.candidates.answers)
            assert not np.array_equal(one.candidates.scores, other.candidates.scores)

    def test_as_many_are_read_as_a_search_reads(self, tea: TeaNotes) -> None:
        settings = tea.settings
        answering = settings.answering.model_copy(update={"rerank_candidates": 3})
        found = scored_questions(
            read_gold(tea.gold), "late", settings.model_copy(update={"answering": answering}), listener=Unheard()
        )
        assert {len(question.candidates.scores) for question in found} == {3}

    def test_what_cannot_be_opened_is_said_before_the_work(self, tea: TeaNotes) -> None:
        gold = read_gold(tea.gold)
        with pytest.raises(WeightsMissing, match="neither a folder"):
            scored_questions(gold, "no/such/folder/here", tea.settings, listener=Unheard())
        with pytest.raises(ConfigInvalid, match="no model that could be opened"):
            scored_questions(gold, "none", tea.settings, listener=Unheard())
        answering = tea.settings.answering.model_copy(update={"model": "none"})
        without = tea.settings.model_copy(update={"answering": answering})
        with pytest.raises(WeightsMissing, match="asks the language model, and none is loaded"):
            scored_questions(gold, "lm-likelihood", without, listener=Unheard())

    def test_a_gold_set_without_evidence_is_refused(self, tea: TeaNotes) -> None:
        write_lines(tea.gold, QUESTIONS[4:])
        with pytest.raises(GoldInvalid, match="no question is answerable"):
            scored_questions(read_gold(tea.gold), "late", tea.settings, listener=Unheard())


@pytest.fixture
def gold(tea: TeaNotes) -> Gold:
    return read_gold(tea.gold)


def many(count: int = 40) -> list[ScoredQuestion]:
    """Questions of which the best candidate mostly answers."""
    random = np.random.default_rng(0)
    found = []
    for number in range(count):
        scores = np.sort(random.normal(size=5))[::-1]
        answers = np.arange(5) == (0 if random.random() < 0.8 else 2)
        found.append(asked(f"q{number}", answers.tolist(), scores.tolist()))
    return found


class TestCalibrate:
    def test_the_curve_is_of_all_questions_and_the_figures_of_those_left_out(self, gold: Gold) -> None:
        questions = many()
        report = calibrate(gold, "it", questions)
        assert report.held_out
        assert report.calibration.fitted_on.model_dump() == {
            "gold": gold.name,
            "sha256": gold.sha256,
            "questions": 40,
            "passages": 200,
            "answering": 40,
        }
        assert report.calibration.candidates == 5
        itself = check_calibration(report.calibration, questions)
        assert not itself.held_out
        assert itself.calibration == report.calibration
        assert report.alone.brier > itself.alone.brier
        assert report.alone.auc is not None
        assert report.alone.auc > 0.7
        assert report.earlier_mrr == report.alone.mrr

    def test_a_question_has_no_part_in_what_it_is_measured_with(
        self, gold: Gold, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        questions = many()
        fitted: list[set[str]] = []
        original = calibrating._fitted

        def watched(gold: Gold, reranker: str, some: Sequence[ScoredQuestion]) -> object:
            fitted.append({question.id for question in some})
            return original(gold, reranker, some)

        monkeypatch.setattr(calibrating, "_fitted", watched)
        calibrate(gold, "it", questions)
        everything = {question.id for question in questions}
        left_out = [everything - some for some in fitted if some != everything]
        assert len(left_out) == FOLDS
        assert set().union(*left_out) == everything
        assert sum(map(len, left_out)) == len(everything)

    def test_it_is_json_ready(self, gold: Gold) -> None:
        said = calibrate(gold, "it", many()).as_json()
        assert said["calibration"]["reranker"] == "it"
        assert said["held_out"] is True
        assert set(said["fused"]) == {field.name for field in dataclasses.fields(calibrating.Reliability)}

    def test_candidates_of_which_none_answers_are_refused(self, gold: Gold) -> None:
        with pytest.raises(CalibrationInvalid, match="not 0 and 8"):
            calibrate(gold, "it", [asked(str(number), [False, False], [1.0, 0.0]) for number in range(5)])
