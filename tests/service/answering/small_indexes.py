"""Snapshots of a few chunks in memory, and what a question finds in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from index.building import calibration_encodings, parts_of
from index.concepts import Concept, named_concepts
from index.config import IndexConfig
from index.passages import embedded_text
from index.schema import Chunk, Hit, chunk_id
from index.shared_hold import SharedHold
from index.snapshot import Manifest, Snapshot
from index.tokenizer import Tokenizer
from service.answering.config import AnsweringConfig
from service.answering.exchange import ChunkFilter, SearchMode
from service.answering.merging import NEVER_ALIKE
from service.answering.query import Query, understand
from service.answering.retriever import CandidateReading, Retrieved, choose_reranker, retrieve
from service.answering.timings import Timings
from tests.toys import ToyEncoder

CONFIG = IndexConfig()


def chunk(
    text: str,
    *,
    note: str = "a.md",
    heading: tuple[str, ...] = (),
    tags: tuple[str, ...] = (),
    date: str | None = None,
    language: str = "zh",
) -> Chunk:
    return Chunk(
        id=chunk_id(note, heading, text),
        note=note,
        heading=heading,
        text=text,
        lines=(3, 3 + text.count("\n")),
        tags=tags,
        date=date,
        language=language,
    )


def snapshot_of(
    chunks: Sequence[Chunk], folder: Path, config: IndexConfig = CONFIG, *, concepts: Sequence[Concept] = ()
) -> Snapshot:
    named = named_concepts(chunks, concepts)
    encoder, tokenizer = ToyEncoder(), Tokenizer()
    encodings = list(encoder.encode_passages([embedded_text(each) for each in chunks]))
    questions = calibration_encodings(encoder.encode_query)
    parts = parts_of(
        chunks,
        encodings,
        config,
        questions=questions,
        tokenizer=tokenizer,
        dimension=encoder.dimension,
        named=named,
        descriptions=[encoder.encode_query(text) for each in named for text in each.concept.descriptions],
    )
    return Snapshot(
        manifest=Manifest("000001", 1, {}, (), {}, {"chunks": len(chunks)}),
        chunks=list(chunks),
        dense=parts.dense,
        lexical=parts.lexical,
        late=parts.late,
        rows_by_id={each.id: row for row, each in enumerate(chunks)},
        hold=SharedHold(folder),
        concepts=parts.concepts,
    )


def asked(question: str) -> Query:
    return understand(question, ToyEncoder(), Tokenizer())


def find(
    question: str,
    snapshot: Snapshot,
    *,
    config: IndexConfig = CONFIG,
    mode: SearchMode = "hybrid",
    rerank: str | None = None,
    top_k: int = 10,
    chunk_filter: ChunkFilter | None = None,
) -> list[Hit]:
    return retrieved(
        asked(question), snapshot, config=config, mode=mode, rerank=rerank, top_k=top_k, chunk_filter=chunk_filter
    ).hits


def retrieved(
    query: Query,
    snapshot: Snapshot,
    *,
    config: IndexConfig = CONFIG,
    mode: SearchMode = "hybrid",
    rerank: str | None = None,
    top_k: int = 10,
    chunk_filter: ChunkFilter | None = None,
    span_chars: int = 0,
    reading: CandidateReading | None = None,
    fold_similarity: float = NEVER_ALIKE,
) -> Retrieved:
    return retrieve(
        query,
        snapshot,
        config,
        mode=mode,
        reranker=choose_reranker(rerank, mode, snapshot, AnsweringConfig()),
        top_k=top_k,
        chunk_filter=chunk_filter,
        timings=Timings(),
        span_chars=span_chars,
        reading=reading,
        fold_similarity=fold_similarity,
    )
