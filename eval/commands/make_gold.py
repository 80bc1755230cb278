"""``asknotes eval make-gold``: questions over one's own notes, drafted by the language model for a person to edit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from eval.drafting.gold_drafts import (
    DraftedGold,
    DraftingRefused,
    draft_gold,
    refuse_to_overwrite,
    rejected_path,
    write_drafts,
)
from eval.drafting.sentences import choose_sentences
from index import weights
from index.encoder import open_encoder
from index.schema import Chunk, Note
from index.snapshot import CHUNKS, SNAPSHOTS, current_name, read_chunks, verified_manifest
from index.tokenizer import Tokenizer
from ingest.chunker import chunk_note
from ingest.clean import clean_note
from ingest.dedupe import fold_duplicates
from ingest.reader import read_notes
from service.answering.generator import LanguageModel
from service.commands.console import ProgressBars, messages, print_json, printable, results
from service.commands.lazy import plain_app
from service.commands.options import ConfigOption, DataOption, JsonOption, settings_from
from service.language_model import open_language_model
from service.settings import Settings

app = plain_app()


@app.command("make-gold")
def make_gold(  # noqa: PLR0917 — Typer calls it by name
    notes: Annotated[
        list[Path] | None,
        typer.Option("--notes", metavar="PATH", help="Notes to ask about; may be repeated. Unset: those indexed."),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, max=10_000, help="How many questions.")] = 30,
    out: Annotated[Path, typer.Option("--out", metavar="G.jsonl", help="Where the drafts go.")] = Path("gold.jsonl"),
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed, other sentences.")] = 0,
    json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Draft questions over your notes, each with a verbatim quote that answers it, for you to edit.

    The language model writes them; a program picks the quotes and checks every draft. What it rejects is counted, and
    kept in a second file with the reason.
    """
    if not out.parent.is_dir():
        raise typer.BadParameter(f"There is no folder {out.parent}.", param_hint="--out")
    refuse_to_overwrite(out)
    settings = settings_from(config, data)
    read, chunks = _chunked(notes, settings) if notes else _published(settings)
    candidates = choose_sentences(chunks, read, seed=seed)
    if not candidates.sentences:
        raise DraftingRefused(
            f"No sentence of {len(read)} notes can be asked about: {_counted(candidates.unsuitable.items())}.",
            hint="Notes of whole sentences are needed, of 20 characters at least.",
        )
    model = _model(settings)
    with ProgressBars() as bars:
        bars.start("drafting", min(count, len(candidates.sentences)))
        found = draft_gold(candidates, model, count=count, tokenizer=Tokenizer(), drafted=lambda: bars.advance(1))
    write_drafts(found, out, read)
    _show(found, out, count, json=json)


def _published(settings: Settings) -> tuple[Sequence[Note], Sequence[Chunk]]:
    """Notes of the published snapshot as they stand on disk now, and its chunks."""
    name = current_name(settings.data)
    manifest = verified_manifest(settings.data, name)
    read = read_notes([Path(source) for source in manifest.sources], settings.ingest.reader)
    return read.notes, read_chunks(settings.data / SNAPSHOTS / name / CHUNKS)


def _chunked(paths: Sequence[Path], settings: Settings) -> tuple[Sequence[Note], Sequence[Chunk]]:
    encoder = open_encoder(settings.index.encoder, cache=weights.cache_folder(settings.index.models_cache))
    read = read_notes(paths, settings.ingest.reader)
    for file in read.skipped:
        messages().print(f"Skipped {printable(file.path)}: {file.reason}", soft_wrap=True)
    chunks = [
        chunk
        for note in read.notes
        for chunk in chunk_note(note, clean_note(note), settings.ingest.chunker, encoder.count_tokens).chunks
    ]
    return read.notes, fold_duplicates(chunks, settings.ingest.duplicates)


def _model(settings: Settings) -> LanguageModel:
    model = open_language_model(settings)
    if model is None:
        raise DraftingRefused(
            "No language model is configured: answering.model is `none`.", hint="Configure one; it writes the drafts."
        )
    return model


def _show(found: DraftedGold, out: Path, count: int, *, json: bool) -> None:
    if json:
        print_json({"out": str(out), "rejected_out": str(rejected_path(out)), **found.as_json()})
    else:
        for draft in found.drafts:
            results().print(f"{printable(draft.question)}\n    {printable(draft.candidate.quote)}", soft_wrap=True)
    say = messages()
    say.print(f"{len(found.drafts)} of {count} questions drafted from {found.tried} sentences: {out}", soft_wrap=True)
    if found.reasons:
        say.print(f"Rejected: {_counted(found.reasons.items())} ({rejected_path(out)})", soft_wrap=True)
    if found.unsuitable:
        say.print(f"Sentences not asked about: {_counted(found.unsuitable.items())}", soft_wrap=True)
    say.print("Read every one: correct it, give answer and key facts, or delete it.", soft_wrap=True)


def _counted(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{number} {reason}" for reason, number in counts)
