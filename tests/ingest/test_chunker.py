from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.schema import Chunk, Note, chunk_id
from ingest.chunker import CHUNKER_VERSION, ChunkedNote, chunk_note
from ingest.config import ChunkerConfig

CONFIG = ChunkerConfig()


@dataclass(frozen=True)
class Lines:
    lines: tuple[str, ...]
    source_lines: tuple[int, ...]


def count(text: str) -> int:
    return max(1, round(len(text) / 1.4))


def chunked(text: str, config: ChunkerConfig = CONFIG) -> ChunkedNote:
    note = Note("树/笔记.md", text, "0" * 64, "笔记", ("模型",), "2024-03-01")
    lines = tuple(text.split("\n"))
    return chunk_note(note, Lines(lines, tuple(range(1, len(lines) + 1))), config, count)


def found(text: str, config: ChunkerConfig = CONFIG) -> list[tuple[tuple[str, ...], str]]:
    return [(chunk.heading, chunk.text) for chunk in chunked(text, config).chunks]


def prose(topic: str, sentences: int) -> str:
    return "".join(f"{topic}的第{n}个性质说明了它在实际问题中的用处和限制。" for n in range(1, sentences + 1))


def test_a_chunk_carries_note_heading_lines_and_identity() -> None:
    (chunk,) = chunked("# 树\n\n## 2. 剪枝\n\n剪枝让树变小，减少过拟合。").chunks
    assert chunk == Chunk(
        id=chunk_id("树/笔记.md", ("树", "剪枝"), "剪枝让树变小，减少过拟合。"),
        note="树/笔记.md",
        heading=("树", "剪枝"),
        text="剪枝让树变小，减少过拟合。",
        lines=(5, 5),
        title="笔记",
        tags=("模型",),
        date="2024-03-01",
        language="zh",
    )


def test_equal_chunks_of_one_note_have_different_identities() -> None:
    text = "## 题\n\n### 1. 树可以并行吗？\n\n> 可以。\n\n### 2. 树可以并行吗？\n\n> 可以。"
    first, second = chunked(text).chunks
    assert (first.heading, first.text) == (second.heading, second.text)
    assert first.id != second.id
    assert second.id == chunk_id(second.note, second.heading, second.text, 1)


def test_every_answer_is_a_chunk_even_of_one_word() -> None:
    text = "### 1. 三个部分是什么？\n\n> QKV\n\n### 2. 用什么归一化？\n\n> softmax"
    assert found(text) == [(("三个部分是什么？",), "QKV"), (("用什么归一化？",), "softmax")]
    assert [chunk.language for chunk in chunked(text).chunks] == ["zh", "zh"]


def test_small_labels_of_a_question_are_packed_with_their_names() -> None:
    text = "### 1. 树怎么样？\n\n**优点：**\n\n- 快\n- 可解释\n\n**缺点：**\n\n- 不稳"
    assert found(text) == [(("树怎么样？",), "优点：\n- 快\n- 可解释\n缺点：\n- 不稳")]


def test_a_large_label_keeps_a_chunk_and_a_heading_of_its_own() -> None:
    text = f"### 1. 树怎么样？\n\n**优点：**\n\n{prose('优点', 12)}\n\n**缺点：**\n\n{prose('缺点', 12)}"
    assert [heading for heading, _ in found(text)] == [("树怎么样？", "优点"), ("树怎么样？", "缺点")]


def test_a_small_section_joins_its_neighbour_under_the_common_heading() -> None:
    text = f"# 树\n\n## 定义\n\n一种模型。\n\n## 剪枝\n\n{prose('剪枝', 6)}\n\n## 分裂\n\n{prose('分裂', 6)}"
    first, second = found(text)
    assert first[0] == ("树",)
    assert first[1].startswith("定义：\n一种模型。\n\n剪枝：\n剪枝的第1个性质")
    assert second[0] == ("树", "分裂")


def test_an_introduction_joins_the_first_sub_section() -> None:
    text = f"# 树\n\n分两部分：\n\n## 剪枝\n\n{prose('剪枝', 8)}\n\n## 分裂\n\n{prose('分裂', 8)}"
    headings = [heading for heading, _ in found(text)]
    assert headings == [("树", "剪枝"), ("树", "分裂")]
    assert found(text)[0][1].startswith("分两部分：\n\n剪枝的第1个性质")


def test_a_question_is_never_joined_with_its_neighbours_but_its_parts_are() -> None:
    text = "## 1. 什么是剪枝？\n\n去掉分支。\n\n### 办法\n\n两种。\n\n## 分裂\n\n把节点分开。\n\n## 叶子\n\n给出值。"
    assert found(text) == [
        (("什么是剪枝？",), "去掉分支。\n\n办法：\n两种。"),
        ((), "分裂：\n把节点分开。\n\n叶子：\n给出值。"),
    ]


def test_a_lead_in_to_questions_alone_is_no_chunk() -> None:
    result = chunked("## 面试\n\n问题如下：\n\n### 1. 什么是树？\n\n模型。\n\n### 2. 什么是林？\n\n很多树。")
    assert [chunk.text for chunk in result.chunks] == ["模型。", "很多树。"]
    assert [gap.lines for gap in result.left_out] == [(3, 3)]


