"""``asknotes search``: the passages that a question finds."""

from __future__ import annotations

from typing import Annotated

import typer

from service.answering.engine import open_engine
from service.answering.exchange import SearchMode, SearchRequest
from service.answering.rerank import LANGUAGE_MODEL, LATE, NO_RERANKER
from service.commands.console import print_json, results
from service.commands.lazy import plain_app
from service.commands.options import (
    ConfigOption,
    DataOption,
    JsonOption,
    OutOption,
    QueriesOption,
    StagesOffOption,
    StagesOnOption,
    settings_from,
    stages_from,
)
from service.commands.queries import RUN_DEPTH, Batch, batch_or_question, read_queries, run_queries
from service.commands.render import explained_search, hit_list
from service.question import checked_question
from service.replies import SearchReply, run_line

app = plain_app()


@app.command()
def search(  # noqa: PLR0917 — Typer calls it by name
    question: Annotated[str | None, typer.Argument(help="What to look for.")] = None,
    top_k: Annotated[int, typer.Option("-k", "--top-k", min=1, max=1000, help="How many passages.")] = 10,
    mode: Annotated[SearchMode, typer.Option(help="Which first stages are used.")] = "hybrid",
    hyde: Annotated[
        bool | None, typer.Option("--hyde/--no-hyde", help="Search with a hypothetical answer too; as configured.")
    ] = None,
    rerank: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="late, lm, none, or a cross-encoder's folder or hub name; as configured."),
    ] = None,
    switched_on: StagesOnOption = None,
    switched_off: StagesOffOption = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show how the result came about: every stage's rank and score, and more.")
    ] = False,
    json: JsonOption = False,
    queries: QueriesOption = None,
    out: OutOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Search the notes: for one question, or for a file of them into a run that eval can score."""
    wanted = batch_or_question(question, queries, out)
    # A model to rerank with is named in the settings: a request alone never makes a process load one.
    model = None if rerank in {None, NO_RERANKER, LATE, LANGUAGE_MODEL} else {"reranker": rerank}
    settings = settings_from(config, data, answering=model)
    max_chars = settings.server.max_question_chars

    stages = stages_from(switched_on, switched_off)

    def request(text: str, k: int) -> SearchRequest:
        return SearchRequest(
            question=text, top_k=k, mode=mode, hyde=hyde, rerank=rerank, stages=stages, explain=explain
        )

    if isinstance(wanted, Batch):
        if json or explain:
            raise typer.BadParameter("--json and --explain are for one question; a run holds every signal.")
        asked = read_queries(wanted.queries, max_chars=max_chars)
        engine = open_engine(settings, settings.data)
        run_queries(asked, wanted.out, lambda text: run_line(engine.search(request(text, max(top_k, RUN_DEPTH))).hits))
        return

    checked = request(checked_question(wanted, max_chars=max_chars), top_k)
    result = open_engine(settings, settings.data).search(checked)
    if json:
        print_json(SearchReply.of(result).model_dump(mode="json"))
    else:
        shown = explained_search(result) if explain else hit_list(result)
        results().print(shown, soft_wrap=not results().is_terminal)
