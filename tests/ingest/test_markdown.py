from __future__ import annotations

from ingest.markdown import Block, read_blocks


def blocks(text: str) -> list[Block]:
    lines = text.split("\n")
    return read_blocks(lines, range(1, len(lines) + 1))


def texts(text: str) -> list[str]:
    return [block.text for block in blocks(text)]


def test_a_hash_in_code_is_no_heading() -> None:
    found = blocks("# 标题\n\n```python\n# comment\nx = 1\n```\n\n正文")
    assert [(block.kind, block.text) for block in found] == [
        ("heading", "标题"),
        ("code", "# comment\nx = 1"),
        ("paragraph", "正文"),
    ]
    assert found[1].language == "python"
    assert (found[1].first, found[1].last) == (4, 5)


def test_bold_that_ends_in_punctuation_closes_beside_chinese() -> None:
    (block,) = blocks("**优点：**速度快，**缺点：**费内存。")
    assert block.text == "优点：速度快，缺点：费内存。"
    assert block.strong == "优点："


def test_marks_go_but_code_and_formulas_stay_as_written() -> None:
    assert texts("***软*** ==高亮== *斜* `a*b*c` 与 $x_i * y_i$，应用场景**：回归。") == [
        "软 高亮 斜 `a*b*c` 与 $x_i * y_i$，应用场景：回归。"
    ]


def test_comparison_and_power_are_no_marks() -> None:
    assert texts("若 a == b 且 c == d，则 2**10 成立。") == ["若 a == b 且 c == d，则 2**10 成立。"]


def test_bold_behind_a_number_opens_the_block() -> None:
    (block,) = blocks("1.**数据**：清洗。")
    assert (block.kind, block.strong, block.text) == ("paragraph", "数据", "1.数据：清洗。")


def test_bold_within_a_sentence_does_not_open_it() -> None:
    (block,) = blocks("方差**很大**时")
    assert block.strong == ""


def test_a_display_formula_may_follow_a_line_directly() -> None:
    found = blocks("定义如下：\n$$\na_i = 1\n$$\n其中 $i$ 是下标。")
    assert [(block.kind, block.text) for block in found] == [
        ("paragraph", "定义如下："),
        ("formula", "$$\na_i = 1\n$$"),
        ("paragraph", "其中 $i$ 是下标。"),
    ]
    assert [(block.first, block.last) for block in found] == [(1, 1), (2, 4), (5, 5)]


def test_prices_are_no_formula() -> None:
    assert texts("It costs $5 or $6 and **more**.") == ["It costs $5 or $6 and more."]


def test_list_items_know_marker_depth_and_quotation() -> None:
    found = blocks("1. 问题？\n> - 甲\n> \t1. 乙\n> \n> 丙")
    assert [(block.kind, block.marker, block.depth, block.quotes, block.text) for block in found] == [
        ("item", "1.", 1, 0, "问题？"),
        ("item", "-", 1, 1, "甲"),
        ("item", "1.", 2, 1, "乙"),
        ("paragraph", "", 0, 1, "丙"),
    ]


def test_numbers_of_a_list_go_on_from_its_start() -> None:
    assert [block.marker for block in blocks("3. 丙\n4. 丁")] == ["3.", "4."]


def test_bullets_written_into_the_text_go() -> None:
    assert texts("- • 甲\n- ❖ 乙") == ["甲", "乙"]


def test_known_tags_go_and_unknown_ones_are_words() -> None:
    assert texts("H<sub>2</sub>O<br>以 <bos> 开头") == ["H2O 以 <bos> 开头"]


def test_an_html_block_keeps_its_text_but_no_script() -> None:
    assert texts("<div>\n说明\n<script>alert(1)</script>\n</div>") == ["说明"]


def test_images_embeds_and_bare_links_point_elsewhere() -> None:
    for source in (
        "![图](a.png)",
        "> ![[图.svg]]",
        "参考：https://a.org/b?c=1",
        "> [[#章节]]",
        "[标题](http://a.org)",
        "见「章节」",
    ):
        (block,) = blocks(source)
        assert block.points_elsewhere, source


def test_a_sentence_with_a_link_does_not_point_elsewhere() -> None:
    (block,) = blocks("剪枝见 [论文](http://a.org) 第三节的实验结果。")
    assert not block.points_elsewhere
    assert block.text == "剪枝见 论文 第三节的实验结果。"


def test_wiki_links_show_their_words() -> None:
    assert texts("依赖 [[树模型|决策树]] 与 [[#剪枝]] 两节") == ["依赖 决策树 与 剪枝 两节"]


def test_struck_out_text_is_not_said() -> None:
    assert texts("保留~~删去~~这句") == ["保留这句"]


def test_a_table_is_one_block_with_a_line_a_row() -> None:
    (table,) = blocks("| 名 | 值 |\n| --- | --- |\n| a | **1** |\n| b | 2 |")
    assert table.kind == "table"
    assert [(line.text, line.number) for line in table.lines] == [
        ("| 名 | 值 |", 1),
        ("| a | 1 |", 3),
        ("| b | 2 |", 4),
    ]


def test_indented_prose_is_no_code_but_indented_code_is() -> None:
    assert [block.kind for block in blocks("开头\n\n    这里只是缩进的一段话\n\n结尾")] == ["paragraph"] * 3
    assert [block.kind for block in blocks("开头\n\n    for x in y:\n        # 注释\n        print(x)\n")] == [
        "paragraph",
        "code",
    ]


def test_front_matter_is_no_text() -> None:
    assert texts("---\ntitle: 笔记\n---\n正文") == ["正文"]


def test_a_paragraph_above_a_dashed_line_is_no_heading_when_it_has_several_lines() -> None:
    assert [block.kind for block in blocks("第一行\n第二行\n---\n标题\n===")] == ["paragraph", "heading"]


def test_source_lines_are_taken_from_the_mapping() -> None:
    (first, second) = read_blocks(["甲", "", "乙"], [7, 8, 30])
    assert (first.first, second.first) == (7, 30)
