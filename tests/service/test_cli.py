from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from index.errors import GenerationFailed, IndexMissing, NotesMissing
from service.answering.exchange import SearchRequest
from service.cli import app
from service.settings import Settings
from tests.service.toy_engine import CHUNKS, TEA, ToyEngine

QUESTION = "绿茶用几度的水？"


@dataclass
class Opened:
    """Stands for open_engine, and remembers with which settings it was called."""

    engine: ToyEngine = field(default_factory=ToyEngine)
    settings: list[Settings] = field(default_factory=list)

    def __call__(self, settings: Settings, data: Path) -> ToyEngine:
        assert data == settings.data
        self.settings.append(settings)
        return self.engine


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    fake = Opened()
    monkeypatch.setattr("service.commands.ask.open_engine", fake)
    monkeypatch.setattr("service.commands.search.open_engine", fake)
    return fake


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    path = tmp_path / "q.jsonl"
    lines = [{"id": "D1", "question": QUESTION, "lang": "zh"}, {"id": 2, "question": "XYZ"}]
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n\n", encoding="utf-8")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="asknotes")


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class TestSearch:
    def test_json_is_one_object_on_standard_output(self, opened: Opened) -> None:
        result = run("search", QUESTION, "-k", 2, "--json")
        assert result.exit_code == 0
        (line,) = result.stdout.splitlines()
        found = json.loads(line)
        assert found["hits"][0]["chunk_id"] == TEA.id
        assert len(found["hits"]) == 2
        assert set(found) == {"hits", "timings", "stages_skipped", "snapshot"}
        assert found["hits"][0]["heading"] == ["茶", "冲泡"]

    def test_people_see_place_heading_text_and_where_else_it_stands(self, opened: Opened) -> None:
        out = run("search", QUESTION, "-k", 1).stdout
        assert "tea.md:3-4  茶 › 冲泡" in out
        assert "绿茶用八十度的水。 泡两分钟。" in out
        assert "also in old/tea.md:1-2" in out

    def test_explain_says_how_the_result_came_about(self, opened: Opened) -> None:
        out = run("search", QUESTION, "-k", 1, "--explain").stdout
        assert "Asked (by its form: question)" in out
        assert "not in the notes: 几度" in out
        assert "not used hyde drifted: 红茶" in out
        assert "lexical 1. (6.0000)" in out
        assert "绿茶用八十度的水。" in out
        assert "also in old/tea.md:1-2" in out
        assert "coffee.md:1-1  0.5000  stands below the last hit" in out
        assert "3 passages are outside of the filter." in out

    def test_explain_as_json_holds_the_same(self, opened: Opened) -> None:
        found = json.loads(run("search", QUESTION, "-k", 1, "--explain", "--json").stdout)
        assert found["explanation"]["rejected"] == [{"stage": "hyde", "reason": "drifted", "text": "红茶"}]
        assert found["explanation"]["dropped"][0]["reason"] == "rank"
        assert found["hits"][0]["matches"] == ["绿茶用八十度的水。"]
        assert [place["note"] for place in found["hits"][0]["also_in"]] == ["old/tea.md"]

    def test_stages_are_switched_by_name(self, opened: Opened) -> None:
        run("search", QUESTION, "--with", "keywords", "--without", "spelling")
        assert opened.engine.searched[0].stages == {"spelling": False, "keywords": True}

    def test_a_stage_that_there_is_not_is_refused_with_those_that_are(self, opened: Opened) -> None:
        result = run("search", QUESTION, "--with", "telepathy")
        assert result.exit_code == 2
        assert "'telepathy'" in result.stderr
        assert "translation" in result.stderr

    def test_nothing_found_is_said(self, opened: Opened) -> None:
        assert run("search", "XYZ").stdout.strip() == "Nothing was found."

    def test_options_reach_the_engine(self, opened: Opened) -> None:
        run("search", QUESTION, "--mode", "dense", "--hyde", "--rerank", "none")
        expected = SearchRequest(question=QUESTION, top_k=10, mode="dense", hyde=True, rerank="none")
        assert opened.engine.searched == [expected]

    def test_a_run_holds_chunks_and_hits_as_eval_wants_them(
        self, opened: Opened, queries: Path, tmp_path: Path
    ) -> None:
        result = run("search", "--queries", queries, "--out", tmp_path / "run.jsonl", "-k", 1)
        assert result.exit_code == 0, result.stderr
        assert result.stdout == ""
        first, second = lines_of(tmp_path / "run.jsonl")
        assert set(first) == {"id", "chunks", "hits"}
        assert first["id"] == "D1"
        assert first["chunks"][0] == TEA.text
        assert len(first["chunks"]) == len(first["hits"]) == 10  # whatever -k says
        assert set(first["hits"][0]) == {"chunk_id", "note", "heading", "lines", "score", "signals"}
        assert first["hits"][0]["lines"] == [3, 4]
        assert first["hits"][0]["signals"] == {"lexical": {"rank": 1, "score": 6.0}}
        assert second == {"id": 2, "chunks": [], "hits": []}

    def test_a_deeper_run_when_more_is_asked_for(self, opened: Opened, queries: Path, tmp_path: Path) -> None:
        run("search", "--queries", queries, "--out", tmp_path / "run.jsonl", "-k", 12)
        assert len(lines_of(tmp_path / "run.jsonl")[0]["hits"]) == 12
        assert len(CHUNKS) == 13


