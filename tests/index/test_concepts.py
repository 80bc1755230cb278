"""Concepts: which chunks name them and how much they are about them, the files they come from, what is refused."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.concepts import CONCEPT_FILES, Concept, concepts_digest, concepts_of, named_concepts
from index.config import ConceptsConfig
from index.errors import ConfigInvalid
from index.names import NameFinder
from index.schema import Chunk, chunk_id

OVERFITTING = Concept(("过拟合", "overfitting"), ("换新数据就不行",))
DROPOUT = Concept(("随机失活", "Dropout", "dropout layer"), ("随机关掉一些神经元",))
ATTENTION = Concept(("注意力", "attention"), ("每个词去看其他词",))
SELF_ATTENTION = Concept(("自注意力", "self-attention"), ("一句话里的词互相看",))
ZERO = Concept(("ZeRO",), ("把优化器状态分到每张卡上",))


def chunk(text: str, *heading: str, title: str = "", language: str = "zh") -> Chunk:
    return Chunk(chunk_id("a.md", heading, text), "a.md", heading, text, (1, 2), title=title, language=language)


def salience(concept: Concept, *chunks: Chunk) -> dict[int, float]:
    """Salience by row; nothing where no chunk names the concept."""
    return {
        row: value
        for each in named_concepts(chunks, [concept])
        for row, value in zip(each.rows.tolist(), each.salience.tolist(), strict=True)
    }


def test_the_rows_are_those_of_chunks_that_name_a_concept_however_it_is_written() -> None:
    chunks = [
        chunk("模型過擬合了。"),
        chunk("什么也没有。"),
        chunk("OVERFITTING is common.", language="en"),
        chunk("怎么办？", "过拟合"),
        chunk("怎么办？", title="Overfitting 笔记"),
    ]
    (named,) = named_concepts(chunks, [DROPOUT, OVERFITTING])
    assert named.concept == OVERFITTING
    assert named.rows.tolist() == [0, 2, 3, 4]
    assert named.salience.shape == (4,)
    assert named.salience.dtype == np.float32


def test_concepts_keep_their_order_and_those_that_nobody_names_are_left_out() -> None:
    chunks = [chunk("过拟合时用随机失活。"), chunk("过拟合")]
    assert [each.concept for each in named_concepts(chunks, [DROPOUT, ZERO, OVERFITTING])] == [DROPOUT, OVERFITTING]
    assert named_concepts(chunks, []) == []
    assert named_concepts([], [OVERFITTING]) == []


def test_a_longer_name_of_one_concept_hides_the_shorter_of_another() -> None:
    (named,) = named_concepts([chunk("自注意力很贵。")], [ATTENTION, SELF_ATTENTION])
    assert named.concept == SELF_ATTENTION


def test_a_name_that_two_concepts_share_names_both() -> None:
    rate, regression = Concept(("学习率", "LR"), ("步子",)), Concept(("逻辑回归", "LR"), ("分两类",))
    assert [each.concept for each in named_concepts([chunk("LR 是什么？")], [rate, regression])] == [rate, regression]


@given(uses=st.lists(st.integers(0, 8), min_size=1, max_size=8))
def test_salience_grows_with_the_uses_and_stays_within_one(uses: list[int]) -> None:
    found = salience(OVERFITTING, *(chunk("模型过拟合，" * count + f"第 {row} 段。") for row, count in enumerate(uses)))
    assert sorted(found) == [row for row, count in enumerate(uses) if count]
    assert all(0 < value <= 1 for value in found.values())
    for row, value in found.items():
        for other, less in found.items():
            assert (value > less) == (uses[row] > uses[other])


def test_a_use_in_the_heading_counts_as_two_in_the_text() -> None:
    heading, title, twice, once = range(4)
    found = salience(
        OVERFITTING,
        chunk("怎么办？", "训练", "过拟合"),
        chunk("怎么办？", "训练", title="过拟合"),
        chunk("过拟合，又过拟合。", "训练"),
        chunk("过拟合。", "训练"),
    )
    assert found[heading] == found[title] == found[twice] > found[once]


def test_what_many_chunks_name_is_less_salient_in_each() -> None:
    filler = [chunk(f"第 {number} 段。") for number in range(9)]
    about = chunk("过拟合。")
    found = [salience(OVERFITTING, *[about] * many, *filler[many:])[0] for many in (1, 2, 5, 9)]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == len(found)
    assert found[-1] > 0


def test_a_use_counts_once_though_two_names_are_spelt_alike() -> None:
    one, two = Concept(("Dropout",), ("关掉",)), Concept(("Dropout", "dropout", "drop out"), ("关掉",))
    chunks = [chunk("Dropout 关掉神经元。"), chunk("这里用 dropout。"), chunk("Dropout helps.", language="en")]
    assert salience(two, *chunks) == salience(one, *chunks)


@pytest.mark.parametrize(
    ("text", "language", "is_named"),
    [
        ("It starts from zero again.", "en", False),
        ("ZeRO shards the optimizer.", "en", True),
        ("ZERO shards the optimizer.", "en", True),
        ("Zero shards the optimizer.", "en", True),
        ("用 zero 切优化器状态。", "zh", True),
    ],
)
def test_among_english_words_a_name_with_capitals_within_is_not_written_small(
    text: str, language: str, is_named: bool
) -> None:
    assert bool(salience(ZERO, chunk(text, language=language))) == is_named


def test_other_names_may_be_written_small_in_english() -> None:
    assert salience(DROPOUT, chunk("one dropout layer", language="en"))
    assert salience(OVERFITTING, chunk("overfitting is common", language="en"))
    assert salience(Concept(("Sigmoid",), ("S 形",)), chunk("the sigmoid saturates", language="en"))


def own(tmp_path: Path, *lines: str, name: str = "own.jsonl") -> ConceptsConfig:
    (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    return ConceptsConfig(built_in=False, files=(tmp_path / name,))


LINE = '{"names": ["过拟合", "overfitting"], "descriptions": ["换新数据就不行"]}'
OTHER = '{"names": ["早停"], "descriptions": ["看着验证分数不涨就收手", "stop before it gets worse"]}'


def test_concepts_that_are_off_are_none_and_their_files_are_not_read(tmp_path: Path) -> None:
    assert concepts_of(ConceptsConfig(enabled=False, files=(tmp_path / "missing.jsonl",))) == ()


def test_those_that_come_with_asknotes_are_used_unless_that_is_off() -> None:
    assert len(concepts_of(ConceptsConfig())) > 1000
    assert concepts_of(ConceptsConfig(built_in=False)) == ()


def test_own_files_are_read_in_the_order_given_after_those_that_come_with_asknotes(tmp_path: Path) -> None:
    first, second = own(tmp_path, OTHER, name="z.jsonl").files[0], own(tmp_path, LINE, name="a.jsonl").files[0]
    stop, overfitting = concepts_of(ConceptsConfig(built_in=False, files=(first, second)))
    assert overfitting == OVERFITTING
    assert stop == Concept(("早停",), ("看着验证分数不涨就收手", "stop before it gets worse"))
    assert concepts_of(ConceptsConfig(files=(first, second))) == (*concepts_of(ConceptsConfig()), stop, overfitting)


def test_a_byte_order_mark_empty_lines_and_other_line_ends_do_no_harm(tmp_path: Path) -> None:
    config = own(tmp_path)
    config.files[0].write_bytes(f"\n{LINE}\r\n  \n{OTHER}\r\n\n".encode("utf-8-sig"))
    assert [concept.names[0] for concept in concepts_of(config)] == ["过拟合", "早停"]


def test_a_line_separator_within_a_description_ends_no_line(tmp_path: Path) -> None:
    (concept,) = concepts_of(own(tmp_path, '{"names": ["a"], "descriptions": ["b\u2028c\u0085d"]}'))
    assert concept.descriptions == ("b\u2028c\u0085d",)


def test_what_a_line_says_twice_counts_once(tmp_path: Path) -> None:
    (concept,) = concepts_of(own(tmp_path, '{"names": ["a", "b", "a"], "descriptions": ["c", "d", "d", "c"]}'))
    assert concept == Concept(("a", "b"), ("c", "d"))


def test_a_file_without_lines_adds_nothing(tmp_path: Path) -> None:
    assert concepts_of(own(tmp_path)) == ()


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    before = concepts_of(own(tmp_path, LINE))
    assert before == concepts_of(own(tmp_path, LINE))
    assert [concept.names[0] for concept in concepts_of(own(tmp_path, OTHER))] == ["早停"]


def test_a_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own(tmp_path, LINE)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert concepts_of(ConceptsConfig(built_in=False, files=(Path("~/own.jsonl"),))) == (OVERFITTING,)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("过拟合", "JSON"),
        (LINE[:-1], "JSON"),
        ("[]", "object"),
        ("null", "object"),
        ('{"descriptions": ["b"]}', "names"),
        ('{"names": ["a"]}', "descriptions"),
        ('{"names": [], "descriptions": ["b"]}', "names"),
        ('{"names": ["a"], "descriptions": []}', "descriptions"),
        ('{"names": "a", "descriptions": ["b"]}', "names"),
        ('{"names": ["a", 2], "descriptions": ["b"]}', r"names\.1"),
        ('{"names": ["a"], "descriptions": [null]}', r"descriptions\.0"),
        ('{"names": ["a"], "descriptions": ["b"], "decsriptions": ["c"]}', "decsriptions"),
        ('{"names": ["a", ""], "descriptions": ["b"]}', "'' has no letter or digit"),
        ('{"names": ["a"], "descriptions": ["b", "……"]}', "'……' has no letter or digit"),
    ],
)
def test_a_line_that_is_no_concept_is_refused_with_its_place(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigInvalid, match=said) as refusal:
        concepts_of(own(tmp_path, LINE, "", line, OTHER))
    assert refusal.value.message.startswith(f"{tmp_path / 'own.jsonl'}:3: ")
    assert '{"names": ["' in refusal.value.hint


def test_a_file_that_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    config = own(tmp_path)
    config.files[0].write_bytes(LINE.encode("gbk"))
    with pytest.raises(ConfigInvalid, match=r"own\.jsonl is not UTF-8") as refusal:
        concepts_of(config)
    assert "UTF-8" in refusal.value.hint


@pytest.mark.parametrize("path", ["missing.jsonl", ".", "~nobody-of-this-name/a.jsonl"])
def test_a_file_that_cannot_be_read_is_refused_by_its_setting(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigInvalid, match=r"index\.concepts\.files") as refusal:
        concepts_of(ConceptsConfig(built_in=False, files=(Path(path),)))
    assert str(Path(path)) in refusal.value.message
    assert "path" in refusal.value.hint


def test_the_digest_changes_with_all_that_concepts_say() -> None:
    said = [
        [],
        [Concept(("a", "b"), ("c", "d"))],
        [Concept(("b", "a"), ("c", "d"))],
        [Concept(("a",), ("b", "c", "d"))],
        [Concept(("a", "b", "c"), ("d",))],
        [Concept(("a", "b"), ("c",))],
        [Concept(("a", "b"), ("c", "d")), Concept(("e",), ("f",))],
        [Concept(("e",), ("f",)), Concept(("a", "b"), ("c", "d"))],
    ]
    assert len({concepts_digest(concepts) for concepts in said}) == len(said)
    assert concepts_digest([Concept(("a", "b"), ("c", "d"))]) == concepts_digest(said[1])


@pytest.fixture(scope="module")
def shipped() -> dict[str, Concept]:
    """Every concept that comes with asknotes, by file and line."""
    found = {}
    for path in sorted(CONCEPT_FILES.glob("*.jsonl")):
        concepts = concepts_of(ConceptsConfig(built_in=False, files=(path,)))
        found.update({f"{path.name}:{line}": concept for line, concept in enumerate(concepts, 1)})
    return found


def test_what_comes_with_asknotes_is_all_that_its_files_say(shipped: dict[str, Concept]) -> None:
    assert tuple(shipped.values()) == concepts_of(ConceptsConfig())


def test_every_concept_of_asknotes_has_a_name_and_three_descriptions(shipped: dict[str, Concept]) -> None:
    assert {place for place, each in shipped.items() if not each.names or len(each.descriptions) < 3} == set()


def test_no_description_of_asknotes_uses_a_name_of_its_own_concept(shipped: dict[str, Concept]) -> None:
    using = [
        (place, text)
        for place, concept in shipped.items()
        for finder in [NameFinder((name, name) for name in concept.names)]
        for text in concept.descriptions
        if finder.uses(text)
    ]
    assert using == []


def test_no_two_concepts_of_asknotes_have_the_same_first_name(shipped: dict[str, Concept]) -> None:
    places = defaultdict(list)
    for place, concept in shipped.items():
        places[concept.names[0]].append(place)
    assert [found for found in places.values() if len(found) > 1] == []
