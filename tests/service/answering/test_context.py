"""From hits to sentences: which of them meet the question, and which are shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.config import IndexConfig, LateConfig
from index.passages import embedded_text
from service.answering.context import Sentence, choose_sentences, score_sentences
from tests.service.answering.small_indexes import asked, chunk, find, snapshot_of
from tests.toys import ToyEncoder

TEXT = "词频的作用会饱和。逆文档频率看重少见的词。太长的文档会被压低分数。"
CHUNKS = [
    chunk(TEXT, heading=("检索", "BM25 怎么打分？")),
    chunk("Grind the beans.\n\nBrew them hot.", note="coffee.md", heading=("Coffee",), language="en"),
    chunk("学习率先升后降。", note="training.md"),
]
CONFIGS = [IndexConfig(), IndexConfig(late=LateConfig(enabled=False))]


def sentences(question: str, folder: Path, config: IndexConfig = CONFIGS[0]) -> list[Sentence]:
    snapshot = snapshot_of(CHUNKS, folder, config)
    hits = find(question, snapshot, config=config)
    return score_sentences(asked(question), hits, snapshot, ToyEncoder())


@pytest.mark.parametrize("config", CONFIGS, ids=["late interaction", "vectors made anew"])
class TestScoring:
    def test_the_sentence_with_the_questions_words_scores_best(self, tmp_path: Path, config: IndexConfig) -> None:
        best = max(sentences("逆文档频率看重什么", tmp_path, config), key=lambda sentence: sentence.score)
        assert best.text == "逆文档频率看重少见的词。"
        assert (best.chunk, best.position) == (CHUNKS[0], 1)

    def test_every_sentence_of_every_hit_is_there_in_reading_order(self, tmp_path: Path, config: IndexConfig) -> None:
        found = sentences("词频", tmp_path, config)
        assert [(sentence.hit, sentence.position) for sentence in found] == sorted(
            (sentence.hit, sentence.position) for sentence in found
        )
        for each in CHUNKS:
            assert "".join(sentence.text for sentence in found if sentence.chunk == each) == each.text


def test_a_sentences_tokens_are_those_of_its_own_text(tmp_path: Path) -> None:
    for sentence in sentences("词频", tmp_path):
        text = embedded_text(sentence.chunk)
        own = ToyEncoder().passage_spans(text)[slice(*sentence.tokens)]
        assert text[own[0][0] : own[-1][1]] == sentence.text.strip()


def test_a_heading_that_answers_lifts_all_its_sentences_alike(tmp_path: Path) -> None:
    found = [s for s in sentences("BM25 怎么打分", tmp_path) if s.chunk == CHUNKS[0]]
    assert max(s.score for s in found) - min(s.score for s in found) < 0.1


def test_what_the_encoder_cut_off_has_no_tokens_and_is_still_a_sentence(tmp_path: Path) -> None:
    encoder = ToyEncoder(max_tokens=12)
    snapshot = snapshot_of(CHUNKS[2:], tmp_path)
    long = chunk("学习率先升后降。" * 3, note="training.md")
    snapshot.rows_by_id[long.id] = 0  # type: ignore[index] # a chunk whose end was never read
    hits = [type(find("学习率", snapshot)[0])(long, 1.0)]
    found = score_sentences(asked("学习率"), hits, snapshot, encoder)
    assert [sentence.tokens for sentence in found] == [(0, 8), (8, 12), (12, 12)]
    assert found[0].score > found[2].score


def test_no_hits_are_no_sentences(tmp_path: Path) -> None:
    assert score_sentences(asked("词频"), [], snapshot_of(CHUNKS, tmp_path), ToyEncoder()) == []


def sentence(hit: int, position: int, text: str, score: float) -> Sentence:
    return Sentence(hit, position, CHUNKS[0], text, score)


SENTENCES = st.lists(
    st.builds(
        sentence,
        st.integers(0, 3),
        st.integers(0, 9),
        st.text("词频会饱和", min_size=1, max_size=30),
        st.floats(0, 1),
    ),
    max_size=12,
    unique_by=lambda s: (s.hit, s.position),
)


class TestChoosing:
    @given(SENTENCES, st.integers(1, 80))
    def test_the_best_one_is_shown_and_the_rest_as_far_as_they_fit(self, given: list[Sentence], budget: int) -> None:
        chosen = choose_sentences(given, budget=budget, cost=len)
        assert len(chosen) <= 1 or sum(len(s.text) for s in chosen) <= budget
        assert [(s.hit, s.position) for s in chosen] == sorted((s.hit, s.position) for s in chosen)
        assert len(set(map(id, chosen))) == len(chosen)
        if given:
            assert max(s.score for s in given) == max(s.score for s in chosen)

    def test_the_best_one_is_shown_even_where_it_does_not_fit(self) -> None:
        only = sentence(0, 0, "词" * 50, 0.5)
        assert choose_sentences([only], budget=10, cost=len) == [only]

    def test_a_shorter_one_is_taken_where_a_better_one_does_not_fit(self) -> None:
        best, too_long, short = (
            sentence(0, 2, "词" * 5, 0.9),
            sentence(0, 1, "频" * 9, 0.89),
            sentence(0, 0, "会", 0.88),
        )
        assert choose_sentences([short, too_long, best], budget=10, cost=len) == [short, best]

    def test_the_price_is_the_callers(self) -> None:
        pair = [sentence(0, 0, "词频", 0.9), sentence(0, 1, "饱和", 0.9)]
        assert choose_sentences(pair, budget=10, cost=lambda _: 6) == pair[:1]

    def test_of_nothing_nothing_is_chosen(self) -> None:
        assert choose_sentences([], budget=10, cost=len) == []