class TestAsk:
    def test_the_answer_its_sources_and_where_it_comes_from(self, opened: Opened) -> None:
        result = run("ask", QUESTION)
        assert result.exit_code == 0
        out = result.stdout
        assert out.startswith("绿茶用八十度的水。[1]\n")
        assert "[1] tea.md:3-4  茶 › 冲泡" in out
        assert "The notes' own sentences" in out
        assert result.stderr == ""

    def test_when_the_notes_do_not_say_it_says_so_plainly(self, opened: Opened) -> None:
        result = run("ask", "XYZ")
        assert result.exit_code == 0
        assert result.stdout == "笔记里没有写。\n"
        assert "Sources" not in result.stdout

    def test_json_is_the_reply_of_the_service_without_a_request_id(self, opened: Opened) -> None:
        answer = json.loads(run("ask", QUESTION, "--json").stdout)
        assert answer["answer"] == "绿茶用八十度的水。[1]"
        assert answer["citations"][0]["heading"] == ["茶", "冲泡"]
        assert "request_id" not in answer

    def test_on_a_terminal_the_draft_is_shown_and_replaced_by_the_checked_answer(
        self, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        opened.engine.tokens = ("草", "稿", "\x1b[2J")
        result = run("ask", QUESTION)
        assert "草稿" in result.stderr
        assert "\x1b[2J" not in result.stderr
        assert "草" not in result.stdout
        assert "绿茶用八十度的水。" in result.stdout

    @pytest.mark.parametrize("option", ["--no-stream", "--json"])
    def test_without_a_stream_the_draft_is_not_shown(
        self, opened: Opened, monkeypatch: pytest.MonkeyPatch, option: str
    ) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        opened.engine.tokens = ("草稿",)
        result = run("ask", QUESTION, option)
        assert "草稿" not in result.output

    def test_a_stream_that_breaks_off_is_an_error(self, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        opened.engine.break_after_tokens = GenerationFailed("the model fell over", hint="ask again")
        result = run("ask", QUESTION)
        assert result.exit_code == 1
        assert "the model fell over" in result.stderr

    def test_a_run_holds_answer_chunks_and_citations(self, opened: Opened, queries: Path, tmp_path: Path) -> None:
        result = run("ask", "--queries", queries, "--out", tmp_path / "run.jsonl")
        assert result.exit_code == 0, result.stderr
        first, second = lines_of(tmp_path / "run.jsonl")
        assert set(first) == {"id", "chunks", "answer", "abstained", "citations", "timings"}
        assert (len(first["chunks"]), first["abstained"]) == (10, False)
        assert first["citations"][0]["chunk_id"] == TEA.id
        assert (second["abstained"], second["chunks"]) == (True, [])

    def test_a_note_cannot_steer_the_terminal(self, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tests.service.toy_engine.CHUNKS", (_with_text("\x1b]0;owned\x07绿茶 [red]x[/red]"),))
        for command in ("ask", "search"):
            out = run(command, QUESTION).stdout
            assert "\x1b" not in out
            assert "[red]x[/red]" in out


class TestQueries:
    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("{", "is not JSON"),
            ('["D1"]', 'has no "question"'),
            ('{"id": "D9"}', 'has no "question"'),
            ('{"question": "茶"}', 'has no "id"'),
            ('{"id": true, "question": "茶"}', 'has no "id"'),
            ('{"id": "D9", "question": " "}', "question is empty"),
            ('{"id": "D1", "question": "茶"}', "is there twice"),
        ],
    )
    def test_a_bad_line_is_named_and_nothing_is_written(
        self, opened: Opened, queries: Path, line: str, told: str
    ) -> None:
        with queries.open("a", encoding="utf-8") as file:
            file.write(line)
        out = queries.with_name("run.jsonl")
        for command in ("ask", "search"):
            result = run(command, "--queries", queries, "--out", out)
            assert result.exit_code == 1
            assert f"{queries}:4: " in result.stderr
            assert told in result.stderr
            assert not out.exists()
        assert opened.settings == []  # no model was loaded for it

    def test_a_run_that_fails_half_way_leaves_the_old_one(self, opened: Opened, queries: Path, tmp_path: Path) -> None:
        out = tmp_path / "run.jsonl"
        out.write_text("old\n")
        opened.engine.error = GenerationFailed("no", hint="again")
        assert run("ask", "--queries", queries, "--out", out).exit_code == 1
        assert out.read_text() == "old\n"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["q.jsonl", "run.jsonl"]

    def test_a_missing_or_empty_file_is_refused(self, opened: Opened, tmp_path: Path) -> None:
        (tmp_path / "empty").write_text("\n")
        for name in ("none", "empty"):
            result = run("search", "--queries", tmp_path / name, "--out", tmp_path / "run.jsonl")
            assert result.exit_code == 1
            assert name in result.stderr


