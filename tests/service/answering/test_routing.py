"""What kind of question it is by its form, and the questions that it consists of."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from index.tokenizer import Tokenizer
from service.answering.routing import Routed, route

TOKENIZER = Tokenizer()
# fmt: off
PIECES = [
    "和", "、", "与", "，", ",", "。", "？", "?", ";", " ", "\n", "《", "》", '"', "()", "\ud83d", "\u200b", "１",
    "BM25", "词频", "饱和", "区别", "有什么", "的", "分别", "都", "两者", "比较", "请问", "为什么", "vs.",
    "compare ", " and ", "difference between ", "how does ", " differ from ",
]
# fmt: on


def routed(question: str) -> Routed:
    return route(question, TOKENIZER)


def parts(question: str) -> tuple[str, ...]:
    return routed(question).parts


class TestRoutes:
    @pytest.mark.parametrize(
        "question",
        [
            "你好",
            "您好～",
            "谢谢！",
            "謝謝你啦。",
            "你是谁？",
            "在吗？？",
            "ＨＥＬＬＯ",
            "Thank you very much!",
            " good  morning. ",
        ],
    )
    def test_a_greeting_is_small_talk(self, question: str) -> None:
        assert routed(question) == Routed("small-talk")

    @pytest.mark.parametrize("question", ["你好，什么是 BM25？", "Hello world program", "谢谢你的笔记里写了什么"])
    def test_a_greeting_before_a_question_is_not(self, question: str) -> None:
        assert routed(question).route != "small-talk"

    @pytest.mark.parametrize(
        "question", ["BM25", "位置编码", "self-attention", "词频和文档频率", "BM25、TF-IDF", "", "…"]
    )
    def test_a_few_words_that_ask_nothing_are_a_term(self, question: str) -> None:
        assert routed(question) == Routed("term")

    @pytest.mark.parametrize(
        "question", ["BM25 是什么", "BM25?", "怎么用 BM25", "训练循环里学习率预热的长度与衰减的形状"]
    )
    def test_with_a_question_word_or_more_words_it_is_a_question(self, question: str) -> None:
        assert routed(question) == Routed("question")

    @pytest.mark.parametrize(
        "question",
        [
            "注意力有哪些变体？",
            "注意力有哪些變體？",
            "有哪几种归一化？",
            "请梳理一下检索的全流程是怎样的",
            "What are the kinds of tokenizers?",
            "Which kinds of attention are there?",
            "Can you give an overview of retrieval?",
        ],
    )
    def test_one_that_asks_for_everything_is_broad(self, question: str) -> None:
        assert routed(question) == Routed("broad")


class TestThingsCompared:
    @pytest.mark.parametrize("conjunction", ["和", "与", "與", "跟", "以及", "、", " 和 ", " vs ", " vs. ", " VERSUS "])
    @pytest.mark.parametrize(
        "asked",
        [
            "有什么区别？",
            "有什麼區別?",
            "有哪些不同",
            "之间的关系是什么",
            "的优缺点？",
            " 的区别在哪里",
            "差在哪？",
            "两者怎么选？",
            "该怎么选",
            "哪个更好？",
            "，哪个更好？",
            "，它们之间有什么差异？",
        ],
    )
    def test_what_asks_for_the_difference_only_leaves_the_things(self, conjunction: str, asked: str) -> None:
        assert parts(f"BM25{conjunction}词频{asked}") == ("BM25", "词频")

    @pytest.mark.parametrize(
        ("question", "expected"),
        [
            ("BM25、TF-IDF 和 DPR 各自怎么打分？", ("BM25 怎么打分", "TF-IDF 怎么打分", "DPR 怎么打分")),
            ("Adam 和 SGD 都需要预热吗？", ("Adam 需要预热", "SGD 需要预热")),
            ("比较 Adam 和 SGD", ("Adam", "SGD")),
            ("比较一下A、B和C的收敛速度", ("A 收敛速度", "B 收敛速度", "C 收敛速度")),
            ("請對比 LoRA 與全參微調的顯存。", ("LoRA 显存", "全参微调 显存")),
            ("對比 Adam 與 SGD，哪個更省顯存？", ("Adam 更省显存", "SGD 更省显存")),
            ("注意力和卷积，谁更适合长文本？", ("注意力 谁更适合长文本", "卷积 谁更适合长文本")),
            ("PPO 和 DPO 的目标函数有什么不同？", ("PPO 目标函数", "DPO 目标函数")),
            ("HNSW、IVF 这两种索引的内存分别是多少？", ("HNSW 索引的内存 是多少", "IVF 索引的内存 是多少")),
            ("Ｑ、Ｋ、Ｖ分别是什么？", ("Q", "K", "V")),
            ("召回和精排都做了改动，各自怎么评测？", ("召回 做了改动, 怎么评测", "精排 做了改动, 怎么评测")),
        ],
    )
    def test_what_else_is_asked_is_asked_of_each(self, question: str, expected: tuple[str, ...]) -> None:
        assert parts(question) == expected

    @pytest.mark.parametrize("opening", ["", "请问", "请问，", "对比 ", "比较一下", "请比较一下", "你好，"])
    def test_how_it_begins_is_no_part_of_the_first_thing(self, opening: str) -> None:
        assert parts(f"{opening}BM25和TF-IDF的区别？") == ("BM25", "TF-IDF")

    @pytest.mark.parametrize(
        ("question", "expected"),
        [
            ("What is the difference between BM25 and dense retrieval?", ("BM25", "dense retrieval")),
            ("the trade-offs between HNSW and IVF", ("HNSW", "IVF")),
            ("How does GPT differ from BERT?", ("GPT", "BERT")),
            ("How are lists different from tuples?", ("lists", "tuples")),
            ("How do RNNs compare to transformers?", ("RNNs", "transformers")),
            ("Compare Adam with SGD", ("Adam", "SGD")),
            ("BM25 vs. TF-IDF: which is faster?", ("BM25", "TF-IDF")),
            ("BM25 versus TF-IDF", ("BM25", "TF-IDF")),
        ],
    )
    def test_english_ones_too(self, question: str, expected: tuple[str, ...]) -> None:
        assert parts(question) == expected

    @pytest.mark.parametrize(
        ("question", "expected"),
        [
            ("和声与和弦有什么区别", ("和声", "和弦")),
            ("饱和和梯度消失有什么关系", ("饱和", "梯度消失")),
            ("求和与平均有什么区别", ("求和", "平均")),
            ("参与者和观察者有什么区别", ("参与者", "观察者")),
            ("跟踪和检测有什么区别", ("跟踪", "检测")),
            ("对比学习和监督学习有什么区别", ("对比学习", "监督学习")),
            ("监督学习和对比学习有什么区别", ("监督学习", "对比学习")),
            ("请求和响应有什么区别", ("请求", "响应")),
            ("MVSNet和NeRF有什么区别", ("MVSNet", "NeRF")),
            ("《红与黑》和《战争与和平》有什么区别", ("《红与黑》", "《战争与和平》")),
        ],
    )
    def test_a_name_is_not_broken_where_it_holds_a_conjunction(self, question: str, expected: tuple[str, ...]) -> None:
        assert parts(question) == expected

    def test_there_are_at_most_four(self) -> None:
        assert parts("A、B、C、D、E 和 F 有什么区别？") == ("A", "B", "C", "D")

    def test_what_is_named_twice_is_one(self) -> None:
        assert parts("BM25、BM25 和 TF-IDF 有什么区别？") == ("BM25", "TF-IDF")
        assert parts("BM25 和 BM25 有什么区别？") == ()


class TestSeveralQuestions:
    @pytest.mark.parametrize(
        ("question", "expected"),
        [
            ("为什么要预热学习率？预热多久合适？", ("为什么要预热学习率", "预热多久合适")),
            ("为什么要预热学习率?预热多久合适", ("为什么要预热学习率", "预热多久合适")),
            ("學習率為什麼要預熱，預熱多久合適？", ("学习率为什么要预热", "预热多久合适")),
            ("学习率为什么要预热；预热多久合适", ("学习率为什么要预热", "预热多久合适")),
            ("Why is warmup used? How long should it last?", ("Why is warmup used", "How long should it last")),
            ("Why is warmup used, and how long should it last?", ("Why is warmup used", "how long should it last")),
            ("损失一直不降。学习率该调小吗？批大小要不要调大？", ("学习率该调小吗", "批大小要不要调大")),
        ],
    )
    def test_each_that_asks_something_is_a_part(self, question: str, expected: tuple[str, ...]) -> None:
        assert parts(question) == expected

    def test_those_of_them_that_compare_are_split_further_where_four_are_enough(self) -> None:
        first, second, third = "HNSW 和 IVF 有什么区别？", "PQ 和 SQ 有什么区别？", "归一化放在哪一层？"
        assert parts(first + second) == ("HNSW", "IVF", "PQ", "SQ")
        assert parts(first + second + third) == ("HNSW 和 IVF 有什么区别", "PQ 和 SQ 有什么区别", "归一化放在哪一层")

    def test_there_are_at_most_four(self) -> None:
        asked = [f"第{number}层的学习率是多少" for number in range(1, 7)]
        assert parts("？".join(asked)) == tuple(asked[:4])

    def test_what_is_asked_twice_is_asked_once(self) -> None:
        assert parts("预热多久合适？预热多久合适？") == ()


class TestOneQuestion:
    @pytest.mark.parametrize(
        "question",
        [
            # a story before one question
            "我昨天训练了一个模型。损失一直不降。该怎么办？",
            "我训练了一个模型，损失一直不降，该怎么办？",
            "我訓練了一個模型，損失一直不降，該怎麼辦？",
            "我把学习率和批大小都调大了，为什么损失不降？",
            "损失和准确率分别是0.1和0.9，这正常吗？",
            "I trained a model. The loss does not fall. What can I do?",
            # words of a question in what is told
            "训练了好几轮，损失为什么不降？",
            "我试了好几次，为什么还不收敛？",
            "我训练了几个模型，为什么还不收敛？",
            "调学习率没什么效果，损失为什么不降？",
            # a conjunction in a name, or between words of one question
            "和声学里什么是和弦？",
            "总和与平均数怎么算？",
            "词频和文档频率怎么一起用？",
            # what is quoted
            '"A、B 和 C"分别是什么意思？',
            "“词频、文档频率和长度”各是什么意思？",
            "「召回和精排」的区别是什么？",
            "《红与黑》的作者是谁？",
            # one thing
            "BM25 各自怎么打分？",
            "BM25 的优缺点是什么？",
            "和 BM25 有什么区别？",
            "BM25 和？",
            "怎么比较两个模型？",
            "比较常用的优化器和学习率是多少？",
        ],
    )
    def test_it_is_not_split(self, question: str) -> None:
        assert parts(question) == ()
        assert routed(question).route == "question"

    def test_a_question_of_function_words_is_no_part(self) -> None:
        assert parts("对吗？归一化放在哪一层？") == ()
        assert parts("这是什么？归一化放在哪一层？") == ()


class TestAnyText:
    # A pattern that tries every way to share out a run of one character takes hours for some of these.
    @pytest.mark.parametrize(
        "text",
        [
            "、" * 2000,
            "和" * 2000,
            "a、" * 999 + "各",
            "a、" * 999 + "区别",
            "a和" * 999 + "各",
            ",a和b" * 500,
            "a和b," + "都" * 1990,
            "," + " " * 1990 + "x",
            ("," + " " * 40) * 48 + "x",
            "\n" * 1990 + "x",
            "a" + " " * 1990 + "和b",
            "vs." * 660,
            "对比 ." * 400 + "a",
            "difference between " * 100,
            "compare a to with " * 110,
            "how does " * 220,
            ", and " * 330 + "why",
            "谢谢" + "你啦了" * 660 + "x",
            "《" * 2000,
            '"《“「' * 500 + "a和b的区别",
            "几个" * 1000,
            "没什么" * 660,
            "?" * 2000,
            "\ufdfa" * 2000,
        ],
        ids=lambda text: f"{text[:12]!r} and on",
    )
    def test_two_thousand_characters_of_anything_are_routed_at_once(self, text: str) -> None:
        found = routed(text)
        assert len(found.parts) in (0, 2, 3, 4)

    @settings(max_examples=200, deadline=None)
    @given(
        st.one_of(
            st.text(max_size=80),
            st.lists(st.sampled_from(PIECES), max_size=14).map("".join),
        )
    )
    @example("compare () and ()")
    @example("compare ?? and ??")
    @example("、和、的区别")
    @example("\ud83d和b的区别")
    def test_parts_are_distinct_and_each_has_something_to_search_with(self, text: str) -> None:
        found = routed(text)
        assert (found.route == "parts") == bool(found.parts)
        assert len(found.parts) in (0, 2, 3, 4)
        assert len(set(found.parts)) == len(found.parts)
        for part in found.parts:
            assert part == part.strip()
            assert any(character.isalnum() for character in part)
