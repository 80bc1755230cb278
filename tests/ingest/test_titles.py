from __future__ import annotations

import pytest

from ingest.titles import asks_plainly, is_question, number_style, strip_number


@pytest.mark.parametrize(
    ("title", "bare"),
    [
        ("3. 剪枝", "剪枝"),
        ("4.剪枝", "剪枝"),
        ("2、剪枝", "剪枝"),
        ("1.1 剪枝", "剪枝"),
        ("1.2.3剪枝", "剪枝"),
        ("(1)剪枝", "剪枝"),
        ("（三）剪枝", "剪枝"),
        ("十一、剪枝", "剪枝"),
        ("(一)", ""),
        ("1.5B 模型", "1.5B 模型"),
        ("2024年总结", "2024年总结"),
        ("3D 卷积", "3D 卷积"),
        ("剪枝", "剪枝"),
    ],
)
def test_numbering_is_stripped_and_quantities_are_not(title: str, bare: str) -> None:
    assert strip_number(title) == bare


def test_number_styles_tell_levels_apart() -> None:
    titles = ["1、甲", "1.1 甲", "1.1.1 甲", "(1)甲", "一、甲", "（一）甲", "①甲", "第三章 甲"]
    styles = [number_style(title) for title in titles]
    assert len(set(styles)) == len(styles)
    assert "" not in styles
    assert number_style("甲") == ""


@pytest.mark.parametrize(
    "text",
    [
        "什么是剪枝？",
        "3. 剪枝有什么用",
        "请介绍一下剪枝",
        "描述剪枝如何工作。",
        "谈过剪枝，请简要讲解",
        "What is pruning",
        "剪枝和稀疏的区别",
        "什麼是剪枝",
        "為什麼要剪枝",
    ],
)
def test_questions_and_requests_are_questions(text: str) -> None:
    assert is_question(text)


@pytest.mark.parametrize("text", ["剪枝", "解释性：高", "优点：知道什么是重要的", "我们先看数据。再看为什么。"])
def test_statements_are_no_questions(text: str) -> None:
    assert not is_question(text)


def test_in_running_text_only_plain_questions_count() -> None:
    assert asks_plainly("为什么要剪枝")
    assert asks_plainly("剪枝的步骤有哪些")
    assert not asks_plainly("学习如何剪枝的网络")