class TestExitCodes:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["ask"],
            ["ask", QUESTION, "--queries", "q.jsonl", "--out", "run.jsonl"],
            ["ask", "--queries", "q.jsonl"],
            ["search", "--out", "run.jsonl"],
            ["search", "--queries", "q.jsonl", "--out", "no/such/folder/run.jsonl"],
            ["search", "--queries", "q.jsonl", "--out", "run.jsonl", "--json"],
            ["search", QUESTION, "--mode", "psychic"],
            ["search", QUESTION, "-k", "0"],
            ["serve", "--port", "70000"],
            ["models", "1.5b"],
            ["sing"],
            ["ask", QUESTION, "--loud"],
        ],
    )
    def test_wrong_usage_is_2_and_goes_to_standard_error(self, opened: Opened, arguments: list[str]) -> None:
        result = run(*arguments)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert "asknotes" in result.stderr
        assert opened.engine.asked == []

    @pytest.mark.parametrize("question", ["", "  ", "茶" * 10_000])
    def test_a_question_that_cannot_be_asked_is_1(self, opened: Opened, question: str) -> None:
        for command in ("ask", "search"):
            result = run(command, question)
            assert result.exit_code == 1
            assert result.stderr.startswith("Error: The question")

    def test_a_refusal_is_1_with_its_remedy_and_without_a_traceback(self, opened: Opened) -> None:
        opened.engine.error = IndexMissing("nothing is indexed", hint="run asknotes index")
        result = run("ask", QUESTION)
        assert result.exit_code == 1
        assert result.stdout == ""
        assert result.stderr == "Error: nothing is indexed\nrun asknotes index\n"

    def test_a_wrong_config_is_1_and_named(self, opened: Opened, tmp_path: Path) -> None:
        (tmp_path / "c.toml").write_text("[server]\nprot = 1\n")
        result = run("ask", QUESTION, "--config", tmp_path / "c.toml")
        assert result.exit_code == 1
        assert "c.toml: server.prot" in result.stderr

    def test_an_interrupt_is_130_and_quiet(self, opened: Opened) -> None:
        opened.engine.error = KeyboardInterrupt()  # type: ignore[assignment]
        result = run("ask", QUESTION)
        assert result.exit_code == 130
        assert result.output.strip() == ""

    def test_data_and_config_lead_to_the_settings(self, opened: Opened, tmp_path: Path) -> None:
        (tmp_path / "c.toml").write_text('data = "one"\n[answering]\ntop_k = 3\n')
        run("ask", QUESTION, "--config", tmp_path / "c.toml")
        run("search", QUESTION, "--config", tmp_path / "c.toml", "--data", "two")
        assert [str(settings.data) for settings in opened.settings] == ["one", "two"]
        assert opened.settings[0].answering.top_k == 3

    def test_the_config_file_may_be_named_by_a_variable(
        self, opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "c.toml").write_text('data = "one"\n')
        monkeypatch.setenv("ASKNOTES_CONFIG", str(tmp_path / "c.toml"))
        run("ask", QUESTION)
        assert str(opened.settings[0].data) == "one"


@dataclass(frozen=True)
class _Skipped:
    path: str
    reason: str


@dataclass(frozen=True)
class _Counts:
    added: int = 1
    changed: int = 0
    removed: int = 0
    unchanged: int = 2
    skipped: tuple[_Skipped, ...] = (_Skipped("bad.md", "is binary"),)


@dataclass(frozen=True)
class _Summary:
    snapshot: str = "000003"
    notes: _Counts = _Counts()
    chunks: int = 5
    duplicates: int = 1
    chunks_embedded: int = 2
    seconds: float = 0.5

    def as_json(self) -> dict[str, Any]:
        return {"snapshot": self.snapshot, "chunks": self.chunks}


