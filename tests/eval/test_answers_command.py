"""``asknotes eval answers`` and ``asknotes eval make-gold`` as a person calls them, over small notes with the toys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from eval.cli import app
from service.answering.engine import Engine
from service.settings import Settings
from tests.eval.small_notes import QUESTIONS, TeaNotes, read_lines, reference_scorer, write_lines
from tests.service.answering.toy_language_model import ToyLanguageModel
from tests.toys import ToyEncoder

FACTS = {"T1": [["八十度"]], "T2": [["全发酵"], ["半发酵", "半發酵"]], "T3": [["紫砂"]], "T4": [["第一泡"]]}


class ServedEncoder(ToyEncoder):
    """The toy with what an engine's status says of its encoder."""

    backend = "toy"


@pytest.fixture
def notes(tea: TeaNotes, monkeypatch: pytest.MonkeyPatch) -> TeaNotes:
    """The small notes with key facts, answered without a model and without a threshold."""
    write_lines(tea.gold, [{**row, "key_facts": FACTS.get(str(row["id"]), [])} for row in QUESTIONS])
    config = "[answering]\nmodel = 'none'\nmin_answerable = 0\n[ingest.chunker]\ntarget_tokens = 40\nmax_tokens = 80\n"
    (tea.root / "c.toml").write_text(config, encoding="utf-8")

    def toy_engine(settings: Settings, data: Path) -> Engine:
        return Engine(settings, data, ServedEncoder())  # type: ignore[arg-type]  # it has what an Engine uses

    monkeypatch.setattr("eval.commands.answers.open_engine", toy_engine)
    monkeypatch.setattr("eval.commands.answers.open_encoder", lambda *_, **__: ToyEncoder())
    return tea


def run(notes: TeaNotes, *arguments: object) -> Result:
    places = ("--data", notes.settings.data, "--config", notes.root / "c.toml")
    return CliRunner().invoke(app, [str(argument) for argument in (*arguments, *places)], prog_name="asknotes eval")


