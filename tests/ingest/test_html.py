"""Pages to text: what is kept, and that every line knows where it came from."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.html import html_to_text, page_title

KATEX = (
    '<span class="katex"><span class="katex-mathml"><math><semantics><mrow>ak</mrow>'
    '<annotation encoding="application/x-tex">{tex}</annotation></semantics></math></span>'
    '<span class="katex-html">ak</span></span>'
)
MATHJAX = '<span class="MathJax_Preview">ak</span><span class="MathJax">ak</span><script type="math/tex">a_k</script>'


def page(*lines: str) -> str:
    head = "<html><head><title>梯度下降 - 知乎</title></head><body>"
    menu = '<nav><a href="/">首页</a> 梯度下降 学习率</nav>'
    return "\n".join([head, menu, "<article>", *lines, "</article>", "<footer>关于我们</footer></body></html>"])


def placed(source: str) -> dict[str, int]:
    """Line of text -> line of the source."""
    text, source_lines = html_to_text(source)
    lines = text.split("\n")
    assert len(lines) == len(source_lines)
    return dict(zip(lines, source_lines, strict=True))


def test_lines_of_the_text_know_their_lines_of_the_source() -> None:
    lines = placed(
        page(
            "<h1>梯度下降</h1>",
            "<p>沿着梯度的反方向走一小步，函数值就会变小一些。</p>",
            "",
            "<h2>学习率</h2>",
            "<p>步子太大会越过最低点，",
            "步子太小又走得太慢。</p>",
        )
    )
    assert lines["# 梯度下降"] == 4
    assert lines["沿着梯度的反方向走一小步，函数值就会变小一些。"] == 5
    assert lines["## 学习率"] == 7
    assert next(line for text, line in lines.items() if text.startswith("步子太大")) == 8
    assert not any("首页" in text or "关于我们" in text for text in lines)


def test_code_is_kept_whole_with_its_blank_lines_and_language() -> None:
    source = page(
        "<p>下面的函数把每个数都乘以二，然后返回新的列表。</p>",
        '<pre><code class="language-python"><span class="k">def</span> f(x_1):',
        "    # 注释",
        "",
        "    return x_1 * 2 &lt; 3",
        "</code></pre>",
        "<p>其中 <code>a_b * c</code> 是行内代码。</p>",
    )
    text, source_lines = html_to_text(source)
    assert "```python\ndef f(x_1):\n    # 注释\n\n    return x_1 * 2 < 3\n```" in text
    assert "`a_b * c`" in text
    assert source_lines[text.split("\n").index("    return x_1 * 2 < 3")] == 8


def test_line_numbers_and_copy_buttons_are_no_code() -> None:
    furniture = '<div class="hljs-button">复制</div><ul class="pre-numbering"><li>1</li></ul>'
    source = page(f"<pre><code>甲 = 1<br>乙 = 2</code>{furniture}</pre>")
    assert "```\n甲 = 1\n乙 = 2\n```" in html_to_text(source)[0]


@pytest.mark.parametrize(
    ("formula", "kept"),
    [
        (KATEX.format(tex=r"\sqrt{a_k}"), r"$\sqrt{a_k}$"),
        (f'<span class="katex-display">{KATEX.format(tex="a_k")}</span>', "$$a_k$$"),
        (
            MATHJAX,
            "$a_k$",
        ),
        ('<span class="ztext-math" data-tex="a_k">ak</span>', "$a_k$"),
        ('<img eeimg="1" src="//example.org/equation?tex=a_k" alt="a_k">', "$a_k$"),
        ('<math alttext="a_k"><mi>a</mi></math>', "$a_k$"),
    ],
)
def test_formulas_are_kept_once_with_their_sentence(formula: str, kept: str) -> None:
    text, _ = html_to_text(page(f"<p>这个数列的通项记为 {formula}，它随着下标变大而变小。</p>"))
    assert kept in text
    assert text.count("a_k") == 1
    assert text.index("通项记为") < text.index(kept) < text.index("它随着下标")
    assert "asknotes" not in text


def test_tables_and_nested_lists_are_kept_and_comments_are_not() -> None:
    source = page(
        "<p>两个模型的参数量见下表，单位是十亿，数字只是例子。</p>",
        "<table><tr><th>模型</th><th>参数</th></tr><tr><td>甲</td><td>7B</td></tr></table>",
        "<ul><li>第一项<ul><li>其中一项</li></ul></li><li>第二项</li></ul>",
        '<div class="comments" id="comments"><p>写得真好，感谢分享！</p></div>',
    )
    text, _ = html_to_text(source)
    assert "| 模型 | 参数 |" in text
    assert "| 甲 | 7B |" in text
    assert "- 第一项\n  - 其中一项\n- 第二项" in text
    assert "感谢分享" not in text


def test_a_short_page_without_landmarks_keeps_its_headings_and_lists() -> None:
    text, _ = html_to_text("<html><body><div><h2>乙</h2><p>一句话。</p><ul><li>项</li></ul></div></body></html>")
    assert text == "## 乙\n\n一句话。\n\n- 项"


@pytest.mark.parametrize(
    "source", ["", " ", "<!-- -->", "<html></html>", "\x00", "<?xml version='1.0' encoding='utf-8'?><html/>"]
)
def test_a_page_without_text_gives_one_empty_line(source: str) -> None:
    text, source_lines = html_to_text(source)
    assert text == ""
    assert source_lines == (1,)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "<p>",
                "</p>",
                "<pre>",
                "</pre>",
                "<code>",
                "文字",
                "\n",
                "<li>",
                "a_b",
                "<table><tr><td>",
                "</",
                "<![CDATA[",
            ]
        )
    )
)
def test_any_markup_gives_lines_in_order(pieces: list[str]) -> None:
    source = "".join(pieces)
    text, source_lines = html_to_text(source)
    assert len(text.split("\n")) == len(source_lines)
    assert list(source_lines) == sorted(source_lines)
    assert all(1 <= line <= source.count("\n") + 1 for line in source_lines)


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("<title>决策树-CSDN博客</title><h1>一</h1><h1>二</h1>", "决策树"),
        ("<title>站点</title><body><h1> 决策\n树 </h1></body>", "决策 树"),
        ("<p>没有标题</p>", None),
        ("", None),
    ],
)
def test_the_title_is_the_pages_own(source: str, title: str | None) -> None:
    assert page_title(source) == title
