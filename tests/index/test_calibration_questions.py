"""The everyday questions whose mean vector stands for a language."""

from __future__ import annotations

import pytest

from index.calibration_questions import CALIBRATION_QUESTIONS
from ingest.language import language_of


def test_there_are_as_many_questions_in_each_language_and_none_twice() -> None:
    assert CALIBRATION_QUESTIONS.keys() == {"zh", "en"}
    assert len(CALIBRATION_QUESTIONS["zh"]) == len(CALIBRATION_QUESTIONS["en"]) >= 40
    for questions in CALIBRATION_QUESTIONS.values():
        assert len(set(questions)) == len(questions)
        assert all(question == question.strip() and question for question in questions)


@pytest.mark.parametrize("language", CALIBRATION_QUESTIONS)
def test_every_question_is_in_its_language(language: str) -> None:
    assert [question for question in CALIBRATION_QUESTIONS[language] if language_of(question) != language] == []
