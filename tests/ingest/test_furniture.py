"""Page furniture goes, whatever stands between it; notes about the same words stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.furniture import furniture_lines


def left(text: str) -> list[str]:
    """The lines that are neither furniture nor blank."""
    lines = text.split("\n")
    furniture = furniture_lines(lines)
    return [line for number, line in enumerate(lines) if line.strip() and number not in furniture]


CSDN_TAIL = """\
最后一段正文在这里结束。

  • 21
    点赞
  • 7
    收藏
    觉得还不错? 一键收藏
  • 3
    评论

“相关推荐”对你有帮助么？

  • 非常没帮助
  • 一般
  • 有帮助
提交
评论
添加红包

请填写红包祝福语或标题

红包个数最小为10个

当前余额1.00前往充值 >
需支付：10.00
领取后你会自动成为博主和红包主的粉丝 规则
some_user_name
发出的红包
实付
使用余额支付
扫码支付
钱包余额 0

抵扣说明：

1.余额是钱包充值的虚拟货币，按比例进行支付金额的抵扣。
2.余额无法直接购买下载，可以购买课程。

余额充值"""


def test_the_tail_of_a_csdn_page_goes_as_a_block_with_the_user_name_in_it() -> None:
    assert left(CSDN_TAIL) == ["最后一段正文在这里结束。"]


def test_a_block_in_the_middle_of_a_file_goes_too() -> None:
    assert left(CSDN_TAIL + "\n\n# 第二篇\n\n第二篇的正文。") == [
        "最后一段正文在这里结束。",
        "# 第二篇",
        "第二篇的正文。",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "版权声明：本文为博主原创文章，遵循 CC 4.0 BY-SA 版权协议，转载请附上原文出处链接和本声明。",
        "原文链接：https://example.org/article/1",
        "著作权归作者所有。商业转载请联系作者获得授权，非商业转载请注明出处。",
        "▲ 赞同 128 ▼ 16 条评论 分享 收藏 喜欢 收起",
        "发布于 2024-03-01 12:00・IP 属地北京",
        "posted @ 2023-05-01 10:00  somebody  阅读(123)  评论(0)  编辑  收藏  举报",
        "« 上一篇： 决策树",
        "收录于合集 #机器学习 12个",
        "微信扫一扫关注该公众号",
        "长按识别二维码关注我们",
        "© 2024 Example Inc. All rights reserved.",
        "Copyright (c) 2020 Some Author",
        "We use cookies to improve your experience. Read our cookie policy.",
        "Subscribe to our newsletter for weekly updates",
        "Share this article",
    ],
)
def test_lines_that_only_a_page_says_go_wherever_they_stand(line: str) -> None:
    assert left(f"正文一。\n\n{line}\n\n正文二。") == ["正文一。", "正文二。"]


@pytest.mark.parametrize(
    "advert",
    [
        "更多机器学习面试资料合集可以拉到文末!!!",
        "😝有需要的小伙伴，可以扫描下方二维码免费领取🎁",
        "关注公众号「某某」，后台回复“机器学习”免费领取全套学习资料。",
        "为了帮助大家跳槽涨薪，给大家整理了一套面试宝典，覆盖各种技术栈，很多网友反馈面试都问到了，点击下方卡片领取。",
        "如果觉得这篇文章对你有帮助，欢迎点赞、收藏、关注，你的支持是我更新的动力！",
        "添加小助手微信，进群和同学们一起学习，限时优惠报名训练营课程。",
    ],
)
def test_advertisements_go_and_their_announcement_with_them(advert: str) -> None:
    assert left(f"正文说完了。\n\n学习资料分享\n\n{advert}") == ["正文说完了。"]


def test_english_buttons_at_the_end_of_a_page_go() -> None:
    assert left("The last sentence.\n\n12 likes\nShare\nComment\nLog in\nSign up\nPrivacy policy") == [
        "The last sentence."
    ]


@pytest.mark.parametrize(
    "text",
    [
        "用户扫描二维码后，微信支付的服务器校验订单，用户再领取红包，金额从商家的余额扣除。",
        "微信支付红包接口的字段：红包个数、红包金额和祝福语。",
        "本文用评论情感分析预测商品评分，点赞数和收藏数作为特征。",
        "小红书笔记的点赞、收藏、评论和转发构成互动率。",
        "推荐系统把点击、关注、转发当作正反馈，举报当作负反馈。",
        "如需转载请先阅读许可证一章，其中说明了版权声明的写法。",
        "公众号的自动回复由关键词触发，用户关注公众号后服务器推送消息。",
        "参考文献见文末。",
        "The cookie stores a session id; the server compares it on every request.",
        "Users can share, like and comment on posts.",
        "(c) 2019 年发布的第三个模型",
        "长按图片弹出菜单",
    ],
)
def test_sentences_about_the_same_things_stay(text: str) -> None:
    assert left(text) == [text]


@pytest.mark.parametrize(
    "text",
    [
        "## 互动指标\n- 点赞\n- 收藏\n- 评论\n- 转发",
        "## 支付方式\n- 扫码支付\n- 余额支付\n- 红包\n\n每种方式的流程不同。",
        "## 目录\n- 决策树\n- 随机森林\n- 分类\n- 评论",
        "### 评论\n\n评论由用户写下。\n\n### 分享\n\n分享会生成链接。\n\n### 收藏\n\n收藏夹可以改名。",
        "| 点赞 | 收藏 |\n|---|---|\n| 9 | 13 |",
        "实验结果：\n\n12\n\n34\n\n56\n\n78",
    ],
)
def test_topics_tables_and_figures_stay(text: str) -> None:
    assert left(text) == [line for line in text.split("\n") if line]


def test_lines_given_as_code_end_a_block() -> None:
    lines = ["请填写红包祝福语或标题", "```", "实付", "```", "正文。"]
    assert furniture_lines(lines) == {0}


@given(st.lists(st.text(max_size=30), max_size=12))
def test_only_lines_with_text_are_named(lines: list[str]) -> None:
    assert all(0 <= number < len(lines) and lines[number].strip() for number in furniture_lines(lines))
