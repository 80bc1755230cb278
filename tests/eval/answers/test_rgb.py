from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eval.answers.rgb import RgbFile, RgbQuestion, documents, is_right, read_rgb
from eval.answers.rgb_run import RgbModels, run_rgb
from eval.answers.tables import rgb_table
from eval.gold import GoldInvalid
from index.embedding_cache import EmbeddingCache
from service.answering.config import NO_MODEL, AnsweringConfig
from service.settings import Settings
from tests.toys import ToyEncoder


def row(identity: int = 0, **changes: Any) -> dict[str, Any]:
    values = {
        "id": identity,
        "query": "When was the lighthouse first lit?",
        "answer": [["3 May 1871", "May 3, 1871"]],
        "positive": [f"p{n}: the lighthouse was first lit on May 3, 1871." for n in range(3)],
        "negative": [f"n{n}: the harbour was dredged." for n in range(4)],
    }
    return {**values, **changes}


def saved(folder: Path, *rows: object) -> Path:
    path = folder / "rgb.json"
    path.write_text("".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in rows), encoding="utf-8")
    return path


def question(folder: Path, **changes: Any) -> RgbQuestion:
    return read_rgb(saved(folder, row(**changes))).questions[0]


def kinds(texts: list[str]) -> str:
    return "".join(sorted(text[0] for text in texts))


