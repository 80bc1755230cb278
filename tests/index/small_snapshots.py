"""Snapshots of a few chunks, built with the toy encoder, and a way to say all that one holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from index.config import IndexConfig
from index.dense import DenseIndex
from index.fingerprints import index_fingerprints
from index.late import LateIndex, TokenVectors
from index.lexical import LexicalIndex
from index.passages import embedded_text, lexical_document
from index.publishing import SnapshotContent, publish, writing
from index.schema import Chunk, Place, chunk_id
from index.snapshot import NoteRecord, Snapshot
from index.tokenizer import Tokenizer
from tests.toys import ToyEncoder

CONFIG = IndexConfig()
TEXTS = ("自注意力让每个词看见其他词。", "BM25 counts words.\nAnd their rarity.", "倒数排名融合把几个名次合成一个。")


def chunk(number: int, text: str) -> Chunk:
    note, heading = f"笔记/{number}.md", ("检索", f"第 {number} 节")
    place = Place(chunk_id="f" * 16, note="old.md", heading=("旧",), lines=(1, 2), text=text)
    return Chunk(
        id=chunk_id(note, heading, text),
        note=note,
        heading=heading,
        text=text,
        lines=(number + 1, number + 2),
        title="检索\u2028\u0085",
        tags=("a", "b"),
        date="2024-05-01",
        alternatives=(place,) if number == 0 else (),
    )


def content(*texts: str, fingerprints: dict[str, str] | None = None) -> SnapshotContent:
    encoder, tokenizer = ToyEncoder(), Tokenizer()
    chunks = [chunk(number, text) for number, text in enumerate(texts)]
    encodings = list(encoder.encode_passages([embedded_text(each) for each in chunks]))
    vectors = np.array([each.vector for each in encodings], dtype=np.float32).reshape(-1, encoder.dimension)
    return SnapshotContent(
        chunks=chunks,
        dense=DenseIndex.build(vectors, CONFIG.dense),
        lexical=LexicalIndex.build([lexical_document(each, tokenizer) for each in chunks], CONFIG.lexical),
        late=LateIndex.build([TokenVectors(e.token_vectors, e.token_ids) for e in encodings], CONFIG.late),
        fingerprints=fingerprints or index_fingerprints(CONFIG, encoder, tokenizer),
        sources=("/my notes/ai", "/other"),
        notes={each.note: NoteRecord(sha256="0" * 64, chunks=1) for each in chunks},
        counts={"notes": len(chunks), "chunks": len(chunks), "duplicates": 0, "passages_left_out": 0},
        build={"seconds": 0.1},
    )


def publish_texts(data: Path, *texts: str) -> str:
    """Publish a snapshot of these texts; returns its name."""
    with writing(data):
        return publish(data, content(*texts)).name


def texts_of(snapshot: Snapshot) -> list[str]:
    """Return the chunks' texts, after every row of every part was checked against its chunk."""
    encoder, tokenizer = ToyEncoder(), Tokenizer()
    for row, each in enumerate(snapshot.chunks):
        encoding = encoder.encode_query(embedded_text(each))
        assert snapshot.rows_by_id[each.id] == row
        assert snapshot.dense.search(encoding.vector, 1)[0].tolist() == [row]
        assert snapshot.lexical.search(tokenizer.terms(each.text), 1)[0][0] == row
        assert snapshot.late is not None
        scores = snapshot.late.scores(TokenVectors(encoding.token_vectors, encoding.token_ids))
        assert scores.argmax() == row
        assert scores[row] > 0.98
    return [each.text for each in snapshot.chunks]
