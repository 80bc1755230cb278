"""``asknotes tune`` as a user calls it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from index import weights
from service.cli import Commands
from service.commands.lazy import LazyCommand, LazyGroup, plain_app
from tests.eval.tuning.two_languages import indexed_settings, small_encoder, write_pairs

pytestmark = pytest.mark.slow  # a small encoder is trained and tried


class _Group(LazyGroup):
    lazy_commands = {**Commands.lazy_commands, "tune": LazyCommand("eval.commands.tune", "It.")}  # noqa: RUF012 - as its base declares it


app = plain_app(cls=_Group, no_args_is_help=True)


@app.callback()
def _asknotes() -> None:
    """A group, as ``asknotes`` is one."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("command")
    encoder = small_encoder(root / "encoder")
    settings = indexed_settings(root, encoder)
    write_pairs(root / "pairs.jsonl")
    chunker = settings.ingest.chunker
    (root / "asknotes.toml").write_text(
        f'data = "{settings.data}"\n[index.encoder]\nmodel = "{encoder}"\ndevice = "cpu"\n[ingest.chunker]\n'
        f"target_tokens = {chunker.target_tokens}\nmax_tokens = {chunker.max_tokens}\n",
        encoding="utf-8",
    )
    return root


def run(root: Path, *arguments: object) -> Result:
    return CliRunner().invoke(app, ["tune", "--config", str(root / "asknotes.toml"), *map(str, arguments)])


def test_a_dry_run_says_which_pairs_there_are_and_writes_nothing(root: Path) -> None:
    result = run(root, "--pairs", root / "pairs.jsonl", "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["pairs"]["origins"]["file"] == 120
    assert "to train on" in result.stderr
    assert not (root / "data" / "encoders").exists()


def test_a_better_encoder_is_published_with_what_to_set(root: Path) -> None:
    out = root / "tuned"
    learning = ("--epochs", 8, "--batch-size", 12, "--learning-rate", 3e-3, "--layers", 3)
    result = run(root, "--pairs", root / "pairs.jsonl", "--out", out, *learning)
    assert result.exit_code == 0, result.output
    assert "before" in result.stdout
    assert "p = 0.0" in result.stdout
    said = result.stderr[result.stderr.index("[index.encoder]") :]
    assert tomllib.loads(said)["index"]["encoder"]["model"] == str(out)
    assert weights.resolve(str(out), cache=root).location == str(out)
    again = run(root, "--pairs", root / "pairs.jsonl", "--out", out)
    assert again.exit_code == 1
    assert "is there already" in again.stderr


def test_one_that_is_no_better_is_not_published_and_the_status_is_1(root: Path) -> None:
    result = run(root, "--pairs", root / "pairs.jsonl", "--epochs", 1, "--learning-rate", 1e-7, "--json")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert said["folder"] is None
    assert said["trial"]["before"].keys() == said["trial"]["after"].keys() == {"mrr@10", "hit@1", "hit@5"}
    assert "Not published" in result.stderr


def test_too_few_pairs_are_refused_with_a_remedy(root: Path) -> None:
    result = run(root)
    assert result.exit_code == 1
    assert "are needed" in result.stderr
    assert "--pairs" in result.stderr
