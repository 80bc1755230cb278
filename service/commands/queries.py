"""Many questions from a file, and a run: one JSON line of results for each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from index.durable import replace_file, storage_errors
from index.errors import AsknotesError, QuestionInvalid
from service.commands.console import ProgressBars, messages
from service.question import checked_question

RUN_DEPTH = 10
"""A run holds at least so many hits a question, when there are that many: eval measures down to rank 10."""


class QueriesInvalid(AsknotesError):
    """A line of a file of questions that is none."""

    type = "queries_invalid"


@dataclass(frozen=True, slots=True)
class Query:
    """One question of a file; other fields of its line, such as a gold file's, are of no concern here."""

    id: str | int
    question: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Where the questions are and where the run goes."""

    queries: Path
    out: Path

    def __post_init__(self) -> None:
        if not self.out.parent.is_dir():
            raise typer.BadParameter(f"There is no folder {self.out.parent}.", param_hint="--out")


def batch_or_question(question: str | None, queries: Path | None, out: Path | None) -> Batch | str:
    """Return the files of a batch, or the one question; raises BadParameter for anything between."""
    if queries is None and out is None and question is not None:
        return question
    if queries is not None and out is not None and question is None:
        return Batch(queries, out)
    raise typer.BadParameter("Give either a question, or both --queries and --out.")


def run_queries(asked: Sequence[Query], out: Path, answer: Callable[[str], Mapping[str, object]]) -> None:
    """Answer every question into a run, which is written at once when all are done.

    Raises StorageFailed, and what ``answer`` raises; then no run is written.
    """
    lines = []
    with ProgressBars() as bars:
        bars.start("questions", len(asked))
        for query in asked:
            lines.append(json.dumps({"id": query.id, **answer(query.question)}, ensure_ascii=False))
            bars.advance(1)
    with storage_errors(f"Writing {out}"):
        replace_file(out, "".join(f"{line}\n" for line in lines).encode())
    messages().print(f"{len(lines)} questions done: {out}", soft_wrap=True)


def read_queries(path: Path, *, max_chars: int) -> Sequence[Query]:
    """Read ``{"id", "question"}`` lines; blank lines are left out. Raises QueriesInvalid naming file and line."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise QueriesInvalid(f"{path}: cannot be read: {error.strerror}", hint="Check the path.") from error
    except UnicodeDecodeError as error:
        raise QueriesInvalid(f"{path}: is not UTF-8 text: {error}", hint="Save it as UTF-8.") from error
    queries: dict[str | int, Query] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        query = _query(line, f"{path}:{number}", max_chars)
        if query.id in queries:
            raise QueriesInvalid(f"{path}:{number}: the id {query.id!r} is there twice.", hint="Give each its own id.")
        queries[query.id] = query
    if not queries:
        raise QueriesInvalid(f"{path}: holds no question.", hint='One {"id": …, "question": …} a line.')
    return list(queries.values())


def _query(line: str, place: str, max_chars: int) -> Query:
    hint = 'One JSON object a line, with "id" and "question".'
    try:
        value = json.loads(line)
    except ValueError as error:
        raise QueriesInvalid(f"{place}: is not JSON: {error}", hint=hint) from error
    if not isinstance(value, dict) or not isinstance(value.get("question"), str):
        raise QueriesInvalid(f'{place}: has no "question" text.', hint=hint)
    if not isinstance(value.get("id"), str | int) or isinstance(value["id"], bool):
        raise QueriesInvalid(f'{place}: has no "id".', hint=hint)
    try:
        return Query(value["id"], checked_question(value["question"], max_chars=max_chars))
    except QuestionInvalid as error:
        raise QueriesInvalid(f"{place}: {error.message}", hint=error.hint) from error