class TestIndex:
    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], bool]]:
        seen: list[tuple[list[str], bool]] = []

        def toy_index(settings: Settings, paths: Any, *, full: bool, listener: Any) -> _Summary:
            seen.append(([str(path) for path in paths], full))
            if full:
                raise NotesMissing("there are no notes", hint="give a folder with notes")
            listener.start("reading notes", 3)
            listener.advance(3)
            listener.finish()
            return _Summary()

        monkeypatch.setattr("service.commands.index.run_index", toy_index)
        return seen

    def test_the_summary_is_for_people_on_standard_error(self, calls: list[Any]) -> None:
        result = run("index", "notes", "more.md")
        assert result.exit_code == 0
        assert result.stdout == ""
        assert "Snapshot 000003: 5 chunks" in result.stderr
        assert "skipped bad.md: is binary" in result.stderr
        assert calls == [(["notes", "more.md"], False)]

    def test_json_is_one_object_on_standard_output(self, calls: list[Any]) -> None:
        assert json.loads(run("index", "--json").stdout) == {"snapshot": "000003", "chunks": 5}
        assert calls == [([], False)]

    def test_a_failed_run_is_1(self, calls: list[Any]) -> None:
        result = run("index", "notes", "--full", "--json")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "there are no notes\ngive a folder with notes" in result.stderr


class TestStatus:
    def test_what_is_published(self, monkeypatch: pytest.MonkeyPatch) -> None:
        published = {"snapshot": "000003", "counts": {"chunks": 5}, "sources": ["/n"]}
        monkeypatch.setattr("service.commands.status.published_status", lambda data: published)
        assert json.loads(run("status", "--json").stdout) == published
        shown = run("status").stdout
        assert "000003" in shown
        assert "chunks: 5" in shown

    def test_nothing_published_is_1(self, tmp_path: Path) -> None:
        result = run("status", "--data", tmp_path)
        assert result.exit_code == 1
        assert "Error: " in result.stderr


class TestModels:
    @pytest.fixture
    def fetched(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        names: list[str] = []

        def ensure(name: str, *, cache: Path, progress: Any) -> None:
            names.append(name)
            progress.start(None, "waiting")
            progress.finish()
            progress.start(10, "fetching")
            progress.advance(10)
            progress.finish()

        monkeypatch.setattr("index.weights.ensure", ensure)
        return names

    def test_what_is_configured_with_its_licence_and_how_to_get_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "250")
        monkeypatch.setenv("ASKNOTES_INDEX__MODELS_CACHE", str(tmp_path))
        result = run("models")
        assert result.exit_code == 0, result.stderr
        assert "bundled:multilingual-e5-small" in result.stdout
        assert "MIT" in result.stdout
        assert "asknotes models --fetch" in result.stdout

    def test_fetch_gets_the_configured_ones(
        self, fetched: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ASKNOTES_INDEX__MODELS_CACHE", str(tmp_path))
        monkeypatch.setenv("ASKNOTES_ANSWERING__MODEL", "/some/folder")
        assert run("models", "--fetch").exit_code == 0
        assert fetched == ["bundled:multilingual-e5-small"]

    @pytest.mark.parametrize("name", ["1.5b", "bundled:qwen2.5-coder-1.5b-instruct"])
    def test_fetch_gets_one_by_a_part_of_its_name(
        self, fetched: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setenv("ASKNOTES_INDEX__MODELS_CACHE", str(tmp_path))
        assert run("models", "--fetch", name).exit_code == 0
        assert fetched == ["bundled:qwen2.5-coder-1.5b-instruct"]

    @pytest.mark.parametrize("name", ["llama", "qwen"])
    def test_a_name_of_none_or_of_several_is_refused_with_the_choice(self, fetched: list[str], name: str) -> None:
        result = run("models", "--fetch", name)
        assert result.exit_code == 1
        assert "qwen2.5-coder-0.5b-instruct" in result.stderr
        assert fetched == []


def test_help_lists_every_command_without_loading_any_model_library() -> None:
    script = (
        "import sys; sys.argv = ['asknotes', '--help']\n"
        "from service.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: code = end.code\n"
        "heavy = {'torch', 'transformers', 'faiss', 'numpy', 'fastapi', 'uvicorn'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
        "sys.exit(code)"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    for command in ("index", "search", "ask", "serve", "status", "models"):
        assert f"  {command} " in shown


@pytest.mark.parametrize("command", ["index", "search", "ask", "serve", "status", "models"])
def test_every_command_takes_data_and_config(command: str) -> None:
    shown = run(command, "--help").stdout
    assert "--data DIR" in shown
    assert "--config FILE" in shown


def _with_text(text: str) -> Any:
    return type(TEA)(id="b" * 16, note="x.md", heading=("\x1b[1mh",), text=text, lines=(1, 1))


def test_a_reader_that_has_seen_enough_is_no_error_worth_a_word() -> None:
    script = (
        "import sys; sys.argv = ['asknotes', 'status', '--json']\n"
        "import service.commands.status as status\n"
        "status.published_status = lambda data: {'snapshot': 'x' * 1_000_000}\n"
        "from service.cli import main\n"
        "main()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
