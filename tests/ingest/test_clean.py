"""Every kind of noise that the notes hold, each on a small example of its own."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from index.schema import Note
from ingest.characters import tidy_characters
from ingest.clean import clean, clean_note

PIECES = [
    "---",
    "title: 甲",
    "# 标题",
    "## 小节",
    "正文一句话。",
    "甲 乙",
    "- - x",
    "- • x",
    "- 1. x",
    "  2.**乙**",
    "> [!note] 标题",
    ">\t- 项",
    "> [[#节]]",
    "![[图.svg]]",
    "==重点==",
    "a==b",
    "~~删~~",
    "<!-- 一",
    "二 -->",
    "%%",
    "%%注%%",
    "```python",
    "```",
    "$$",
    "$x_k$",
    "\\[",
    "\\]",
    "xkx_kxk",
    "第kkk个",
    "https://example.org/a_b",
    "参考：https://example.org",
    "**甲：**乙",
    "应用**：乙",
    "。。",
    "的做法;",
    "，续",
    "绝对值",
    "想办法把信息融入到输入中,这构成了",
    "评论",
    "9",
    "点赞",
    "添加红包",
    "成就一亿技术人!",
    "[甲](https://example.org)",
    "[[toc]]",
    "|甲|乙|",
    "|---|---|",
    "❖ 甲",
    "⾃注意⼒",
    "\u200b---",
    "\u3000甲",
    "1.什么是",
    "结尾。y",
    "{% raw %}",
    "^abc123",
    "&nbsp;",
    "<br>",
    "# ",
    "===",
    "扫码领取免费资料👇",
    "\U000f0000",
    "\ufeff---",
]


def kept(text: str, *, suffix: str = ".md") -> str:
    """Cleaned text without its empty lines."""
    return "\n".join(line for line in clean(text, suffix=suffix).split("\n") if line)


mixed = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=12)), max_size=14).map("\n".join)
glued = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.one_of(mixed, glued, st.lists(glued, max_size=5).map("\n".join)), st.sampled_from([".md", ".txt", ".html"]))
@example("\u200b---\ntitle: x\n---", ".md")
@example("- -\u00a0x\n\n。。。", ".md")
@example("```\n$$\n```\n$$\nx\n$$", ".md")
@example("title: 甲\n\ntitle: 甲\n\n。。", ".md")
def test_lines_keep_their_numbers_and_cleaning_twice_is_cleaning_once(text: str, suffix: str) -> None:
    once = clean(text, suffix=suffix)
    assert once.count("\n") == text.count("\n")
    assert clean(once, suffix=suffix) == once


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n`~"), max_size=20), max_size=6))
def test_nothing_in_a_code_fence_is_touched(code: list[str]) -> None:
    text = "\n".join(["前文。", "```python", *code, "```", "后文。"])
    assert clean(text) == text


@settings(max_examples=100, deadline=None)
@given(st.text("abckxyαβ0123456789+-=()的数 ", max_size=40))
def test_plain_words_without_markup_lose_nothing_but_spaces(text: str) -> None:
    assert clean(f"句{text}句").replace(" ", "") == f"句{text}句".replace(" ", "")


# -- blog and vault markup -------------------------------------------------------------------------------------------


def test_front_matter_leaves_empty_lines_and_the_rest_where_it_was() -> None:
    assert clean("---\ntitle: 考试\ntags: [甲, 乙]\n---\n正文。") == "\n\n\n\n正文。"


def test_prose_between_two_rules_is_not_front_matter() -> None:
    text = "---\n这是一段正文。\n---\n另一段。"
    assert clean(text) == text


def test_a_page_has_no_front_matter() -> None:
    assert kept("---\na: 1\n---", suffix=".html") == "---\na: 1\n---"


@pytest.mark.parametrize(
    ("noisy", "cleaned"),
    [
        ("~~好困，不想学了~~", ""),
        ("<!-- more -->", ""),
        ("正文<!-- 待补 -->继续", "正文继续"),
        ("结论 %%要核对%% 成立", "结论成立"),
        ("{% asset_img a.png %}", ""),
        ("@[toc](目录)", ""),
        ("#笔记 #考试", ""),
        ("定义见下。 ^def-1", "定义见下。"),
        ("模型==只看前文==，所以快", "模型只看前文，所以快"),
        ("> ==整句==。", "> 整句。"),
        ("用 [[注意力机制|注意力]] 来算", "用注意力来算"),
        ("用 [[注意力]] 来算", "用注意力来算"),
        ("见 [[综述#架构]] 一节", "见综述 > 架构一节"),
        ("> ![[网络结构.svg]]", ">"),
        ("> [!tip]- 要点", "> **要点**"),
        ("> [!note]", ">"),
        ("- [ ] 复习softmax", "- 复习softmax"),
        ("一段话<br>换行<font color=red>红字</font>&nbsp;后", "一段话换行红字后"),
        ("正文[^1]继续", "正文继续"),
    ],
)
def test_markup_for_programs_and_eyes_goes(noisy: str, cleaned: str) -> None:
    assert clean(noisy) == cleaned


def test_comments_over_several_lines_go_and_what_is_not_closed_stays() -> None:
    assert clean("甲\n<!-- 乙\n丙 -->丁\n%%\n草稿\n%%\n戊") == "甲\n\n丁\n\n\n\n戊"
    assert clean("甲 <!-- 乙\n丙") == "甲 <!-- 乙\n丙"


def test_an_answer_that_is_only_a_link_says_so() -> None:
    assert clean("> [[#编码器]]") == "> 见「编码器」"
    assert clean("- [[一]]、[[二#三]]") == "- 见「一」、见「二 > 三」"


@pytest.mark.parametrize(
    "text",
    ["当 a==b 且 c==d 时相等", "if x == None:", "矩阵[[1, 2]]的秩", "list[[0,1]]", "x ^2", "a ~~ b ~~ c", "C# F#"],
)
def test_code_like_prose_is_not_markup(text: str) -> None:
    assert clean(text) == text


# -- pointers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "https://example.org/p/1",
        "参考：https://example.org/p/1",
        "细节可看：https://example.org/p/1",
        "> 原文链接: <https://example.org/p/1>",
        "参考：[某文](https://example.org/p/1)",
        "[如何学习 - 知乎](https://example.org/p/1)",
        "梯度下降小结_sgd 优化-CSDN博客",
        "![图片](https://example.org/640?wx_lazy=1&wx_co=1)",
        '![在这里插入图片描述](https://example.org/a_(1).png "图")',
        "- [1. 绪论](#1-绪论)",
        "[1]: https://example.org/p/1",
    ],
)
def test_a_line_that_only_points_elsewhere_goes(line: str) -> None:
    assert kept(line + "\n\n正文。") in ("正文。", ">\n正文。")


def test_titles_over_bare_links_go_with_them_up_to_the_next_heading() -> None:
    text = "# 笔记\n\n答案（一）\n\nhttps://example.org/1\n\n答案（二）\n\nhttps://example.org/2\n\n## 甲\n\n正文。"
    assert kept(text) == "# 笔记\n## 甲\n正文。"


def test_a_title_whose_text_follows_the_link_stays() -> None:
    assert kept("线性回归\n\nhttps://example.org/1\n\n最小二乘法求解。") == "线性回归\n最小二乘法求解。"


def test_the_label_of_a_credit_goes_with_it() -> None:
    assert kept("**参考：**\n\nhttps://example.org/1\n\n某文-CSDN博客\n\n正文。") == "正文。"


@pytest.mark.parametrize(
    ("noisy", "cleaned"),
    [
        ("可用[适配器](https://example.org)微调", "可用适配器微调"),
        ("可用适配器（可以参考https://example.org/w?v=1），但没有文档", "可用适配器，但没有文档"),
        ("结论成立，详见https://example.org/a", "结论成立"),
        ("服务在 http://localhost:8000/docs 上", "服务在 http://localhost:8000/docs 上"),
        ("打开 https://example.org/login 登录", "打开 https://example.org/login 登录"),
        ("官网：https://example.org", "官网：https://example.org"),
    ],
)
def test_links_in_a_sentence_keep_its_words(noisy: str, cleaned: str) -> None:
    assert clean(noisy) == cleaned


# -- broken marks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("noisy", "cleaned"),
    [
        ("- • **甲**：乙", "- **甲**：乙"),
        ("- - 甲", "  - 甲"),
        ("- 1. 甲", "  1. 甲"),
        ("-  甲", "- 甲"),
        ("3.  **甲**", "3. **甲**"),
        ("   3.**甲（乙）**：丙", "3. **甲（乙）**：丙"),
        ("2.什么是甲", "2. 什么是甲"),
        ("❖ 甲", "- 甲"),
        ("● 甲", "- 甲"),
        ("\uf06c 甲", "- 甲"),
        (">2. 甲", "> 2. 甲"),
        (">\t- 甲", ">     - 甲"),
        ("##一、甲", "## 一、甲"),
        ("3. 应用**：甲用于乙", "3. 应用：甲用于乙"),
        ("**甲**和**乙", "**甲**和乙"),
        ("**甲：**乙", "**甲**：乙"),
        ("到此为止。。", "到此为止。"),
        ("甲，，乙", "甲，乙"),
        ("到此为止。y", "到此为止。"),
        ("有助于学习。习。", "有助于学习。"),
    ],
)
def test_broken_marks_are_mended(noisy: str, cleaned: str) -> None:
    assert clean(noisy) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "- - -",
        "* * *",
        "1.5 倍",
        "2.0版本",
        "1.1 小节",
        "2**3 等于 8",
        "传入**kwargs",
        "等等。。。",
        "**甲**：乙",
        "●●○",
    ],
)
def test_marks_that_are_right_stay(text: str) -> None:
    assert clean(text) == text


# -- characters ------------------------------------------------------------------------------------------------------


def test_radicals_and_spaces_of_a_pdf_become_words() -> None:
    assert clean("⾃注意⼒实现了并⾏计 算，能处理⻓序列") == "自注意力实现了并行计算，能处理长序列"


def test_every_radical_with_an_equivalent_is_replaced() -> None:
    for code in [*range(0x2E81, 0x2EF4), *range(0x2F00, 0x2FD6)]:
        if code != 0x2E9A:  # not assigned
            replaced = tidy_characters(chr(code))
            assert unicodedata.name(replaced).startswith("CJK UNIFIED IDEOGRAPH"), hex(code)


@pytest.mark.parametrize(
    ("noisy", "cleaned"),
    [
        ("ＧＰＴ－４ 有１００％", "GPT－4 有100%"),
        ("零\u200b宽\ufeff字", "零宽字"),
        ("\u00a0", ""),
        ("\u3000\u3000段首缩进", "段首缩进"),
        ("行末\t", "行末"),
        ("由 编码器 和 解码器 组成", "由编码器和解码器组成"),
        ("用  BERT  做 分类", "用 BERT 做分类"),
        ("ﬁne-tuning", "fine-tuning"),
        ("甲\u2028乙", "甲乙"),
    ],
)
def test_characters_are_made_plain(noisy: str, cleaned: str) -> None:
    assert clean(noisy) == cleaned


@pytest.mark.parametrize("text", ["甲，乙。丙？", "x² 与 H₂O", "① 甲", "$Ａ　甲 乙$，`全 角Ａ`", "“甲”——乙……"])
def test_chinese_punctuation_signs_formulas_and_code_keep_their_form(text: str) -> None:
    assert clean(text) == text


# -- formulas --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("noisy", "cleaned"),
    [
        ("向量aia_iai加上bib_ibi", "向量$a_i$加上$b_i$"),
        ("即sk+1=g(sk)s_{k+1}=g(s_k)sk+1=g(sk)。", "即$s_{k+1}=g(s_k)$。"),
        ("角θ\\thetaθ的sinθ\\sin\\thetasinθ", "角$\\theta$的$\\sin\\theta$"),
        ("均值1n\\frac{1}{n}n1很小", "均值$\\frac{1}{n}$很小"),
        ("和∑i=1nxi\\sum_{i=1}^{n} x_ii=1∑nxi为", "和$\\sum_{i=1}^{n} x_i$为"),
        ("差a−ba-ba−b与a_ia_ia_i", "差a−ba-ba−b与a_ia_ia_i"),
        ("第nnn个元素ana_nan,共mmm个", "第$n$个元素$a_n$,共$m$个"),
    ],
)
def test_a_formula_said_three_times_is_said_once(noisy: str, cleaned: str) -> None:
    assert clean(noisy) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "第kkk个",
        "www.example.org",
        "共111个",
        "hahaha",
        "my_var_my_var",
        "旋转矩阵定义为 其中 是常数",
        "依赖于位置 和。",
        "$x$和$y$",
    ],
)
def test_what_only_looks_like_a_tripled_formula_stays(text: str) -> None:
    assert clean(text) == text


def test_displayed_formulas_stay_with_their_sentence() -> None:
    text = "计算如下：\n$$\n\\hat{x} = x  _ i。。\n$$\n其中 $\\epsilon$ 很小。"
    assert clean(text) == text


# -- broken sentences ------------------------------------------------------------------------------------------------


def test_a_sentence_broken_by_a_lost_inline_element_is_joined_on_its_first_line() -> None:
    assert (
        clean("这样就得到了所谓\n\n残差连接\n\n的一般形式。\n\n下一段。")
        == "这样就得到了所谓残差连接的一般形式。\n\n\n\n\n\n下一段。"
    )
    assert clean("它的损失函数\n\n，比较常见。") == "它的损失函数，比较常见。\n\n"


@pytest.mark.parametrize(
    "text",
    [
        "前一段说完了。\n\n标题\n\n的确如此。",
        "评分方法有很多种\n\nsoftmax\n\n得分函数是点积。",
        "# 标题在此处\n\n短行\n\n的做法。",
        "- 列表项在此处\n\n短行\n\n的做法。",
        "空间信息处理\n\n综述\n\n地理信息系统很常用。",
    ],
)
def test_paragraphs_of_their_own_are_not_joined(text: str) -> None:
    assert clean(text) == text


# -- furniture and notes ---------------------------------------------------------------------------------------------


def test_furniture_goes_and_code_that_looks_like_it_stays() -> None:
    text = "正文。\n```\n添加红包\n实付\n```\n添加红包\n请填写红包祝福语或标题\n实付"
    assert kept(text) == "正文。\n```\n添加红包\n实付\n```"


def test_a_note_keeps_its_line_numbers() -> None:
    cleaned = clean_note(Note(path="甲.md", text="---\na: 1\n---\n正文。\n", sha256="", title="甲"))
    assert cleaned.lines == ("", "", "", "正文。", "")
    assert cleaned.source_lines == (1, 2, 3, 4, 5)


def test_a_page_is_extracted_first_and_knows_its_source_lines() -> None:
    article = "<article>\n<h1>标题</h1>\n<p>这里是足够长的一段正文，⾃注意⼒就在其中。</p>\n</article>"
    page = f"<html><body><nav>首页</nav>\n{article}</body></html>"
    cleaned = clean_note(Note(path="页.HTML", text=page, sha256="", title="页"))
    places = dict(zip(cleaned.lines, cleaned.source_lines, strict=True))
    assert places["# 标题"] == 3
    assert places["这里是足够长的一段正文，自注意力就在其中。"] == 4
