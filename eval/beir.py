"""Reading a BEIR folder: ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/SPLIT.tsv`` (Thakur et al., NeurIPS 2021).

Ids must be known, unique and judged: what the files do not agree on is an error that names file and line.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.gold import Gold, GoldInvalid, Question, json_lines, read_bytes, refuse_repeated
from ingest.language import language_of

_QRELS_HINT = "A line is query-id, corpus-id and score, separated by tabs, below a line of headings."
_COLUMNS = 3
FIRST_CHOICE = "test"


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a corpus."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class BeirSet:
    """A corpus, the questions that are judged over it, and how many questions have no judgement above 0."""

    documents: tuple[Document, ...]
    gold: Gold
    unjudged: int


def read_beir(folder: Path, split: str | None = None) -> BeirSet:
    """Read a folder; ``split`` names the judgements, ``test`` or the only ones there are unless given.

    Raises GoldInvalid naming file and line.
    """
    documents, corpus_bytes = _documents(folder / "corpus.jsonl")
    queries, lines, query_bytes = _queries(folder / "queries.jsonl")
    path = _qrels_path(folder / "qrels", split)
    judged, qrels_bytes = _judgements(path, {document.id for document in documents}, queries)
    questions = tuple(
        Question(
            id=identity,
            text=text,
            language=language_of(text),
            type=path.stem,
            relevant=judged[identity],
            line=lines[identity],
        )
        for identity, text in queries.items()
        if judged.get(identity)
    )
    if not questions:
        raise GoldInvalid(f"{path}: judges no query as having a relevant document.", hint=_QRELS_HINT)
    digest = hashlib.sha256(corpus_bytes + query_bytes + qrels_bytes).hexdigest()
    gold = Gold(folder.name, folder, questions, digest, kind="documents")
    return BeirSet(documents, gold, unjudged=len(queries) - len(questions))


def _documents(path: Path) -> tuple[tuple[Document, ...], bytes]:
    content = read_bytes(path)
    places, documents = [], []
    for record, place, _ in json_lines(content, path):
        document = Document(_text(record, "_id", place), str(record.get("title") or ""), _text(record, "text", place))
        documents.append(document)
        places.append((document.id, place))
    refuse_repeated(places)
    if not documents:
        raise GoldInvalid(f"{path}: holds no document.", hint='One {"_id": …, "title": …, "text": …} a line.')
    return tuple(documents), content


def _queries(path: Path) -> tuple[Mapping[str, str], Mapping[str, int], bytes]:
    content = read_bytes(path)
    places, queries, lines = [], {}, {}
    for record, place, number in json_lines(content, path):
        identity, text = _text(record, "_id", place), _text(record, "text", place)
        if not text.strip():
            raise GoldInvalid(f"{place}: the query {identity!r} is empty.", hint="Give it a text or remove the line.")
        queries[identity], lines[identity] = text, number
        places.append((identity, place))
    refuse_repeated(places)
    if not queries:
        raise GoldInvalid(f"{path}: holds no query.", hint='One {"_id": …, "text": …} a line.')
    return queries, lines, content


def _text(record: Mapping[str, Any], key: str, place: str) -> str:
    value = record.get(key)
    if key == "_id" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or (key == "_id" and not value):
        raise GoldInvalid(f"{place}: has no {key!r} text.", hint="BEIR's corpus and queries have _id and text.")
    return value


def _qrels_path(folder: Path, split: str | None) -> Path:
    there = sorted(folder.glob("*.tsv")) if folder.is_dir() else []
    names = [path.stem for path in there]
    wanted = split or (FIRST_CHOICE if FIRST_CHOICE in names or len(names) != 1 else names[0])
    if wanted not in names:
        found = f"it has {', '.join(names)}" if names else "there are none"
        raise GoldInvalid(f"{folder}: has no judgements {wanted}.tsv; {found}.", hint="Name them with --split.")
    return folder / f"{wanted}.tsv"


def _judgements(path: Path, documents: set[str], queries: Mapping[str, str]) -> tuple[dict[str, dict[str, int]], bytes]:
    content = read_bytes(path)
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig")), delimiter="\t", quoting=csv.QUOTE_NONE))
    except UnicodeDecodeError as error:
        raise GoldInvalid(f"{path}: is not UTF-8 text: {error}", hint="Save it as UTF-8.") from error
    judged: dict[str, dict[str, int]] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        place = f"{path}:{number}"
        query, document, grade = _judgement(row, place)
        if query not in queries:
            raise GoldInvalid(f"{place}: queries.jsonl has no {query!r}.", hint="Every judged query must.")
        if document not in documents:
            raise GoldInvalid(f"{place}: corpus.jsonl has no {document!r}.", hint="Every judged document must.")
        if document in judged.setdefault(query, {}):
            raise GoldInvalid(f"{place}: {document!r} is judged twice for {query!r}.", hint="Keep one of the lines.")
        judged[query][document] = grade
    relevant = {query: {one: grade for one, grade in grades.items() if grade > 0} for query, grades in judged.items()}
    return relevant, content


def _judgement(row: list[str], place: str) -> tuple[str, str, int]:
    if len(row) != _COLUMNS:
        raise GoldInvalid(f"{place}: has {len(row)} columns, not {_COLUMNS}.", hint=_QRELS_HINT)
    try:
        return row[0], row[1], int(row[2])
    except ValueError as error:
        raise GoldInvalid(f"{place}: the score {row[2]!r} is no whole number.", hint=_QRELS_HINT) from error