def found(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


class TestAnswers:
    def test_figures_agree_with_the_reference_scorer_on_the_saved_run(self, notes: TeaNotes) -> None:
        out = notes.root / "run.jsonl"
        results = found(run(notes, "answers", "--gold", notes.gold, "--out", out, "--json"))
        score = reference_scorer()
        _, extra = score.evaluate(read_lines(notes.gold), {row["id"]: row for row in read_lines(out)})
        measures = results["slices"]["all"]["measures"]
        assert measures["key_fact_recall"]["mean"] == extra["key_fact_recall"]
        assert measures["abstention_recall"]["mean"] == extra["abstained_on_unanswerable"]
        assert measures["wrongly_abstained"]["mean"] == extra["abstained_on_answerable"]
        assert results["written_by"]["extract"] == 1.0
        assert set(results["latency_ms"]) == {"first_text", "total"}
        assert results["provenance"]["settings"]["answering"]["model"] == "none"

    def test_a_saved_run_gives_the_same_figures_without_an_index(self, notes: TeaNotes) -> None:
        out = notes.root / "run.jsonl"
        asked = found(run(notes, "answers", "--gold", notes.gold, "--out", out, "--json"))
        (notes.settings.data / "CURRENT").unlink()
        scored = found(run(notes, "answers", "--gold", notes.gold, "--run", out, "--json"))
        assert scored["slices"] == asked["slices"]
        assert scored["per_question"] == asked["per_question"]
        assert scored["snapshot"] is None
        assert "not held against the notes" in scored["notices"][0]

    def test_people_see_tables_and_find_them_in_the_report(self, notes: TeaNotes) -> None:
        report = notes.root / "report"
        result = run(notes, "answers", "--gold", notes.gold, "--report", report)
        assert result.exit_code == 0, result.stderr
        assert "gold: 4 answerable questions, 1 not" in result.stdout
        assert "key fact recall" in result.stdout
        assert "… echoing the question" in result.stdout
        assert json.loads((report / "results.json").read_text(encoding="utf-8"))["answers"]["gold"]["answerable"] == 4
        assert (report / "report.html").is_file()

    def test_a_quote_that_is_not_in_the_notes_is_refused_before_anything_is_asked(self, notes: TeaNotes) -> None:
        rows = read_lines(notes.gold)
        rows[0]["evidence"][0]["quote"] = "这句话哪里都没有，谁也没有写过"
        write_lines(notes.gold, rows)
        result = run(notes, "answers", "--gold", notes.gold)
        assert result.exit_code == 1
        assert "gold.jsonl:1: T1: the quote occurs 0 times" in result.stderr

    def test_rgb_files_are_measured_by_noise_ratio(self, notes: TeaNotes) -> None:
        file = write_lines(
            notes.root / "rgb.json",
            [{"id": 1, "query": "青石桥是哪一年建成的？", "answer": "1623年", "positive": ["青石桥建成于1623年。"],
              "negative": ["青石桥长四十二米。", "桥头原有一座茶楼。"]}],
        )  # fmt: skip
        results = found(run(notes, "answers", "--rgb", file, "--noise", "0.6,1", "--passages", "3", "--json"))
        assert [ratio["noise"] for ratio in results["ratios"]] == [0.6, 1.0]
        assert results["ratios"][0]["accuracy"]["mean"] == 1.0

    @pytest.mark.parametrize(
        "arguments",
        [
            ("answers",),
            ("answers", "--gold", "g", "--rgb", "r"),
            ("answers", "--rgb", "r", "--run", "x"),
            ("answers", "--rgb", "r", "--noise", "0,2"),
            ("answers", "--rgb", "r", "--noise", "some"),
            ("answers", "--gold", "g", "--run", "x", "--out", "y"),
            ("answers", "--gold", "g", "--judge", "http://127.0.0.1:1"),
            ("answers", "--gold", "g", "--out", "no/such/folder/run.jsonl"),
        ],
    )
    def test_contradictory_options_are_wrong_usage(self, notes: TeaNotes, arguments: tuple[str, ...]) -> None:
        assert run(notes, *arguments).exit_code == 2


class TestMakeGold:
    @pytest.fixture
    def model(self, monkeypatch: pytest.MonkeyPatch) -> ToyLanguageModel:
        toy = ToyLanguageModel(pieces=("泡绿茶怎么做", "嫩叶才不变黄变苦？"))
        monkeypatch.setattr("eval.commands.make_gold.open_language_model", lambda _: toy)
        monkeypatch.setattr("eval.commands.make_gold.open_encoder", lambda *_, **__: ToyEncoder())
        return toy

    @pytest.mark.parametrize("source", [(), ("--notes", "notes")])
    def test_drafts_over_indexed_and_over_named_notes(
        self, notes: TeaNotes, model: ToyLanguageModel, source: tuple[str, ...]
    ) -> None:
        out = notes.root / "drafts.jsonl"
        named = (source[0], notes.root / source[1]) if source else ()
        said = found(run(notes, "make-gold", "--count", 3, "--out", out, "--json", *named))
        assert said["drafted"] == 1
        assert sum(said["rejected"].values()) == len(read_lines(Path(said["rejected_out"])))
        (draft,) = read_lines(out)
        assert draft["id"] == "G001"
        assert (notes.notes / "tea.md").read_text(encoding="utf-8").count(draft["evidence"][0]["quote"]) == 1

    def test_reasons_are_printed_for_people(self, notes: TeaNotes, model: ToyLanguageModel) -> None:
        result = run(notes, "make-gold", "--count", 2, "--out", notes.root / "drafts.jsonl")
        assert result.exit_code == 0, result.stderr
        assert "泡绿茶怎么做嫩叶才不变黄变苦？" in result.stdout
        assert "1 of 2 questions drafted" in result.stderr
        assert "says nothing of its sentence" in result.stderr

    def test_an_existing_file_is_refused_before_the_model_is_asked(
        self, notes: TeaNotes, model: ToyLanguageModel
    ) -> None:
        result = run(notes, "make-gold", "--out", notes.gold)
        assert result.exit_code == 1
        assert "is there already" in result.stderr
        assert model.prompts == []

    def test_without_a_language_model_nothing_is_drafted(self, notes: TeaNotes) -> None:
        result = run(notes, "make-gold", "--out", notes.root / "drafts.jsonl")
        assert result.exit_code == 1
        assert "No language model is configured" in result.stderr
