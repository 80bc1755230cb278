"""``asknotes index``: read notes and publish a snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ingest.pipeline import IndexSummary
from service.commands.console import ProgressBars, messages, print_json, printable
from service.commands.lazy import plain_app
from service.commands.options import ConfigOption, DataOption, JsonOption, settings_from
from service.indexing import run_index

app = plain_app()


@app.command()
def index(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Folders and files; none: those configured, or those of last time."),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Encode everything again, not only what changed.")] = False,
    json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Read notes and publish a snapshot of the index.

    Only passages that changed are encoded. What was published before is served until the new snapshot is complete.
    """
    settings = settings_from(config, data)
    with ProgressBars() as bars:
        summary = run_index(settings, paths or (), full=full, listener=bars)
    _describe(summary)
    if json:
        print_json(summary.as_json())


def _describe(summary: IndexSummary) -> None:
    console, notes = messages(), summary.notes
    for skipped in notes.skipped:
        console.print(f"skipped {printable(str(skipped.path))}: {printable(skipped.reason)}", soft_wrap=True)
    console.print(
        f"Snapshot {summary.snapshot}: {summary.chunks} chunks ({summary.duplicates} duplicates folded), "
        f"{summary.chunks_embedded} encoded, {summary.seconds:.1f} s.",
        soft_wrap=True,
    )
    console.print(
        f"Notes: {notes.added} added, {notes.changed} changed, {notes.removed} removed, {notes.unchanged} unchanged, "
        f"{len(notes.skipped)} skipped.",
        soft_wrap=True,
    )
