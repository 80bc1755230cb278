"""Naming systems: built in, from a file, with changed settings; a name that promises what is not there is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.systems import BUILT_IN, System, SystemsInvalid, choose_systems
from index.errors import ConfigInvalid
from service.settings import Settings


def test_names_are_taken_in_order_and_keep_their_meaning() -> None:
    lexical, late = choose_systems(["lexical", " hybrid+late "])
    assert (lexical.mode, lexical.rerank) == ("lexical", "none")
    assert (late.mode, late.rerank) == ("hybrid", "late")
    assert late.applied_to(Settings()).index.late.enabled


def test_changed_settings_follow_the_name_and_are_numbers_where_they_look_like_it() -> None:
    (system,) = choose_systems(["hybrid@index.fusion.lexical_weight=0@index.dense.factory=HNSW32"])
    settings = system.applied_to(Settings())
    assert settings.index.fusion.lexical_weight == 0
    assert settings.index.dense.factory == "HNSW32"
    assert system.name == "hybrid@index.fusion.lexical_weight=0@index.dense.factory=HNSW32"
    assert system.described()["index.dense.factory"] == "HNSW32"


def test_a_file_builds_on_built_in_systems_and_on_its_own(tmp_path: Path) -> None:
    file = tmp_path / "systems.toml"
    file.write_text(
        '[systems.deep]\nbase = "hybrid+late"\nsettings = { "index.fusion.depth" = 500 }\n'
        '[systems.deep-lexical]\nbase = "deep"\nmode = "lexical"\n',
        encoding="utf-8",
    )
    (system,) = choose_systems(["deep-lexical"], file)
    assert (system.mode, system.rerank) == ("lexical", "late")
    assert system.applied_to(Settings()).index.fusion.depth == 500


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["hybird"], "There is no system 'hybird'. Did you mean 'hybrid'?"),
        ([" "], "No system is named."),
        (["dense", "dense"], "The system 'dense' is named twice."),
        (["dense@index.fusion.depth"], "sets nothing"),
    ],
)
def test_names_that_mean_nothing(names: list[str], said: str) -> None:
    with pytest.raises(SystemsInvalid) as caught:
        choose_systems(names)
    assert said in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"index.fusion.dept": 3}, "index.fusion.dept: Extra inputs are not permitted"),
        ({"index.fusion.depth": 0}, "index.fusion.depth: Input should be greater than or equal to 1"),
        ({"indexes.fusion.depth": 1}, "there is no section 'indexes'"),
        ({"data.deeper": 1}, "there is no section 'data'"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: dict[str, object], said: str) -> None:
    with pytest.raises(SystemsInvalid, match=said):
        System("mine", settings=settings).applied_to(Settings())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[systems]\n", "systems: Dictionary should have at least 1 item"),
        ("[systems.a]\nmood = 'dense'\n", "systems.a.mood: Extra inputs"),
        ("[systems.a\n", "is not TOML"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "systems.toml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=r"systems\.toml: .*") as caught:
        choose_systems(["a"], file)
    assert said in caught.value.message


def test_every_built_in_system_fits_the_settings() -> None:
    for system in BUILT_IN.values():
        assert system.applied_to(Settings()).index
