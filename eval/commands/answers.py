"""``asknotes eval answers``: how good the answers are, by measures that need no model, and by a judge on request."""

from __future__ import annotations

import json as json_module
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from eval.answers.chat_client import ChatServer
from eval.answers.evaluation import evaluate_answers
from eval.answers.judge import judge_all
from eval.answers.measures import Measured, measure_all
from eval.answers.results import AnswerResults, JudgeResults, RgbResults
from eval.answers.rgb import NOISE_RATIOS, PASSAGES, read_rgb
from eval.answers.rgb_run import RgbModels, run_rgb
from eval.answers.run import ask_all, read_run, write_run
from eval.answers.tables import TextTable, answer_tables, as_markdown, rgb_table
from eval.commands.invocation import command_line
from eval.commands.tables import plain_table, show_table
from eval.gold import Gold, check_quotes, read_gold
from eval.indexes import NotesSource
from eval.provenance import provenance
from eval.report.write import write_report
from index import weights
from index.durable import replace_file, storage_errors
from index.embedding_cache import EmbeddingCache
from index.encoder import open_encoder
from service.answering.engine import open_engine
from service.commands.console import ProgressBars, messages, print_json, results
from service.commands.lazy import plain_app
from service.commands.options import ConfigOption, DataOption, JsonOption, settings_from
from service.commands.queries import RUN_DEPTH
from service.language_model import open_language_model, token_counter
from service.settings import Settings

app = plain_app()

_UNCHECKED = "A saved run: the gold's quotes were not held against the notes."


