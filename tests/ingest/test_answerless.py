from __future__ import annotations

from ingest.answerless import EMPTY_HEADING, POINTER, UNANSWERED, LeftOut, only_questions, take_out_answerless
from ingest.markdown import read_blocks
from ingest.outline import Section, read_outline


def pruned(text: str) -> tuple[Section, list[LeftOut]]:
    lines = text.split("\n")
    root = read_outline(read_blocks(lines, range(1, len(lines) + 1)))
    return root, take_out_answerless(root)


def left_out(text: str) -> list[tuple[tuple[int, int], str]]:
    return [(gap.lines, gap.reason) for gap in pruned(text)[1]]


def test_headings_without_a_body_are_left_out_with_their_empty_parents() -> None:
    root, gaps = pruned("# 树\n\n## 剪枝\n\n正文。\n\n## 分裂\n\n# 林\n\n## 投票")
    assert [child.title for child in root.children] == ["树"]
    assert [(gap.lines, gap.reason) for gap in gaps] == [
        ((7, 7), EMPTY_HEADING),
        ((9, 9), EMPTY_HEADING),
        ((11, 11), EMPTY_HEADING),
    ]


def test_an_unanswered_question_heading_says_so() -> None:
    assert left_out("### 1. 什么是树？\n\n### 2. 什么是林？\n\n很多树。") == [((1, 1), UNANSWERED)]


def test_an_answer_that_only_points_elsewhere_is_none() -> None:
    assert left_out("1. 什么是树？\n> ![[图.svg]]\n\n2. 什么是林？\n> 很多树。") == [
        ((1, 1), UNANSWERED),
        ((2, 2), POINTER),
    ]


def test_a_list_of_interview_questions_is_left_out() -> None:
    text = (
        "## 面试题\n\n1.树为什么快?\n2.剪枝篇\n3.林有多少棵\n树合适?4.如何投票?\n"
        "5.痛点1:切分粒度不好把控\n6.什么是信息增益?"
    )
    root, gaps = pruned(text)
    assert root.children == []
    assert ((3, 8), UNANSWERED) in [(gap.lines, gap.reason) for gap in gaps]


def test_questions_in_an_ordered_list_are_left_out() -> None:
    assert left_out("## 未来\n\n1. 打算做什么？\n2. 最感兴趣的是什么？") == [
        ((1, 1), EMPTY_HEADING),
        ((3, 4), UNANSWERED),
    ]


def test_answered_questions_stay() -> None:
    assert left_out("## 问答\n\n1.什么是树?\n把空间切成小块的模型。\n2.什么是林?\n很多树一起投票的模型。") == []


def test_a_question_inside_prose_stays() -> None:
    root, gaps = pruned("## 树\n\n那么为什么要剪枝？因为树会记住噪声。\n\n- 怎么剪？\n\n先长成，再从叶子往上剪。")
    assert gaps == []
    assert len(root.children[0].blocks) == 3


def test_a_list_of_names_is_an_answer() -> None:
    assert left_out("## 常见的模型有哪些？\n\n- 决策树\n- 随机森林\n- 提升树") == []


def test_a_one_word_answer_stays() -> None:
    assert left_out("### 7. 三个部分是什么？\n\n> QKV") == []


def test_a_trailing_question_of_a_list_is_left_out() -> None:
    root, gaps = pruned("## 树\n\n1. 树很快。\n2. 树可解释。\n3. 树的缺点呢？")
    assert [(gap.lines, gap.reason) for gap in gaps] == [((5, 5), UNANSWERED)]
    assert len(root.children[0].blocks) == 2


def test_statements_that_contain_asking_words_are_no_questions() -> None:
    assert left_out("## 目标\n\n- 网络学到如何剪枝\n- 节点知道什么特征重要\n- 树明白为什么要停") == []


def test_only_questions_needs_a_question_and_no_answer() -> None:
    assert only_questions("1. 什么是树？\n2. 什么是林？")
    assert not only_questions("决策树")
    assert not only_questions("什么是树？\n把空间切成小块的模型。")
