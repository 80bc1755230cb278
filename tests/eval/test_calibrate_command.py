"""``asknotes eval calibrate`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from eval.cli import EvalCommands
from service.answering.reranking.calibration import load_calibration
from service.commands.lazy import LazyCommand, LazyGroup, plain_app
from tests.eval.small_notes import TeaNotes


class _Group(LazyGroup):
    lazy_commands = {**EvalCommands.lazy_commands, "calibrate": LazyCommand("eval.commands.calibrate", "It.")}  # noqa: RUF012 - as its base declares it


app = plain_app(cls=_Group, no_args_is_help=True)


@app.callback()
def _evaluate() -> None:
    """A group, as ``asknotes eval`` is one."""


@pytest.fixture
def config(tea: TeaNotes, tmp_path: Path) -> Path:
    chunker = tea.settings.ingest.chunker
    path = tmp_path / "asknotes.toml"
    path.write_text(
        f'data = "{tea.settings.data}"\n[ingest.chunker]\n'
        f"target_tokens = {chunker.target_tokens}\nmax_tokens = {chunker.max_tokens}\n",
        encoding="utf-8",
    )
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["calibrate", *map(str, arguments)])


def test_a_calibration_is_fitted_written_and_checked(tea: TeaNotes, config: Path, tmp_path: Path) -> None:
    out = tmp_path / "late.json"
    result = run("--gold", tea.gold, "--config", config, "--candidates", "4", "--out", out)
    assert result.exit_code == 0, result.output
    assert "20 candidates, 5 hold evidence. Each question left out" in result.stdout
    assert "By the reranker:" in result.stdout
    assert f"Calibration: {out}" in result.stderr
    kept = load_calibration(out, "late")
    assert kept.candidates == 4

    checked = run("--gold", tea.gold, "--config", config, "--candidates", "4", "--check", out, "--json")
    assert checked.exit_code == 0, checked.output
    said = json.loads(checked.stdout)
    assert said["held_out"] is False
    assert said["calibration"] == kept.model_dump()


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--check", "none.json"], 1, "none.json: cannot be read"),
        (["--reranker", "none"], 1, "no model that could be opened"),
        (["--out", "no/such/folder/late.json"], 2, "There is no folder"),
        (["--out", "a.json", "--check", "b.json"], 2, "not both at once"),
    ],
)
def test_refusals_say_what_to_do(tea: TeaNotes, config: Path, options: list[str], status: int, said: str) -> None:
    result = run("--gold", tea.gold, "--config", config, *options)
    assert result.exit_code == status
    assert said in " ".join(result.stderr.split())
