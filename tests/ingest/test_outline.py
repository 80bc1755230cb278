from __future__ import annotations

from ingest.markdown import read_blocks
from ingest.outline import Section, read_outline


def outline(text: str) -> Section:
    lines = text.split("\n")
    return read_outline(read_blocks(lines, range(1, len(lines) + 1)))


def tree(section: Section) -> list[object]:
    """Titles with the texts of their blocks and their children, for comparing."""
    return [(child.title, [block.text for block in child.blocks], tree(child)) for child in section.children]


def titles(section: Section) -> list[object]:
    return [(child.title, titles(child)) if child.children else child.title for child in section.children]


def test_skipped_levels_keep_their_parent() -> None:
    text = "# 树\n\n## 甲\n\n#### 深\n\n一\n\n##### 更深\n\n二\n\n### 中\n\n三\n\n## 乙\n\n四"
    assert titles(outline(text)) == [("树", [("甲", [("深", ["更深"]), "中"]), "乙"])]


def test_numbers_are_stripped_and_containers_without_words_have_no_title() -> None:
    assert titles(outline("## (一)\n\n### 1. 什么是树？\n\n甲\n\n## (二)\n\n### 1. 什么是林？\n\n乙")) == [
        ("", ["什么是树？"]),
        ("", ["什么是林？"]),
    ]


def test_an_empty_heading_before_numbered_ones_of_its_level_is_their_parent() -> None:
    text = "### 树模型\n\n### 6. 什么是剪枝？\n\n甲\n\n### 7. 什么是分裂？\n\n乙\n\n### 线性模型\n\n丙"
    assert titles(outline(text)) == [("树模型", ["什么是剪枝？", "什么是分裂？"]), "线性模型"]


def test_numbered_lines_of_scraped_text_nest_by_their_style() -> None:
    text = (
        "剪枝方法\n\n剪枝让树变小，也让它更快，所以很常用。\n\n1.1 预剪枝\n\n在分裂之前停止，代价是可能停得太早。\n\n"
        "(1)阈值式\n\n增益小于阈值就停。\n\n(2)深度式\n\n到了深度就停。\n\n1.2 后剪枝\n\n先长成再剪去。"
    )
    assert titles(outline(text)) == [("剪枝方法", [("预剪枝", ["阈值式", "深度式"]), "后剪枝"])]


def test_a_run_of_numbered_lines_is_a_list_and_no_headings() -> None:
    root = outline("1、方法\n\n说明方法的一段话。\n\n训练步骤:1、读数据\n\n2、建树\n\n3、剪枝\n\n4、评估\n\n完毕。")
    assert titles(root) == ["方法"]


def test_a_short_line_after_a_lead_in_is_an_item() -> None:
    root = outline(
        "概述\n\n树是一种常用的模型，容易解释。\n\n特点:\n\n速度快\n\n在大数据上也能很快训练完成，内存也省。"
    )
    assert titles(root) == [("概述", ["特点"])]


def test_short_lines_are_no_headings_in_a_note_that_has_headings() -> None:
    assert titles(outline("## 树\n\n简单来说\n\n树把空间切成小块，每块给一个值。")) == ["树"]


def test_a_bold_line_alone_is_a_heading_and_a_bold_sentence_is_not() -> None:
    text = "## 树\n\n**优点：**\n\n- 快\n\n**缺点**\n\n- 不稳\n\n**树容易过拟合，所以要剪枝。**\n\n**树**是模型。"
    (section,) = outline(text).children
    assert [(child.title, child.kind) for child in section.children] == [("优点", "label"), ("缺点", "label")]
    assert [block.text for block in section.children[1].blocks] == ["不稳", "树容易过拟合，所以要剪枝。", "树是模型。"]


