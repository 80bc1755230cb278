"""Writing and checking in one: what is kept of a draft, and when the model is stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from index.errors import GenerationFailed
from index.snapshot import Snapshot
from index.tokenizer import Tokenizer
from service.answering.composing import CitedSentence
from service.answering.context import score_sentences
from service.answering.timings import Timings
from service.answering.writing import Checker, write_checked
from tests.service.answering.small_indexes import asked, chunk, find, snapshot_of
from tests.service.answering.toy_language_model import ToyLanguageModel
from tests.toys import ToyEncoder

CHUNKS = [
    chunk("词频的作用会饱和。逆文档频率看重少见的词。", heading=("BM25",)),
    chunk("注意力让每个词看见其他词。GQA 把 32 个头分成 8 组。", note="attention.md", heading=("注意力",)),
]
QUESTION = "词频和逆文档频率"


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    return snapshot_of(CHUNKS, tmp_path)


def checker_of(snapshot: Snapshot, question: str = QUESTION) -> Checker:
    query = asked(question)
    shown = score_sentences(query, find(question, snapshot), snapshot, ToyEncoder())
    return Checker(query, shown, snapshot, ToyEncoder(), Tokenizer(), min_support=0.5)


def write(
    snapshot: Snapshot, *pieces: str, question: str = QUESTION, model: ToyLanguageModel | None = None
) -> tuple[list[CitedSentence], list[str]]:
    """What is kept, and the pieces that were passed on."""
    writing = write_checked(
        model or ToyLanguageModel(pieces),
        checker_of(snapshot, question),
        max_new_tokens=50,
        stop=lambda: False,
        timings=Timings(),
    )
    heard: list[str] = []
    while True:
        try:
            heard.append(next(writing).text)
        except StopIteration as end:
            return end.value, heard


def texts(kept: list[CitedSentence]) -> list[str]:
    return [sentence.text for sentence in kept]


def test_sentences_are_kept_with_their_sources_and_every_piece_is_passed_on(snapshot: Snapshot) -> None:
    kept, heard = write(snapshot, "词频的作用", "会饱和。", "逆文档频率看重少见的词。")
    assert texts(kept) == ["词频的作用会饱和。", "逆文档频率看重少见的词。"]
    assert [sentence.source.text for sentence in kept] == ["词频的作用会饱和。", "逆文档频率看重少见的词。"]
    assert "".join(heard) == "词频的作用会饱和。逆文档频率看重少见的词。"


def test_the_first_unsupported_sentence_ends_the_draft_and_stops_the_model(snapshot: Snapshot) -> None:
    model = ToyLanguageModel(["月亮离地球 38 万公里。", "词频的", "作用会饱和。", "逆文档频率看重少见的词。"])
    kept, _ = write(snapshot, model=model)
    assert kept == []
    assert model.closed
    assert len(model.given) < len(model.pieces)


def test_a_bad_sentence_after_good_ones_rejects_them_too(snapshot: Snapshot) -> None:
    assert write(snapshot, "词频的作用会饱和。", "月亮离地球很远。")[0] == []


def test_what_the_token_limit_cut_off_is_dropped(snapshot: Snapshot) -> None:
    kept, _ = write(snapshot, "词频的作用会饱和。", "逆文档频率看")
    assert texts(kept) == ["词频的作用会饱和。"]


def test_a_single_sentence_without_a_full_stop_is_still_an_answer(snapshot: Snapshot) -> None:
    assert texts(write(snapshot, "逆文档频率看重少见的词")[0]) == ["逆文档频率看重少见的词"]


@pytest.mark.parametrize("lead_in", ["主要有以下几点：\n", "词频和逆文档频率。\n", "\n\n"])
def test_what_says_nothing_is_passed_over(snapshot: Snapshot, lead_in: str) -> None:
    assert texts(write(snapshot, lead_in, "- 词频的作用会饱和。")[0]) == ["词频的作用会饱和。"]


def test_a_repeated_sentence_is_kept_once(snapshot: Snapshot) -> None:
    assert texts(write(snapshot, *["词频的作用会饱和。"] * 3)[0]) == ["词频的作用会饱和。"]


def test_list_marks_emphasis_and_the_models_own_citations_are_taken_off(snapshot: Snapshot) -> None:
    assert texts(write(snapshot, "- **词频**的作用会饱和 [7]。")[0]) == ["词频的作用会饱和。"]


def test_a_refusal_rejects_the_draft(snapshot: Snapshot) -> None:
    assert write(snapshot, "笔记没有提到这个问题。")[0] == []


def test_a_sentence_in_another_language_rejects_the_draft(snapshot: Snapshot) -> None:
    assert write(snapshot, "Term frequency saturates. ")[0] == []


def test_a_model_that_fails_says_so_and_the_time_is_still_measured(snapshot: Snapshot) -> None:
    timings = Timings()
    writing = write_checked(
        ToyLanguageModel(["词频", "的作用"], fails_after=1),
        checker_of(snapshot),
        max_new_tokens=50,
        stop=lambda: False,
        timings=timings,
    )
    with pytest.raises(GenerationFailed):
        list(writing)
    assert {"first_token", "writing"} <= timings.stages.keys()
