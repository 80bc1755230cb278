"""``asknotes ask``: a cited answer from the notes."""

from __future__ import annotations

import threading
from typing import Annotated

import typer
from rich.live import Live
from rich.text import Text

from index.errors import GenerationFailed
from service.answering.engine import open_engine
from service.answering.exchange import Answer, AnswerEvent, AskRequest, RetrievalEvent, TokenEvent
from service.answering.ports import AnswerEngine
from service.commands.console import messages, print_json, printable, results
from service.commands.lazy import plain_app
from service.commands.options import ConfigOption, DataOption, JsonOption, OutOption, QueriesOption, settings_from
from service.commands.queries import RUN_DEPTH, Batch, batch_or_question, read_queries, run_queries
from service.commands.render import answer_page
from service.question import checked_question
from service.replies import AnswerReply

app = plain_app()


@app.command()
def ask(  # noqa: PLR0917 — Typer calls it by name
    question: Annotated[str | None, typer.Argument(help="What to ask.")] = None,
    json: JsonOption = False,
    no_stream: Annotated[bool, typer.Option("--no-stream", help="Do not show the draft while it is written.")] = False,
    queries: QueriesOption = None,
    out: OutOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Ask the notes: one question, or a file of them into a run that eval can score.

    The answer's marks name its sources. On a terminal the draft is shown while it is written; what stays is the
    checked answer.
    """
    wanted = batch_or_question(question, queries, out)
    settings = settings_from(config, data)
    max_chars = settings.server.max_question_chars
    if isinstance(wanted, Batch):
        if json:
            raise typer.BadParameter("--json is for one question; a run is JSON lines.")
        asked = read_queries(wanted.queries, max_chars=max_chars)
        engine = open_engine(settings, settings.data)
        top_k = max(settings.answering.top_k, RUN_DEPTH)
        run_queries(asked, wanted.out, lambda text: _row(engine.ask(AskRequest(question=text, top_k=top_k))))
        return

    request = AskRequest(question=checked_question(wanted, max_chars=max_chars))
    engine = open_engine(settings, settings.data)
    watched = results().is_terminal and not (json or no_stream)
    answer = _watch(engine, request) if watched else engine.ask(request)
    if json:
        print_json(AnswerReply.of(answer).model_dump(mode="json"))
    else:
        results().print(answer_page(answer), soft_wrap=not results().is_terminal)


def _watch(engine: AnswerEngine, request: AskRequest) -> Answer:
    """Show the draft as it is written, and take it away for the checked answer."""
    cancelled = threading.Event()
    draft = ""
    console = messages()
    with Live(Text("Searching the notes …"), console=console, transient=True) as live:
        try:
            for event in engine.stream(request, cancelled=cancelled):
                if isinstance(event, RetrievalEvent):
                    live.update(Text(f"{len(event.result.hits)} passages found; reading them …"))
                elif isinstance(event, TokenEvent):
                    draft += printable(event.text)
                    live.update(Text(_last(draft, console.width * (console.height - 2) // 2), style="dim"))
                elif isinstance(event, AnswerEvent):
                    return event.answer
        finally:
            cancelled.set()
    raise GenerationFailed("The answer broke off before its end.", hint="Ask again.")


def _last(text: str, chars: int) -> str:
    """Return the end of a text that fits the screen; a Chinese character is two columns wide."""
    return text if len(text) <= chars else f"…{text[-chars:]}"


def _row(answer: Answer) -> dict[str, object]:
    reply = AnswerReply.of(answer).model_dump(mode="json")
    kept = ("answer", "abstained", "citations", "timings")
    return {"chunks": [hit["text"] for hit in reply["hits"]], **{key: reply[key] for key in kept}}