def test_a_definition_that_ends_with_a_colon_stays() -> None:
    definition = "树是把空间切成小块的模型。它有几个性质，下面分别说明："
    text = f"## 树\n\n{definition}\n\n### 快\n\n{prose('快', 8)}\n\n### 准\n\n{prose('准', 8)}"
    assert any("树是把空间切成小块的模型。" in chunk.text for chunk in chunked(text).chunks)


def test_the_limit_holds_when_the_target_is_above_it() -> None:
    config = ChunkerConfig(target_tokens=256, max_tokens=64, min_tokens=8)
    assert all(count(chunk.text) <= 64 for chunk in chunked(f"# 树\n\n{prose('树', 20)}", config).chunks)


def test_sections_with_real_headings_stay_apart() -> None:
    text = f"# 树\n\n## 剪枝\n\n{prose('剪枝', 3)}\n\n## 分裂\n\n{prose('分裂', 3)}"
    assert [heading for heading, _ in found(text)] == [("树", "剪枝"), ("树", "分裂")]


def test_a_long_section_is_cut_into_even_chunks_within_the_limit() -> None:
    chunks = chunked("## 树\n\n" + "\n\n".join(prose(name, 4) for name in "甲乙丙丁戊己庚辛")).chunks
    assert len(chunks) > 2
    assert all(count(chunk.text) <= CONFIG.max_tokens for chunk in chunks)
    assert all(chunk.heading == ("树",) for chunk in chunks)
    assert [chunk.lines[0] for chunk in chunks] == sorted(chunk.lines[0] for chunk in chunks)


def test_an_empty_heading_and_a_question_list_are_counted_and_no_chunks() -> None:
    result = chunked("# 树\n\n## 剪枝\n\n## 面试题\n\n1.树为什么快?\n2.什么是林?\n3.林为什么稳?")
    assert result.chunks == []
    assert [gap.reason for gap in result.left_out] == [
        "heading without a body",
        "heading without a body",
        "heading without a body",
        "question without an answer",
    ]


def test_a_numbered_name_is_said_once() -> None:
    text = "## 框架\n\n**1. Alpha：**适合小数据；\n\n- 快"
    assert found(text) == [(("框架", "Alpha"), "1. Alpha：适合小数据；\n- 快")]


def test_source_lines_are_those_of_the_file() -> None:
    note = Note("a.txt", "", "0" * 64, "a")
    (chunk,) = chunk_note(note, Lines(("正文一。", "", "正文二。"), (10, 11, 40)), CONFIG, count).chunks
    assert chunk.lines == (10, 40)


@pytest.mark.parametrize("text", ["", "\n\n", "# 只有标题", "![图](a.png)", "---\ntitle: x\n---\n"])
def test_a_note_without_content_has_no_chunk(text: str) -> None:
    assert chunked(text).chunks == []


def test_chunks_are_the_same_every_time() -> None:
    text = f"# 树\n\n{prose('树', 30)}\n\n- 甲\n- 乙"
    assert chunked(text) == chunked(text)


def test_deeply_nested_lists_are_not_dropped() -> None:
    text = "\n".join("  " * depth + f"- 第{depth}层" for depth in range(40))
    said = "".join(chunk.text for chunk in chunked(text).chunks)
    assert all(f"第{depth}层" in said for depth in range(40))


def test_the_version_is_a_number_for_the_fingerprint() -> None:
    assert isinstance(CHUNKER_VERSION, int)


MARKDOWN = st.sampled_from(
    (
        *("# ", "## 1. ", "- ", "1. ", "> ", "\t", "    ", "\n", "\n\n", "```\n", "$$\n", "$", "**", "==", "`", "\\"),
        *(
            "| a | b |\n",
            "| --- | --- |\n",
            "什么是树？",
            "一种模型。",
            "优点：",
            "Q: ",
            "答：",
            "![[x]]",
            "<div>",
            "[a](b)",
        ),
        *("---\n", "text "),
    )
)


@settings(max_examples=200)
@given(st.lists(MARKDOWN, max_size=40))
def test_no_markdown_breaks_the_chunker(parts: list[str]) -> None:
    text = "".join(parts)
    result = chunked(text)
    last = text.count("\n") + 1
    assert all(chunk.text.strip() for chunk in result.chunks)
    assert all(1 <= chunk.lines[0] <= chunk.lines[1] <= last for chunk in result.chunks)
    assert len({chunk.id for chunk in result.chunks}) == len(result.chunks)


@pytest.mark.parametrize(
    "text",
    [
        "很长的一句话。" * 20_000,
        "“" * 3_000 + "。”" * 3_000,
        "- 一项\n" * 5_000,
        "(" * 20_000,
        "$" * 20_000,
        "a $x$ 。" * 5_000,
    ],
)
def test_unusual_notes_are_cut_within_the_limits(text: str) -> None:
    result = chunked(text)
    assert all(count(chunk.text) <= CONFIG.max_tokens for chunk in result.chunks)
