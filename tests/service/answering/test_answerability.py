"""How sure retrieval is: features worked out by hand, and a probability that grows with each of them."""

from __future__ import annotations

from dataclasses import astuple, fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.concepts import Concept
from index.config import IndexConfig, LateConfig
from index.tokenizer import Tokenizer
from service.answering import answerability
from service.answering.answerability import AnswerFeatures, answer_features, answerable_probability
from service.answering.query import Described
from tests.service.answering.small_indexes import asked, chunk, find, retrieved, snapshot_of
from tests.toys import ToyEncoder

# Without late interaction the token weights are equal and the vectors not centred: what a person can work out.
PLAIN = IndexConfig(late=LateConfig(enabled=False))
CHUNKS = [
    chunk("attention reads words", note="attention.md", language="en"),
    chunk("GQA 把 32 个头分成 8 组。", note="heads.md"),
]


def features(question: str, folder: Path) -> AnswerFeatures:
    snapshot = snapshot_of(CHUNKS, folder, PLAIN)
    hits = find(question, snapshot, config=PLAIN)
    return answer_features(asked(question), hits, snapshot, ToyEncoder(), Tokenizer())


def probability(question: str, folder: Path) -> float:
    snapshot = snapshot_of(CHUNKS, folder)
    return answerable_probability(asked(question), find(question, snapshot), snapshot, ToyEncoder(), Tokenizer())


class TestFeatures:
    def test_a_question_whose_words_all_stand_in_the_passage_has_all_of_them(self, tmp_path: Path) -> None:
        assert astuple(features("words attention reads", tmp_path)) == pytest.approx((1, 1, 1, 1, 0, 0), abs=1e-5)

    def test_the_match_is_the_mean_of_the_words_best_matches_and_the_weakest_fifth_that_of_the_worst(
        self, tmp_path: Path
    ) -> None:
        question = "attention reads words zyzzyva"
        passage = next(ToyEncoder().encode_passages(["attention reads words"])).token_vectors
        best = (asked(question).encoding.token_vectors @ passage.T).max(axis=1)
        found = features(question, tmp_path)
        assert found.match == pytest.approx((3 + best[3]) / 4, abs=1e-5)
        assert found.weakest == pytest.approx(best[3], abs=1e-5)

    def test_the_weakest_fifth_may_take_a_part_of_a_word(self) -> None:
        best, weights = np.array([0.9, 0.1, 0.5]), np.array([0.7, 0.15, 0.15])
        assert answerability._weakest(best, weights) == pytest.approx((0.1 * 0.15 + 0.5 * 0.05) / 0.2)

    def test_a_word_that_the_passage_lacks_counts_by_its_rarity(self, tmp_path: Path) -> None:
        snapshot = snapshot_of(CHUNKS, tmp_path, PLAIN)
        known, unknown = snapshot.lexical.idf(["attention", "zyzzyva"])
        assert features("attention zyzzyva", tmp_path).covered == pytest.approx(known / (known + unknown))
        assert unknown > known

    @pytest.mark.parametrize(
        ("question", "share"),
        [
            ("GQA 有几个头？", 1.0),
            ("MQA 有几个头？", 0.0),
            ("GQA 和 MQA 有几个头？", 0.5),
            ("头分成几组？", 1.0),
            ("How many heads has GQA?", 1.0),
            ("How many heads has MQA?", 0.0),
            ("Which heads are grouped?", 1.0),
        ],
    )
    def test_names_of_the_question_must_stand_in_the_passages(
        self, tmp_path: Path, question: str, share: float
    ) -> None:
        assert features(question, tmp_path).names == share


DESCRIBED = Concept(("GQA",), ("several readers share one notebook", "readers that share a notebook between them"))


QUESTION = "several readers share one notebook"


def found_with_concepts(question: str, folder: Path, *, looked_for: bool = True) -> tuple[AnswerFeatures, float]:
    """As the service finds hits, and what it makes of them."""
    snapshot = snapshot_of(CHUNKS, folder, concepts=[DESCRIBED])
    assert snapshot.concepts is not None
    query = asked(question)
    if looked_for:
        query = replace(query, described=Described(snapshot.concepts.matches(query.tokens, query.encoding.vector), 4.0))
    hits = retrieved(query, snapshot).hits
    tools = (snapshot, ToyEncoder(), Tokenizer())
    return answer_features(query, hits, *tools), answerable_probability(query, hits, *tools)


def test_a_passage_that_names_what_the_question_describes_answers_it_more_likely(tmp_path: Path) -> None:
    found, probable = found_with_concepts(QUESTION, tmp_path)
    other, improbable = found_with_concepts("nobody has heard of any of it", tmp_path)
    assert found.described > 0
    assert other.described == 0
    assert found.field > other.field
    assert probable > improbable
    by_hand = np.array(astuple(found)) @ answerability._INFORMED + answerability._INFORMED_INTERCEPT
    assert probable == pytest.approx(1 / (1 + np.exp(-by_hand)))


def test_where_it_was_not_looked_for_what_is_described_nothing_is_made_of_it(tmp_path: Path) -> None:
    found, probable = found_with_concepts(QUESTION, tmp_path, looked_for=False)
    assert (found.described, found.field) == (0, 0)
    by_hand = np.array(astuple(found)) @ answerability._PLAIN + answerability._PLAIN_INTERCEPT
    assert probable == pytest.approx(1 / (1 + np.exp(-by_hand)))


SHARES = st.floats(0, 1)


@given(
    st.builds(AnswerFeatures, *[SHARES] * len(fields(AnswerFeatures))),
    st.sampled_from([field.name for field in fields(AnswerFeatures)]),
    SHARES,
    st.sampled_from([answerability._PLAIN, answerability._INFORMED]),
)
def test_more_of_a_feature_never_makes_an_answer_less_likely(
    low: AnswerFeatures, name: str, more: float, weights: np.ndarray
) -> None:
    high = replace(low, **{name: min(1.0, getattr(low, name) + more)})
    logits = [weights @ np.array(astuple(each)) for each in (low, high)]
    assert logits[0] <= logits[1]


def test_the_notes_own_words_are_likely_answered_and_strange_ones_not(tmp_path: Path) -> None:
    assert 0.9 < probability("attention reads words", tmp_path) < 1
    assert 0 < probability("XYZ 的天气怎么样？", tmp_path) < 0.1


def test_without_hits_nothing_is_answered(tmp_path: Path) -> None:
    snapshot = snapshot_of([], tmp_path)
    assert answerable_probability(asked("注意力"), [], snapshot, ToyEncoder(), Tokenizer()) == 0.0
