from __future__ import annotations

import pytest

from index.errors import QuestionInvalid
from service.question import checked_question


def test_a_question_loses_only_the_white_space_around_it() -> None:
    assert checked_question("  BM25 的 k1？\n", max_chars=20) == "BM25 的 k1？"


@pytest.mark.parametrize("question", ["", " \n\t", "？！…", "茶\0", "茶\ud800"])
def test_what_is_no_question_is_refused(question: str) -> None:
    with pytest.raises(QuestionInvalid):
        checked_question(question, max_chars=20)


def test_the_longest_question_is_taken_and_one_character_more_is_not() -> None:
    assert checked_question("茶" * 20, max_chars=20)
    with pytest.raises(QuestionInvalid, match="21 characters; at most 20"):
        checked_question("茶" * 21, max_chars=20)
