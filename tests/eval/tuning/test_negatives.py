"""Mined negatives: ranked high, below the positive, and never what answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eval.indexes import Indexes
from eval.tuning.negatives import MinedPair, mine_negatives, most_allowed
from eval.tuning.pairs import Pair
from eval.tuning.trial import BASE_SYSTEM, PassagesSource
from index.late import TokenVectors
from index.progress import Unheard
from index.schema import Chunk
from tests.eval.small_notes import SECTIONS, TeaNotes

CHUNKS = [Chunk(title, "tea.md", (title,), text, (1, 1)) for title, text in SECTIONS.items()]
QUESTION = "绿茶用八十度的水冲泡几分钟？"


def mined(
    tea: TeaNotes, folder: Path, pair: Pair, *, hidden: frozenset[str] = frozenset()
) -> tuple[MinedPair, dict[str, float]]:
    """The mined pair, and late interaction's score of every passage for its question."""
    with Indexes(PassagesSource(CHUNKS, folder), tea.settings, Unheard()) as indexes:
        index = indexes.prepare(BASE_SYSTEM.applied_to(tea.settings))
        (found,) = mine_negatives([pair], index, BASE_SYSTEM, hidden=hidden, listener=Unheard())
        late = index.tools.snapshot.late
        assert late is not None
        asked = index.encoder.encode_query(pair.question)
        scores = late.scores(TokenVectors(asked.token_vectors, asked.token_ids, "zh"), np.arange(len(CHUNKS)))
    return found, dict(zip([chunk.id for chunk in CHUNKS], scores.tolist(), strict=True))


def pair(passage: str, *more: str) -> Pair:
    return Pair(QUESTION, passage, "file", "", frozenset({passage, *more}))


def test_negatives_score_below_95_percent_of_the_positive_and_exclude_it(tea: TeaNotes, tmp_path: Path) -> None:
    found, scores = mined(tea, tmp_path, pair("绿茶"))
    assert "绿茶" not in found.negatives
    assert len(found.negatives) >= 5
    assert all(scores[one] < 0.95 * scores["绿茶"] for one in found.negatives)


def test_what_scores_like_the_positive_or_better_is_doubtful_not_negative(tea: TeaNotes, tmp_path: Path) -> None:
    found, scores = mined(tea, tmp_path, pair("红茶"))
    assert scores["绿茶"] > scores["红茶"], "the question is about another passage"
    assert "绿茶" in found.doubtful
    assert "绿茶" not in found.negatives
    assert found.doubtful == {"红茶"} | {one for one in scores if scores[one] >= 0.95 * scores["红茶"]}


def test_other_answers_and_held_out_passages_are_never_negatives(tea: TeaNotes, tmp_path: Path) -> None:
    hardest = mined(tea, tmp_path, pair("绿茶"))[0].negatives
    answers, _ = mined(tea, tmp_path, pair("绿茶", hardest[0]))
    assert hardest[0] in answers.doubtful
    assert hardest[0] not in answers.negatives
    hidden, _ = mined(tea, tmp_path, pair("绿茶"), hidden=frozenset(hardest[:2]))
    assert hidden.negatives == hardest[2:]


@pytest.mark.parametrize("positive", [0.5, -0.5])
def test_the_bound_is_below_the_positive_whatever_its_sign(positive: float) -> None:
    assert most_allowed(positive) < positive
