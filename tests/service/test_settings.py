from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from index.errors import ConfigInvalid
from service.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("ASKNOTES_"):
            monkeypatch.delenv(name)


def config_file(folder: Path, text: str) -> Path:
    path = folder / "asknotes.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(config: Path | None = None, **overrides: object) -> ConfigInvalid:
    with pytest.raises(ConfigInvalid) as caught:
        load_settings(config, **overrides)
    return caught.value


def test_without_anything_the_defaults_hold() -> None:
    assert load_settings() == Settings()
    assert (load_settings().server.host, load_settings().data) == ("127.0.0.1", Path("data"))


def test_options_win_over_variables_and_these_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = config_file(tmp_path, '[server]\nport = 1\nqueue = 1\nconcurrency = 1\nhost = "::1"\n')
    monkeypatch.setenv("ASKNOTES_SERVER__PORT", "2")
    monkeypatch.setenv("ASKNOTES_SERVER__QUEUE", "2")
    server = load_settings(path, server={"port": 3, "host": None}).server
    assert (server.port, server.queue, server.concurrency, server.host) == (3, 2, 1, "::1")


def test_a_variable_changes_one_key_of_a_deep_section_and_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config_file(tmp_path, '[index.encoder]\nmodel = "some/model"\n')
    monkeypatch.setenv("ASKNOTES_INDEX__ENCODER__THREADS", "4")
    encoder = load_settings(path).index.encoder
    assert (encoder.model, encoder.threads) == ("some/model", 4)


def test_the_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().data = Path("elsewhere")


def test_notes_are_a_list_in_the_file_and_joined_by_colons_in_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config_file(tmp_path, 'notes = ["a", "~/b"]\n')
    assert load_settings(path).notes == (Path("a"), Path.home() / "b")
    monkeypatch.setenv("ASKNOTES_NOTES", "c:d")
    assert load_settings(path).notes == (Path("c"), Path("d"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[server]\nprot = 1\n", ["server.prot", "Did you mean `port`?", "Allowed here: host, port"]),
        ("[servre]\nport = 1\n", ["servre", "Did you mean `server`?", "Allowed here: data, notes, index"]),
        ("[server]\nport = 70000\n", ["server.port", "less than or equal to 65535", "not 70000"]),
        ("[index.encoder]\nbatch_sise = 4\n", ["index.encoder.batch_sise", "Did you mean `batch_size`?"]),
        ('[index.lexical]\nengine = "lucene"\n', ["index.lexical.engine", "'bm25s' or 'rank-bm25'", "not 'lucene'"]),
        ("server = 3\n", ["server", "not 3"]),
    ],
)
def test_what_does_not_fit_is_refused_with_file_key_and_what_is_allowed(
    tmp_path: Path, text: str, told: list[str]
) -> None:
    path = config_file(tmp_path, text)
    message = refused(path).message
    for part in [str(path), *told]:
        assert part in message


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    message = refused(config_file(tmp_path, "[server]\nport = -1\nqueue = -1\n")).message
    assert len(message.splitlines()) == 2


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("ASKNOTES_SERVER__PORT", "many", "valid integer"),
        ("ASKNOTES_SERVER__PROT", "1", "Did you mean `port`?"),
        ("ASKNOTES_SERVRE__PORT", "1", "Did you mean `server`?"),
        ("ASKNOTES_DAATA", "x", "Did you mean `data`?"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str) -> None:
    monkeypatch.setenv(variable, value)
    message = refused().message
    assert f"environment variable {variable}" in message
    assert told in message


def test_a_section_in_one_variable_must_be_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASKNOTES_SERVER", '{"port": 9}')
    assert load_settings().server.port == 9
    monkeypatch.setenv("ASKNOTES_SERVER", "{port")
    assert "server" in refused().message


def test_the_variable_that_names_the_config_file_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASKNOTES_CONFIG", "elsewhere.toml")
    assert load_settings() == Settings()


def test_a_wrong_option_is_named() -> None:
    assert refused(server={"port": 70000}).message.startswith("option server.port")


@pytest.mark.parametrize("content", [b"[server\n", b"\xff\xfe", b"port = \n"])
def test_a_file_that_is_no_toml_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "{odd} name.toml"
    path.write_bytes(content)
    assert str(path) in refused(path).message


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    error = refused(tmp_path / "none.toml")
    assert "none.toml" in error.message
    assert "--config" in error.hint