@app.command()
def answers(  # noqa: PLR0917 — Typer calls it by name
    gold: Annotated[
        Path | None, typer.Option("--gold", metavar="G.jsonl", help="Questions with quotes and key facts.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--run", metavar="RUN.jsonl", help="Score this run of `ask --queries`; ask nothing.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="RUN.jsonl", help="Save the answers, a line each.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="DIR",
            help="Write report.html, report.md and results.json there (RGB: rgb.md, rgb.json).",
        ),
    ] = None,
    json: JsonOption = False,
    judge: Annotated[
        str | None,
        typer.Option(
            "--judge",
            metavar="URL",
            help="Base address of an OpenAI-compatible server. Questions, answers and cited passages are sent there.",
        ),
    ] = None,
    judge_model: Annotated[str | None, typer.Option(metavar="NAME", help="The judging model's name there.")] = None,
    judge_key: Annotated[
        str | None, typer.Option(metavar="KEY", envvar="JUDGE_API_KEY", help="Sent to the judge as bearer token.")
    ] = None,
    judge_timeout: Annotated[float, typer.Option(min=1, help="Seconds that one judgement may take.")] = 60.0,
    rgb: Annotated[
        Path | None, typer.Option("--rgb", metavar="FILE", help="A file of the RGB benchmark, in place of --gold.")
    ] = None,
    noise: Annotated[
        str, typer.Option(metavar="RATIOS", help="RGB: shares of noise; at 1.0 only abstaining is right.")
    ] = ",".join(str(ratio) for ratio in NOISE_RATIOS),
    passages: Annotated[int, typer.Option(min=1, max=50, help="RGB: documents a question is given.")] = PASSAGES,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Measure answers: facts, citations, numbers, abstention, language, time.

    Over a file of questions with quotes and key facts (--gold), or a file of the RGB benchmark (--rgb).
    """
    if (gold is None) == (rgb is None):
        raise typer.BadParameter("Give either --gold or --rgb.")
    if rgb is not None:
        if run is not None or out is not None or judge is not None:
            raise typer.BadParameter("--run, --out and --judge are for --gold.")
        _rgb(rgb, _ratios(noise), passages, settings_from(config, data), report=report, json=json)
        return
    if run is not None and out is not None:
        raise typer.BadParameter("--out saves what is asked; --run asks nothing.")
    _refuse_without_folder(out)
    server = _judge_server(judge, judge_model, judge_key, judge_timeout)
    questions = read_gold(gold or Path())
    if run is not None:
        measured = measure_all(questions.questions, read_run(run, questions))
        judged = _judged(measured, server)
        found = evaluate_answers(
            questions,
            measured,
            source=str(run),
            snapshot=None,
            provenance=None,
            judge=judged,
            notices=[_UNCHECKED],
        )
    else:
        found = _asked(questions, settings_from(config, data), out, server)
    _show(list(answer_tables(found)), found.as_json(), found.notices, json=json)
    if report is not None:
        page = write_report(report, answers=found, command=command_line()).html
        messages().print(f"Report: {page}", soft_wrap=True)


def _judge_server(url: str | None, model: str | None, key: str | None, timeout: float) -> ChatServer | None:
    if url is None and model is None:
        return None
    if url is None or model is None:
        raise typer.BadParameter("A judge needs both --judge and --judge-model.")
    return ChatServer(url, model, key, timeout)


def _ratios(text: str) -> list[float]:
    try:
        ratios = [float(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no list of numbers.", param_hint="--noise") from error
    if not ratios or len(set(ratios)) < len(ratios) or not all(0 <= ratio <= 1 for ratio in ratios):
        raise typer.BadParameter("Give different ratios from 0 to 1, such as 0,0.4,0.8,1.", param_hint="--noise")
    return ratios


def _refuse_without_folder(out: Path | None) -> None:
    if out is not None and not out.parent.is_dir():
        raise typer.BadParameter(f"There is no folder {out.parent}.", param_hint="--out")


def _asked(gold: Gold, settings: Settings, out: Path | None, server: ChatServer | None) -> AnswerResults:
    count_tokens = token_counter(settings)
    engine = open_engine(settings, settings.data)
    status = engine.status()
    check_quotes(gold, NotesSource(settings, ()).notes)
    engine.ready()
    with ProgressBars() as bars:
        bars.start("answering", len(gold.questions))
        answered = ask_all(
            engine,
            gold.questions,
            top_k=max(settings.answering.top_k, RUN_DEPTH),
            count_tokens=count_tokens,
            answered=lambda: bars.advance(1),
        )
    if out is not None:
        write_run(out, answered)  # before anything else can fail
        messages().print(f"Answers saved: {out}", soft_wrap=True)
    measured = measure_all(gold.questions, answered)
    return evaluate_answers(
        gold,
        measured,
        source=f"asked of {settings.data}",
        snapshot=str(status["snapshot"]),
        provenance=provenance(settings),
        judge=_judged(measured, server),
    )


def _judged(measured: Sequence[Measured], server: ChatServer | None) -> JudgeResults | None:
    if server is None:
        return None
    with ProgressBars() as bars:
        bars.start("judging", len(measured))
        return judge_all(measured, server, judged=lambda: bars.advance(1))


def _rgb(
    path: Path, ratios: Sequence[float], passages: int, settings: Settings, *, report: Path | None, json: bool
) -> None:
    file = read_rgb(path)
    encoder = open_encoder(settings.index.encoder, cache=weights.cache_folder(settings.index.models_cache))
    language_model = open_language_model(settings)
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddingCache(Path(folder)) as cache,
        ProgressBars() as bars,
    ):
        models = RgbModels(settings, encoder, language_model, cache, Path(folder))
        bars.start("answering", len(ratios) * len(file.questions))
        found = run_rgb(file, ratios, models, passages=passages, answered=lambda: bars.advance(1))
    _show([rgb_table(found)], found.as_json(), (), json=json)
    if report is not None:
        _write_rgb(report, found)


def _write_rgb(report: Path, found: RgbResults) -> None:
    with storage_errors(f"Writing {report}"):
        report.mkdir(parents=True, exist_ok=True)
        record = json_module.dumps(found.as_json(), ensure_ascii=False, indent=1)
        replace_file(report / "rgb.json", f"{record}\n".encode())
        replace_file(report / "rgb.md", as_markdown([rgb_table(found)], ()).encode())
    messages().print(f"Report: {report / 'rgb.md'}", soft_wrap=True)


def _show(
    tables: Sequence[TextTable],
    record: dict[str, Any],
    notices: Sequence[str],
    *,
    json: bool,
) -> None:
    if json:
        print_json(record)
    else:
        for table in tables:
            _print(table)
    for notice in notices:
        messages().print(notice, soft_wrap=True)


def _print(table: TextTable) -> None:
    shown = plain_table(table.columns)
    for row in table.rows:
        shown.add_row(*row)
    results().print(table.title, soft_wrap=True)
    show_table(shown)
