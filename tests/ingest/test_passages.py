from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.config import ChunkerConfig
from ingest.markdown import read_blocks
from ingest.passages import Passage, cut_blocks, render

SMALL = ChunkerConfig(target_tokens=40, max_tokens=60, min_tokens=8, overlap_sentences=0)


def count(text: str) -> int:
    return max(1, round(len(text) / 1.4))


def cut(text: str, config: ChunkerConfig = SMALL) -> list[Passage]:
    lines = text.split("\n")
    return cut_blocks(read_blocks(lines, range(1, len(lines) + 1)), config, count)


def texts(text: str, config: ChunkerConfig = SMALL) -> list[str]:
    return [passage.text for passage in cut(text, config)]


def squeezed(text: str) -> str:
    return "".join(text.split())


def test_what_fits_is_one_passage_with_its_lines() -> None:
    assert cut("甲。\n\n- 乙\n  - 丙\n\n丁。") == [Passage("甲。\n- 乙\n  - 丙\n丁。", (1, 6))]


def test_no_blocks_give_no_passage() -> None:
    assert cut_blocks([], SMALL, count) == []


def test_a_list_is_cut_between_items_into_even_parts() -> None:
    items = [f"- 第{name}项说明这一步要做什么以及为什么要这样做" for name in "一二三四"]
    found = cut("\n".join(items))
    assert [passage.text for passage in found] == ["\n".join(items[:2]), "\n".join(items[2:])]
    assert [passage.lines for passage in found] == [(1, 2), (3, 4)]


def test_a_lead_in_stays_with_its_first_item() -> None:
    text = "这一段先讲一些别的事情，讲得比较长，一直讲到快要满了为止。\n\n步骤如下：\n\n" + "\n".join(
        f"{n}. 先读数据再建立模型然后评估结果最后写报告" for n in range(1, 5)
    )
    assert not any(passage.endswith("步骤如下：") for passage in texts(text))


def test_an_item_stays_with_the_bullets_below_it() -> None:
    text = "\n\n".join(f"{n}. **方法{n}**：\n\n- 优点是速度快而且内存也省\n- 缺点是结果不太稳定" for n in (1, 2, 3, 4))
    for passage in texts(text):
        assert passage.startswith(("1.", "2.", "3.", "4."))
        assert passage.count("优点") == passage.count("缺点") == passage.count("方法")


def test_a_long_paragraph_is_cut_at_sentence_ends_with_overlap() -> None:
    sentences = [f"第{name}句话说明树的一个性质和它的用处。" for name in "一二三四五六七八"]
    config = SMALL.model_copy(update={"overlap_sentences": 1})
    found = texts("".join(sentences), config)
    assert len(found) > 2
    for before, after in pairwise(found):
        assert after.startswith(before[before.rindex("第") :])
    assert all(passage.endswith("。") for passage in found)


def test_nothing_is_repeated_between_items() -> None:
    config = SMALL.model_copy(update={"overlap_sentences": 2})
    text = "\n".join(f"- 第{name}项说明这一步要做什么。以及为什么要这样做。" for name in "一二三四五六")
    assert squeezed("".join(texts(text, config))) == squeezed(text)


def test_a_display_formula_stays_whole_with_the_sentence_before_it() -> None:
    prose = "".join(f"第{name}句话说明这个公式的来历和用处。" for name in "一二三四五六")
    formula = "$$\nL = \\sum_{i=1}^{n} (y_i - x_i)^2\n$$"
    found = texts(f"{prose}损失如下：\n{formula}\n其中 $n$ 是样本数。")
    (holder,) = [passage for passage in found if "$$" in passage]
    assert f"损失如下：\n{formula}" in holder


def test_a_cut_never_falls_into_an_inline_formula() -> None:
    text = (
        "这里有一个没有停顿的长句子它一直写下去" * 3
        + "$a_1+a_2+a_3+a_4+a_5+a_6+a_7$"
        + "然后继续写下去直到最后也没有停顿" * 3
    )
    found = texts(text)
    assert len(found) > 1
    assert sum("$a_1+a_2+a_3+a_4+a_5+a_6+a_7$" in passage for passage in found) == 1


def test_a_table_repeats_its_header_row() -> None:
    rows = [f"| 模型{n} | 这个模型的说明文字比较长 |" for n in range(8)]
    found = texts("\n".join(["| 名称 | 说明 |", "| --- | --- |", *rows]))
    assert len(found) > 1
    assert all(passage.startswith("| 名称 | 说明 |\n| --- | --- |\n| 模型") for passage in found)
    assert [row for passage in found for row in passage.split("\n")[2:]] == rows


CODE = """```python
import math

def first(x):
    # 第一步

    return math.sqrt(x) + math.sqrt(x) + math.sqrt(x) + math.sqrt(x)

# about second
@cache
def second(x):
    return first(x) + first(x) + first(x) + first(x) + first(x)
```"""


def test_code_is_cut_before_definitions_only_and_stays_fenced() -> None:
    found = cut(CODE)
    assert [passage.text.split("\n")[1] for passage in found] == ["import math", "def first(x):", "# about second"]
    assert all(passage.text.startswith("```python\n") and passage.text.endswith("\n```") for passage in found)
    assert [passage.lines for passage in found] == [(2, 2), (4, 7), (9, 12)]


def test_code_without_boundaries_stays_one_passage_whatever_its_size() -> None:
    body = "\n\n".join(f"value_{n} = compute(value_{n})" for n in range(40))
    (passage,) = cut(f"```python\n{body}\n```")
    assert passage.text == f"```python\n{body}\n```"


def test_a_word_without_any_pause_is_cut_by_force() -> None:
    found = texts("长" * 300)
    assert "".join(found) == "长" * 300
    assert all(count(passage) <= SMALL.max_tokens for passage in found)


def test_rendering_keeps_structure_and_drops_marks() -> None:
    lines = ["> **甲**：", "> 1. 乙", ">    - 丙", "", "丁", "", "戊"]
    assert render(read_blocks(lines, range(1, 8))) == "甲：\n1. 乙\n  - 丙\n丁\n\n戊"


PIECES = st.sampled_from(
    [
        "一句完整的话说到这里。",
        "没有标点的一段文字",
        "- 一项内容比较长的列表\n",
        "1. 第一项\n",
        "\n\n",
        "步骤如下：",
        "Some English words here. ",
        "，",
    ]
)


@settings(max_examples=150)
@given(st.lists(PIECES, max_size=60))
def test_no_passage_is_too_large_and_no_word_is_lost(parts: list[str]) -> None:
    text = "".join(parts)
    lines = text.split("\n")
    blocks = read_blocks(lines, range(1, len(lines) + 1))
    found = cut_blocks(blocks, SMALL, count)
    assert all(count(passage.text) <= SMALL.max_tokens for passage in found)
    assert squeezed("".join(passage.text for passage in found)) == squeezed(render(blocks))
    assert all(1 <= passage.lines[0] <= passage.lines[1] <= len(lines) for passage in found)
