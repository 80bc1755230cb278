"""What goes into a batch: each question once, each passage once, sections together."""

from __future__ import annotations

import random
from collections import Counter

from eval.tuning.batching import epoch_batches
from eval.tuning.negatives import MinedPair
from eval.tuning.pairs import Pair

SECTIONS = {f"{section}.{number}": str(section) for section in range(8) for number in range(4)}


def mined(*, questions: int = 3) -> list[MinedPair]:
    pairs = [Pair(f"{p}?{q}", p, "file", "", frozenset({p})) for p in SECTIONS for q in range(questions)]
    return [MinedPair(pair, tuple(p for p in SECTIONS if p != pair.passage), pair.answers) for pair in pairs]


def batches(seed: int = 0, *, negatives: int = 1) -> list[list[str]]:
    shuffling = random.Random(seed)  # noqa: S311 - an order that can be had again, no secret
    made = epoch_batches(mined(), SECTIONS, shuffling, size=12, negatives=negatives)
    for batch in made:
        assert len(batch.pairs) <= 12
        own = [one.pair.passage for one in batch.pairs]
        assert list(batch.passages[: len(own)]) == own, "each question's own passage, once"
        assert len(set(batch.passages)) == len(batch.passages) <= len(own) * (1 + negatives)
    return [[one.pair.question for one in batch.pairs] for batch in made]


def test_every_question_is_asked_once() -> None:
    asked = Counter(question for batch in batches() for question in batch)
    assert asked == Counter(one.pair.question for one in mined())


def test_passages_of_one_section_meet_in_a_batch() -> None:
    for batch in batches():
        sections = Counter(question.split(".")[0] for question in batch)
        assert len(sections) < len(batch), "no batch is of different sections only"


def test_the_order_is_the_seed_s() -> None:
    assert batches(1) == batches(1) != batches(2)


def test_without_mined_negatives_only_the_questions_own_passages_are_there() -> None:
    made = epoch_batches(mined(), SECTIONS, random.Random(0), size=12, negatives=0)  # noqa: S311 - as above
    assert [list(batch.passages) for batch in made] == [[one.pair.passage for one in batch.pairs] for batch in made]
