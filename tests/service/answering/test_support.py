"""What counts as said by the notes, and what as invented."""

from __future__ import annotations

from pathlib import Path

import pytest

from index.config import IndexConfig, LateConfig
from index.tokenizer import Tokenizer
from service.answering.context import Sentence, score_sentences
from service.answering.support import Support, copied_share, find_support, invented_details, without_marks
from tests.service.answering.small_indexes import asked, chunk, find, snapshot_of
from tests.toys import ToyEncoder

CHUNKS = [
    chunk("词频的作用会饱和。逆文档频率看重少见的词。\n- k1 取 1.5，b 取 0.75。", heading=("BM25",)),
    chunk("注意力让每个词看见其他词。GQA 把 32 个头分成 8 组。", note="attention.md", heading=("注意力",)),
    chunk("Adam keeps 2 moments. It was published in 2014.", note="adam.md", heading=("Optimisers",), language="en"),
]
CONFIGS = [IndexConfig(), IndexConfig(late=LateConfig(enabled=False))]


def support(
    written: str,
    folder: Path,
    *,
    question: str = "它怎么做？",
    config: IndexConfig = CONFIGS[0],
    shown: list[Sentence] | None = None,
) -> Support:
    snapshot = snapshot_of(CHUNKS, folder, config)
    hits = find(question, snapshot, config=config)
    passages = score_sentences(asked(question), hits, snapshot, ToyEncoder()) if shown is None else shown
    return find_support(
        written,
        question=question,
        passages=passages,
        snapshot=snapshot,
        encoder=ToyEncoder(),
        tokenizer=Tokenizer(),
        minimum=0.5,
    )


@pytest.mark.parametrize("config", CONFIGS, ids=["late interaction", "vectors made anew"])
@pytest.mark.parametrize(
    ("written", "note", "position"),
    [
        ("词频的作用会饱和。", "a.md", 0),
        ("逆文档频率看重少见的词。", "a.md", 1),
        ("注意力让每个词看见其他词。", "attention.md", 0),
        ("GQA 把 32 个头分成 8 组。", "attention.md", 1),
    ],
)
def test_a_sentence_of_the_notes_is_supported_by_itself(
    tmp_path: Path, config: IndexConfig, written: str, note: str, position: int
) -> None:
    found = support(written, tmp_path, config=config)
    assert found.source is not None
    assert (found.source.chunk.note, found.source.position) == (note, position)
    assert found.copied == 1.0
    assert found.invented == ()


class TestUnsupported:
    def test_a_number_that_stands_nowhere(self, tmp_path: Path) -> None:
        found = support("GQA 把 64 个头分成 8 组。", tmp_path)
        assert (found.source, found.invented) == (None, ("64",))

    def test_a_name_that_stands_nowhere(self, tmp_path: Path) -> None:
        found = support("MQA 把 32 个头分成 8 组。", tmp_path)
        assert (found.source, found.invented) == (None, ("MQA",))

    def test_a_sentence_about_something_else(self, tmp_path: Path) -> None:
        found = support("学习率先升后降，训练才稳。", tmp_path)
        assert found.source is None
        assert found.invented == ()

    def test_a_sentence_put_together_from_two_passages(self, tmp_path: Path) -> None:
        assert support("每个词看见其他词，看重少见的词，先升后降。", tmp_path).source is None

    @pytest.mark.parametrize("written", ["", "  "])
    def test_a_sentence_without_words(self, tmp_path: Path, written: str) -> None:
        assert support(written, tmp_path).source is None

    def test_anything_where_no_passage_is_shown(self, tmp_path: Path) -> None:
        found = support("词频的作用会饱和。", tmp_path, shown=[])
        assert (found.source, found.similarity) == (None, -1.0)


def test_the_models_own_marks_point_nowhere(tmp_path: Path) -> None:
    marked, plain = (support(text, tmp_path) for text in ("词频的作用会饱和 [7]。", "词频的作用会饱和。"))
    assert marked == plain
    assert marked.source is not None


