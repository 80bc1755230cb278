"""The commands of ``asknotes eval`` as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.cli import app
from tests.eval.small_notes import QUESTIONS, SECTIONS, TeaNotes, write_lines
from tests.eval.test_beir import folder_of


@pytest.fixture
def config(tea: TeaNotes, tmp_path: Path) -> Path:
    """The settings that the notes were indexed with, as a file."""
    chunker = tea.settings.ingest.chunker
    path = tmp_path / "asknotes.toml"
    path.write_text(
        f'data = "{tea.settings.data}"\n[ingest.chunker]\n'
        f"target_tokens = {chunker.target_tokens}\nmax_tokens = {chunker.max_tokens}\n"
        f"[answering]\nspan_chars = {tea.settings.answering.span_chars}\n",
        encoding="utf-8",
    )
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["eval", *map(str, arguments)], prog_name="asknotes")


class TestRetrieval:
    def test_tables_are_whole_in_a_pipe_and_people_are_told_what_to_mind(self, tea: TeaNotes, config: Path) -> None:
        result = run("retrieval", "--gold", tea.gold, "--config", config)
        assert result.exit_code == 0, result.output
        for heading in ("hit@1", "recall@10", "ndcg@10", "95 % interval", "p, Holm", "hybrid+late - lexical"):
            assert heading in result.stdout
        assert "…" not in result.stdout
        assert "4 questions measured, 1 unanswerable ones asked and left out." in result.stdout

    def test_json_is_one_object(self, tea: TeaNotes, config: Path) -> None:
        found = json.loads(run("retrieval", "--gold", tea.gold, "--config", config, "--json").stdout)
        assert [system["name"] for system in found["systems"]] == ["lexical", "dense", "hybrid", "hybrid+late"]
        assert found["gold"]["answerable"] == 4

    def test_the_report_has_the_page_the_runs_and_how_to_repeat_it(
        self, tea: TeaNotes, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        report = tmp_path / "report"
        arguments = ["retrieval", "--gold", str(tea.gold), "--config", str(config), "--report", str(report)]
        monkeypatch.setattr("sys.argv", ["asknotes", "eval", *arguments])
        assert run(*arguments).exit_code == 0
        assert "asknotes eval retrieval --gold" in (report / "report.html").read_text("utf-8")
        assert (report / "report.md").is_file()
        assert {"lexical.trec", "lexical.qrels", "hybrid+late.jsonl", "runs.json"} <= {
            path.name for path in (report / "runs").iterdir()
        }

    def test_the_gate_passes_what_was_reached_and_fails_a_planted_regression_by_name(
        self, tea: TeaNotes, config: Path, tmp_path: Path
    ) -> None:
        baseline = tmp_path / "baseline.json"
        options = ["--gold", tea.gold, "--config", config]
        assert run("retrieval", *options, "--systems", "default", "--write-baseline", baseline).exit_code == 0
        passed = run("retrieval", *options, "--baseline", baseline)
        assert passed.exit_code == 0
        assert "Nothing fell below the baseline." in passed.stderr

        # BM25 turned off and late interaction too: what is left is the toy's dense signal, which knows no meaning.
        config.write_text(
            config.read_text("utf-8")
            + "[index.fusion]\nlexical_weight = 0.0\n[index.late]\nenabled = false\n[index.dense]\n",
            encoding="utf-8",
        )
        write_lines(tea.gold, QUESTIONS)
        kept = json.loads(baseline.read_text("utf-8"))
        kept["tolerance"] = dict.fromkeys(kept["tolerance"], 0.0)
        baseline.write_text(json.dumps(kept), encoding="utf-8")
        failed = run("retrieval", *options, "--baseline", baseline)
        assert failed.exit_code == 1, failed.output
        assert "default: mrr@10 fell from" in failed.stderr
        assert "Questions no longer found at rank 5:" in failed.stderr

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--systems", "hybird"], "Did you mean 'hybrid'?"),
            (["--baseline", "none.json"], "none.json: cannot be read"),
        ],
    )
    def test_refusals_say_what_to_do(self, tea: TeaNotes, config: Path, options: list[str], said: str) -> None:
        result = run("retrieval", "--gold", tea.gold, "--config", config, *options)
        assert result.exit_code == 1
        assert said in result.stderr

    def test_an_unknown_measure_is_wrong_usage(self, tea: TeaNotes, config: Path) -> None:
        result = run("retrieval", "--gold", tea.gold, "--config", config, "--test", "speed")
        assert result.exit_code == 2


class TestBeir:
    def test_figures_have_four_places_and_the_run_ten_documents(self, config: Path, tmp_path: Path) -> None:
        out = tmp_path / "run.jsonl"
        result = run("beir", folder_of(tmp_path / "set"), "--config", config, "--out", out)
        assert result.exit_code == 0, result.output
        lines = {line.split()[0]: line.split()[-1] for line in result.stdout.splitlines() if line.strip()}
        for measure in ("hit@1", "hit@5", "hit@10", "recall@10", "mrr@10", "ndcg@10"):
            assert len(lines[measure].partition(".")[2]) == 4
        first = json.loads(out.read_text("utf-8").splitlines()[0])
        assert len(first["hits"]) >= 10

    def test_a_folder_that_is_not_there(self, config: Path, tmp_path: Path) -> None:
        result = run("beir", tmp_path / "none", "--config", config)
        assert result.exit_code == 1
        assert "corpus.jsonl: cannot be read" in result.stderr

    def test_an_output_folder_that_is_not_there_is_said_before_the_work(self, config: Path, tmp_path: Path) -> None:
        result = run("beir", folder_of(tmp_path / "set"), "--config", config, "--out", tmp_path / "no" / "run.jsonl")
        assert result.exit_code == 2


class TestSweep:
    def test_the_grid_is_a_table_sorted_by_quality_with_its_front(
        self, tea: TeaNotes, config: Path, tmp_path: Path
    ) -> None:
        options = ["--set", "index.fusion.depth=3,50", "--set", "index.dense.factory=Flat|HNSW8"]
        report = tmp_path / "report"
        result = run(
            "sweep", "--gold", tea.gold, "--config", config, "--system", "hybrid", *options, "--report", report
        )
        assert result.exit_code == 0, result.output
        rows = [line for line in result.stdout.splitlines() if "HNSW8" in line or "Flat" in line]
        assert len(rows) == 4
        assert any(row.startswith("*") for row in rows)
        assert "HNSW8" in (report / "report.html").read_text("utf-8")

    @pytest.mark.parametrize("axis", ["index.fusion.depth", "index.fusion.depth="])
    def test_an_axis_without_values_is_wrong_usage(self, tea: TeaNotes, config: Path, axis: str) -> None:
        assert run("sweep", "--gold", tea.gold, "--config", config, "--set", axis).exit_code == 2


def test_every_command_of_the_group_is_there() -> None:
    assert len(SECTIONS) >= 10
    for command in ("retrieval", "beir", "answers", "ann", "bench", "sweep", "make-gold"):
        result = run(command, "--help")
        assert result.exit_code == 0, result.output
        assert "--config" in result.stdout
