from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sentences import split_sentences


def pieces(text: str) -> list[str]:
    return [piece.strip() for piece in split_sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("先看数据。再看模型！好吗？", ["先看数据。", "再看模型！", "好吗？"]),
        ("第一步；第二步；完成……然后休息。", ["第一步；", "第二步；", "完成……", "然后休息。"]),
        ("他说：“很好。”\n然后走了。", ["他说：“很好。”", "然后走了。"]),
        ("他说“行吗？可以。”之后才走。下一句。", ["他说“行吗？可以。”之后才走。", "下一句。"]),
        ("树很深（见图。第三节）所以慢。剪枝！", ["树很深（见图。第三节）所以慢。", "剪枝！"]),
        ("A tree is fast. It overfits! Why?", ["A tree is fast.", "It overfits!", "Why?"]),
        ("The rate is 3.14 in v1.2.3 today. Next one.", ["The rate is 3.14 in v1.2.3 today.", "Next one."]),
        ("Use trees, e.g. forests, i.e. many trees. Done.", ["Use trees, e.g. forests, i.e. many trees.", "Done."]),
        ("See Fig. 3 by Smith et al. for J. Doe. End.", ["See Fig. 3 by Smith et al. for J. Doe.", "End."]),
        ("U.S. data is larger. So what?", ["U.S. data is larger.", "So what?"]),
        ("损失为 $f(x)。g(x)$ 时停止。继续。", ["损失为 $f(x)。g(x)$ 时停止。", "继续。"]),
        ("调用 `a.b(); c?` 即可。继续。", ["调用 `a.b(); c?` 即可。", "继续。"]),
        ("公式\n$$\na。b\n$$\n如上。", ["公式\n$$\na。b\n$$\n如上。"]),
        ("见 https://a.org/b?c=1.d 的说明。继续。", ["见 https://a.org/b?c=1.d 的说明。", "继续。"]),
        ("- 甲项没有句号\n- 乙项\n1. 丙项", ["- 甲项没有句号", "- 乙项", "1. 丙项"]),
        ("一段话被\n换行。再来。", ["一段话被\n换行。", "再来。"]),
        ("标题\n\n正文", ["标题", "正文"]),
        ("完成...\n下一个", ["完成...", "下一个"]),
        ("没有标点", ["没有标点"]),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected


def test_an_unclosed_bracket_does_not_swallow_the_rest() -> None:
    assert pieces("他说（见下。然后继续。完。") == ["他说（见下。", "然后继续。", "完。"]


def test_empty_text_has_no_sentence() -> None:
    assert split_sentences("") == []


@given(st.text(alphabet='甲乙a1 .。？!?；…\n\t()（）“”"$`-|、，3', max_size=80))
def test_the_pieces_joined_give_the_text_back(text: str) -> None:
    found = split_sentences(text)
    assert "".join(found) == text
    assert all(found)


@given(st.text(max_size=60))
def test_no_character_of_any_script_is_lost(text: str) -> None:
    assert "".join(split_sentences(text)) == text