class TestFile:
    def test_answers_are_all_needed_each_in_any_spelling(self, tmp_path: Path) -> None:
        assert question(tmp_path).answers == (("3 May 1871", "May 3, 1871"),)
        assert question(tmp_path, answer="1871").answers == (("1871",),)
        assert question(tmp_path, answer=["a", ["b", "c"]]).answers == (("a",), ("b", "c"))

    def test_grouped_positives_are_the_integration_set(self, tmp_path: Path) -> None:
        assert not question(tmp_path).is_integration
        found = question(tmp_path, positive=[["a", "b"], ["c"]], answer=["x", "y"])
        assert found.is_integration
        assert found.positive == (("a", "b"), ("c",))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"query": ""}, "query"),
            ({"answer": []}, "empty answer"),
            ({"answer": [[""]]}, "empty answer"),
            ({"positive": []}, "no positive document"),
            ({"positive": [["a"], []]}, "no positive document"),
            ({"negative": [" "]}, "empty document"),
            ({"negative": "n"}, "negative"),
            ({"positive_wrong": ["w"]}, "counterfactual"),
        ],
    )
    def test_what_is_wrong_is_said_with_file_and_line(
        self, tmp_path: Path, changes: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(GoldInvalid, match=rf"rgb.json:2: .*{message}"):
            read_rgb(saved(tmp_path, row(1), row(2, **changes)))

    def test_a_repeated_id_and_an_empty_file_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(GoldInvalid, match="twice"):
            read_rgb(saved(tmp_path, row(1), row(1)))
        with pytest.raises(GoldInvalid, match="no question"):
            read_rgb(saved(tmp_path))


class TestProtocol:
    @pytest.mark.parametrize(
        ("noise", "expected"),
        [
            (0.0, "nnppp"),  # 5 positive are wanted, there are 3: noise fills up
            (0.2, "nnppp"),
            (0.4, "nnppp"),
            (0.5, "nnnpp"),  # ceil(2.5) negative
            (0.6, "nnnpp"),
            (0.8, "nnnnp"),
            (1.0, "nnnn"),  # nothing but noise, of which there is no more
        ],
    )
    def test_a_share_of_the_documents_rounded_up_is_noise(self, tmp_path: Path, noise: float, expected: str) -> None:
        assert kinds(documents(question(tmp_path), noise, 5)) == expected

    def test_positives_fill_up_for_missing_noise(self, tmp_path: Path) -> None:
        assert kinds(documents(question(tmp_path, negative=["n"]), 0.8, 4)) == "nppp"

    def test_the_first_of_each_kind_are_taken_and_shuffled_always_alike(self, tmp_path: Path) -> None:
        asked = question(tmp_path)
        expected = [*asked.positive[0][:2], *asked.negative[:3]]
        random.Random(2333).shuffle(expected)  # noqa: S311 - the seed of the benchmark
        assert documents(asked, 0.6, 5) == documents(asked, 0.6, 5) == expected

    def test_integration_takes_a_document_of_each_part_before_a_second_of_any(self, tmp_path: Path) -> None:
        asked = question(
            tmp_path, positive=[["a1", "a2", "a3"], ["b1"]], negative=["n1", "n2", "n3"], answer=["x", "y"]
        )
        assert kinds(documents(asked, 0.6, 5)) == "abnnn"
        assert kinds(documents(asked, 0.4, 5)) == "aabnn"
        assert kinds(documents(asked, 0.8, 5)) == "abnnn"  # every part has its document whatever the noise
        assert kinds(documents(asked, 0.0, 5)) == "aaabn"

    def test_integration_has_no_rejection(self, tmp_path: Path) -> None:
        with pytest.raises(GoldInvalid, match="no rejection protocol"):
            documents(question(tmp_path, positive=[["a"], ["b"]], answer=["x", "y"]), 1.0, 5)

    def test_a_reply_is_right_where_it_holds_every_answer(self, tmp_path: Path) -> None:
        asked = question(tmp_path, answer=[["3 May 1871", "May 3, 1871"], "Cape Merrow"])
        assert is_right("On may 3, 1871 at CAPE MERROW [1].", asked)
        assert not is_right("On May 3, 1871.", asked)

    def test_spaces_count_in_english_replies_only_and_marks_never(self, tmp_path: Path) -> None:
        chinese = question(tmp_path, query="灯塔哪年点亮？", answer="1871年")
        assert is_right("1871 年[2]。", chinese)
        assert not is_right("It was 3 May 18 71.", question(tmp_path, answer="1871"))
        assert not is_right("It was then [1871].", question(tmp_path, answer="1871"))


@pytest.fixture
def models(tmp_path: Path) -> Iterator[RgbModels]:
    settings = Settings(data=tmp_path, answering=AnsweringConfig(model=NO_MODEL, min_answerable=0.0))
    with EmbeddingCache(tmp_path / "cache") as cache:
        yield RgbModels(settings, ToyEncoder(), None, cache, tmp_path)


class TestRunning:
    def test_each_question_is_answered_from_its_own_documents(self, tmp_path: Path, models: RgbModels) -> None:
        other = row(
            1,
            query="青石桥是哪一年建成的？",
            answer="1623年",
            positive=["青石桥建成于1623年。"],
            negative=["青石桥长四十二米。", "桥头原有一座茶楼。"],
        )
        file = read_rgb(saved(tmp_path, row(0), other))
        done: list[int] = []
        found = run_rgb(file, [0.4, 1.0], models, passages=5, answered=lambda: done.append(1))
        assert len(done) == len(found.outcomes) == 4
        mixed, noise = found.ratios
        assert mixed.accuracy is not None
        assert mixed.accuracy.mean == 1.0
        assert mixed.passages_mean == 4.0
        assert noise.accuracy is None
        assert noise.rejected.mean == 0.0  # nothing is ever abstained on with a threshold of 0
        assert not any(one["right"] for one in found.outcomes if one["noise"] == 1.0)
        assert "1623" in found.outcomes[1]["answer"]

    def test_abstaining_is_right_only_where_there_is_nothing_but_noise(self, tmp_path: Path, models: RgbModels) -> None:
        answering = AnsweringConfig(model=NO_MODEL, min_answerable=1.0)
        strict = RgbModels(
            models.settings.model_copy(update={"answering": answering}), models.encoder, None, models.cache, tmp_path
        )
        found = run_rgb(read_rgb(saved(tmp_path, row())), [0.0, 1.0], strict, passages=5, answered=lambda: None)
        assert [one["abstained"] for one in found.outcomes] == [True, True]
        assert [one["right"] for one in found.outcomes] == [False, True]
        assert found.ratios[1].rejected.mean == 1.0

    def test_a_document_that_ratios_share_is_encoded_once(self, tmp_path: Path, models: RgbModels) -> None:
        run_rgb(read_rgb(saved(tmp_path, row())), [0.0, 0.4, 0.6], models, passages=5, answered=lambda: None)
        assert isinstance(models.encoder, ToyEncoder)
        documents_read = [text for text in models.encoder.encoded if text.startswith(("p", "n"))]
        assert len(documents_read) == len(set(documents_read)) == 6

    def test_a_document_that_is_there_twice_does_no_harm(self, tmp_path: Path, models: RgbModels) -> None:
        twice = row(positive=["The lighthouse was first lit on May 3, 1871."] * 2, negative=[])
        found = run_rgb(read_rgb(saved(tmp_path, twice)), [0.0], models, passages=5, answered=lambda: None)
        assert found.outcomes[0]["right"]

    def test_the_table_has_a_row_a_ratio(self, tmp_path: Path, models: RgbModels) -> None:
        file: RgbFile = read_rgb(saved(tmp_path, row()))
        table = rgb_table(run_rgb(file, [0.0, 1.0], models, passages=5, answered=lambda: None))
        assert [(line[0], line[1]) for line in table.rows] == [("0", "1.000"), ("1", "–")]