def test_two_neighbouring_sentences_may_support_one(tmp_path: Path) -> None:
    found = support("词频的作用会饱和，逆文档频率看重少见的词。", tmp_path)
    assert found.source is not None
    assert (found.source.chunk.note, found.source.position) == ("a.md", 1)


def test_a_number_of_the_question_is_not_invented(tmp_path: Path) -> None:
    assert support("1999 的词频会饱和。", tmp_path, question="1999 年怎么样？").invented == ()


class TestMarks:
    @pytest.mark.parametrize(
        ("text", "bare"),
        [
            ("会饱和[1]。", "会饱和。"),
            ("It saturates [12].", "It saturates."),
            ("一[1][2]二 [3]", "一二"),
            ("取 `a[0]` 的值[1]。", "取 `a[0]` 的值。"),
            ("```py\nx[1] = y[2]\n```\n[3]", "```py\nx[1] = y[2]\n```"),
            ("[见上] [a1]", "[见上] [a1]"),
        ],
    )
    def test_marks_go_and_code_stays(self, text: str, bare: str) -> None:
        assert without_marks(text) == bare


class TestInvention:
    @pytest.mark.parametrize(
        ("sentence", "sources", "invented"),
        [
            ("头数是 32。", "共 32 个头", ()),
            ("头数是 32。", "共 132 个头", ("32",)),
            ("发表于 20 年前。", "2017 年发表", ("20",)),
            ("占 0.75。", "b 取 0.75", ()),
            ("占 75%。", "b 取 0.75", ("75",)),
            ("词表有 32,000 个。", "词表 32000 个", ()),
            ("词表有 32000 个。", "词表 32,000 个", ()),
            ("词表有 ３２ 个。", "词表 32 个", ()),
            ("第 3 步，共 5 步。", "没有数字", ()),
            ("它用 RoPE。", "位置用 rope 编码", ()),
            ("它用 ALiBi。", "位置用 rope 编码", ("ALiBi",)),
            ("用了 transformers。", "Transformer 模型", ()),
            ("BERT 有 12 层，GPT 有 96 层。", "没有", ("12", "96", "BERT", "GPT")),
        ],
    )
    def test_in_a_chinese_sentence_every_latin_word_and_every_longer_number_must_stand_somewhere(
        self, sentence: str, sources: str, invented: tuple[str, ...]
    ) -> None:
        assert invented_details(sentence, sources, Tokenizer()) == invented

    @pytest.mark.parametrize(
        ("sentence", "invented"),
        [
            ("Attention looks at every word.", ()),
            ("This is common practice.", ()),
            ("It was shown by Vaswani in a paper.", ("Vaswani",)),
            ("It uses GPT-4 for that.", ("GPT-4",)),
            ("It works. Nobody knows why.", ()),
            ("Note: Everything is fine.", ()),
        ],
    )
    def test_in_an_english_one_only_capitals_and_digits_inside_of_it(
        self, sentence: str, invented: tuple[str, ...]
    ) -> None:
        assert invented_details(sentence, "attention looks at words", Tokenizer()) == invented


class TestCopiedShare:
    def test_a_copy_is_one_and_a_stranger_zero(self) -> None:
        assert copied_share("词频的作用会饱和", "词频的作用会饱和。", "", ()) == 1.0
        assert copied_share("学习率先升后降", "词频的作用会饱和。", "", ()) == 0.0

    def test_half_of_the_trigrams_is_a_half(self) -> None:
        assert copied_share("甲乙丙丁", "甲乙丙", "", ()) == 0.5

    def test_what_the_question_said_does_not_count(self) -> None:
        assert copied_share("甲乙丙丁", "甲乙丙", "乙丙丁", ()) == 1.0
        assert copied_share("甲乙丙", "无", "甲乙丙", ()) == 1.0

    def test_the_heading_counts(self) -> None:
        assert copied_share("甲乙丙丁", "甲乙丙", "", ("乙丙丁",)) == 1.0

    def test_across_scripts_it_cannot_tell(self) -> None:
        assert copied_share("Frequencies saturate.", "词频会饱和。", "", ()) == 1.0