def test_a_numbered_bold_name_with_text_is_a_heading_whose_line_stays_whole() -> None:
    text = (
        "## 框架\n\n**1. Alpha：**适合小数据；\n\n**功能：**\n\n- 快\n\n**2. Beta**：适合大数据；\n\n**功能：**\n\n- 省"
    )
    (section,) = outline(text).children
    assert tree(section) == [
        ("Alpha", ["1. Alpha：适合小数据；"], [("功能", ["快"], [])]),
        ("Beta", ["2. Beta：适合大数据；"], [("功能", ["省"], [])]),
    ]


def test_a_label_above_numbered_headings_is_their_parent() -> None:
    text = (
        "## 树\n\n**两个问题**：\n\n**1、太慢**：要等很久。\n\n**办法**：\n\n- 并行\n\n"
        "**2、太大**：放不下。\n\n**办法**：\n\n- 剪枝"
    )
    (section,) = outline(text).children
    assert titles(section) == [("两个问题", [("太慢", ["办法"]), ("太大", ["办法"])])]


def test_a_list_question_before_a_quotation_is_a_heading() -> None:
    root = outline(
        "## 面试\n\n1. 树为什么快？\n> 因为只看一条路径。\n\n2. 说明剪枝。\n> - 预剪枝\n> - 后剪枝\n\n3. 林呢？"
    )
    (section,) = root.children
    assert [(child.title, child.kind, len(child.blocks)) for child in section.children] == [
        ("树为什么快？", "question", 1),
        ("说明剪枝。", "question", 2),
        ("林呢？", "question", 0),
    ]


def test_a_list_question_with_its_answer_in_the_item_is_a_heading() -> None:
    root = outline("1. 树为什么快？\n\n   因为只看一条路径。\n\n2. 什么是林？\n   很多棵树一起投票决定结果。")
    assert tree(root) == [
        ("树为什么快？", ["因为只看一条路径。"], []),
        ("什么是林？", ["很多棵树一起投票决定结果。"], []),
    ]


def test_marked_questions_and_answers_are_told_apart() -> None:
    root = outline("问：什么是剪枝？\n答：去掉没有用的分支。\n\nQ: What is a tree?\n\nA: A model that splits space.")
    assert tree(root) == [
        ("什么是剪枝？", ["去掉没有用的分支。"], []),
        ("What is a tree?", ["A model that splits space."], []),
    ]


def test_several_questions_in_one_paragraph_are_told_apart() -> None:
    root = outline("1、什么是剪枝？\n去掉没有用的分支，让树变小。\n2、什么是分裂？\n把一个节点变成两个子节点。")
    assert tree(root) == [
        ("什么是剪枝？", ["去掉没有用的分支，让树变小。"], []),
        ("什么是分裂？", ["把一个节点变成两个子节点。"], []),
    ]


def test_a_question_without_a_mark_above_its_numbered_points_is_a_heading() -> None:
    root = outline("1、树是什么？\n把空间切成小块的模型。\n\n2、树和林的区别\n（1）林有很多棵树。\n（2）林更稳。")
    assert titles(root) == ["树是什么？", "树和林的区别"]


def test_a_numbered_sibling_of_questions_is_one_too() -> None:
    root = outline("### 1. 什么是树？\n\n甲\n\n### 2. 剪枝的原因和办法\n\n乙\n\n### 3. 林有什么用？\n\n丙")
    assert [child.kind for child in root.children] == ["question"] * 3


def test_a_sentence_broken_over_paragraphs_is_joined() -> None:
    root = outline("## 树\n\n我们把特征放进节点里,这就是\n\n决策树\n\n的一般做法;")
    assert [" ".join(block.text.split("\n")) for block in root.children[0].blocks] == [
        "我们把特征放进节点里,这就是 决策树 的一般做法;"
    ]


def test_the_last_bold_item_of_a_list_is_no_heading() -> None:
    root = outline("## 树\n\n**缺点：**\n\n- **慢**：要等\n- **不支持并行**\n\n**优点：**\n\n- 准")
    assert titles(root) == [("树", ["缺点", "优点"])]
    assert [block.text for block in root.children[0].children[0].blocks] == ["慢：要等", "不支持并行"]
