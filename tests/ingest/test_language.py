from __future__ import annotations

import pytest

from ingest.language import language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("决策树把空间切成小块。", "zh"),
        ("決策樹把空間切成小塊，這樣就能預測結果。", "zh-Hant"),
        ("A decision tree splits the space into small regions and predicts a value.", "en"),
        ("A decision tree (树) splits the space into many small regions and predicts one value for each.", "en"),
        ("使用 random forest 与 gradient boosting 训练模型", "zh"),
        ("$a+b$ `code`", "zh"),
        ("```python\nimport os\nprint(os.name)\n```\n运行这段代码", "zh"),
        ("", "zh"),
    ],
)
def test_the_language_of_prose_is_told(text: str, language: str) -> None:
    assert language_of(text) == language
