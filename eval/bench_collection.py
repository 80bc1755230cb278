"""A generated collection, built, published and opened as a user's own is, with questions about it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eval.generated_collection import (
    TERMS_A_CHUNK,
    clustered_vectors,
    generated_documents,
    generated_questions,
    generated_tokens,
    perturbed_members,
)
from eval.memory import resident_bytes
from index.calibration_questions import CALIBRATION_QUESTIONS
from index.config import IndexConfig, LateConfig
from index.dense import DenseIndex, Vectors
from index.encoder import Encoding
from index.late import LateIndex, TokenVectors
from index.lexical import LexicalIndex
from index.postings import LexicalDocument
from index.publishing import SnapshotContent, publish, writing
from index.schema import Chunk, chunk_id
from index.snapshot import Manifest, Snapshot, open_snapshot
from service.answering.query import Query

TERMS_A_QUESTION = 10
TOKENS_A_QUESTION = 16
DISTINCT_CHUNKS = 500
"""So many chunks have token vectors of their own; those after repeat them. More would only take longer to make."""

_SEED = 11
_BY_TOKEN = ("late_codes.npy", "late_scales.npy")
_BY_CHUNK = ("late_chunk_means.npy", "late_chunk_scales.npy")


@dataclass(frozen=True, slots=True)
class Size:
    """How large a collection is: ``tokens_a_chunk`` is a mean, ``dimension`` that of all vectors."""

    chunks: int
    tokens_a_chunk: int
    dimension: int


@dataclass(slots=True)
class BuildFigures:
    """Seconds by part of building, publishing and opening; bytes on disk by part; bytes of memory that opening took.

    Building the token vectors is measured on 500 chunks at most and given for all, for it takes time by the token.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    disk_bytes: dict[str, int] = field(default_factory=dict)
    opened_bytes: int = 0

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Note how long the block takes."""
        started = time.perf_counter()
        yield
        self.seconds[part] = time.perf_counter() - started


@dataclass(frozen=True, slots=True)
class BenchCollection:
    """An opened snapshot, what it was built from, and questions. ``tokens`` are those of the distinct chunks."""

    snapshot: Snapshot
    folder: Path
    documents: Sequence[Sequence[str]]
    tokens: Sequence[TokenVectors]
    questions: Sequence[Query]
    figures: BuildFigures

    def token_vectors(self, rows: Sequence[int]) -> np.ndarray:
        """Return the token vectors of chunks, one after the other: (t, d) float32."""
        return np.concatenate([self.tokens[row % len(self.tokens)].vectors for row in rows])


def open_collection(size: Size, config: IndexConfig, *, questions: int, folder: Path) -> BenchCollection:
    """Generate, build and publish a collection under ``folder``, which is empty, and open it."""
    vectors = clustered_vectors(size.chunks, size.dimension, seed=_SEED)
    documents = generated_documents(size.chunks, terms_a_chunk=TERMS_A_CHUNK, seed=_SEED)
    tokens = generated_tokens(vectors[:DISTINCT_CHUNKS], tokens_a_text=size.tokens_a_chunk, seed=_SEED)
    figures = BuildFigures()
    data = folder / "data"
    manifest = _publish(data, vectors=vectors, documents=documents, tokens=tokens, config=config, figures=figures)
    before = resident_bytes()
    with figures.measure("opening"):
        snapshot = open_snapshot(data, manifest.name, config)
    figures.opened_bytes = resident_bytes() - before
    return BenchCollection(
        snapshot=snapshot,
        folder=data / "snapshots" / manifest.name,
        documents=documents,
        tokens=tokens,
        questions=_questions(vectors, documents, questions),
        figures=figures,
    )


def _publish(
    data: Path,
    *,
    vectors: Vectors,
    documents: Sequence[Sequence[str]],
    tokens: Sequence[TokenVectors],
    config: IndexConfig,
    figures: BuildFigures,
) -> Manifest:
    with figures.measure("dense"):
        dense = DenseIndex.build(vectors, config.dense)
    with figures.measure("lexical"):
        lexical = LexicalIndex.build([LexicalDocument(body=terms) for terms in documents], config.lexical)
    with figures.measure("late"):
        late = LateIndex.build(tokens, _in_the_form_of(len(documents), tokens, config.late))
    figures.seconds["late"] *= len(documents) / len(tokens)
    content = SnapshotContent(
        chunks=[_chunk(row, terms) for row, terms in enumerate(documents)],
        dense=dense,
        lexical=lexical,
        late=_repeated(late, len(documents), config.late, data.parent),
        fingerprints={},
        sources=(),
        notes={},
        counts={"chunks": len(documents)},
        build={},
    )
    with writing(data), figures.measure("publishing"):
        manifest = publish(data, content)
    for name, file in manifest.files.items():
        part = name.split("_")[0].split(".")[0]
        figures.disk_bytes[part] = figures.disk_bytes.get(part, 0) + int(file["bytes"])
    return manifest


def _repeated(late: LateIndex, rows: int, config: LateConfig, folder: Path) -> LateIndex:
    """Return an index of ``rows`` chunks that repeat those of ``late`` in order.

    Building 20,000 chunks of 200 tokens would take a minute, and making their token vectors longer. So the files of
    the small index are repeated instead.
    """
    if rows == late.rows:
        return late
    repeated = folder / "repeated"
    repeated.mkdir()
    late.save(repeated)
    header = json.loads((repeated / "late.json").read_text(encoding="utf-8"))
    lengths = np.resize(np.diff(np.load(repeated / "late_offsets.npy")), rows)
    tokens = int(lengths.sum())
    header |= {
        "rows": rows,
        "tokens": tokens,
        "document_frequency": {
            token: max(1, count * rows // late.rows) for token, count in header["document_frequency"].items()
        },
    }
    (repeated / "late.json").write_text(json.dumps(header), encoding="utf-8")
    np.save(repeated / "late_offsets.npy", np.concatenate([[0], np.cumsum(lengths)]))
    for names, count in ((_BY_TOKEN, tokens), (_BY_CHUNK, rows)):
        for path in (repeated / name for name in names if (repeated / name).exists()):
            array = np.load(path)
            np.save(path, np.resize(array, (count, *array.shape[1:])))
    return LateIndex.load(repeated, config)


def _in_the_form_of(rows: int, tokens: Sequence[TokenVectors], config: LateConfig) -> LateConfig:
    """Return settings by which these chunks are compressed if ``rows`` chunks that repeat them would be."""
    total = int(np.resize([len(chunk.ids) for chunk in tokens], rows).sum())
    return config.model_copy(update={"full_precision_tokens": 0}) if total > config.full_precision_tokens else config


def _chunk(row: int, terms: Sequence[str]) -> Chunk:
    text = " ".join(terms)
    note = f"note-{row // 50}.md"
    return Chunk(id=chunk_id(note, (), text, row), note=note, heading=(), text=text, lines=(row + 1, row + 1))


def _questions(vectors: Vectors, documents: Sequence[Sequence[str]], count: int) -> list[Query]:
    """Put questions together: the texts are real ones, which the tokenizer must segment; the rest is generated."""
    asked = perturbed_members(vectors, count, seed=_SEED + 1)
    tokens = generated_tokens(asked, tokens_a_text=TOKENS_A_QUESTION, seed=_SEED + 1)
    terms = generated_questions(documents, count, terms=TERMS_A_QUESTION, seed=_SEED + 1)
    texts = CALIBRATION_QUESTIONS["zh"]
    return [
        Query(
            text=texts[number % len(texts)],
            encoding=Encoding(asked[number], tokens[number].vectors, tokens[number].ids),
            terms=tuple(terms[number]),
            language="zh",
        )
        for number in range(count)
    ]
