"""Encodings kept by (encoder fingerprint, text hash), so that re-indexing pays only for what changed.

One SQLite file in ``data/cache/``. It is a cache: losing it costs time, never content; a file that SQLite
cannot read is set aside under another name and started anew.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from index.encoder import Encoding, TextEncoder

_SCHEMA = """
CREATE TABLE IF NOT EXISTS encodings (
    encoder TEXT NOT NULL,
    text_sha256 BLOB NOT NULL,
    last_used INTEGER NOT NULL,
    dimension INTEGER NOT NULL,
    vector BLOB NOT NULL,
    token_ids BLOB NOT NULL,
    token_scales BLOB NOT NULL,
    token_values BLOB NOT NULL,
    PRIMARY KEY (encoder, text_sha256)
) WITHOUT ROWID
"""
_KEEP_RUNS = 5  # an encoding that no run has used for so many runs is forgotten
_FILE = "encodings.sqlite"

_log = logging.getLogger(__name__)


class EmbeddingCache:
    """Encodings of passages on disk; token vectors as 8-bit integers with one scale each (cosine > 0.9999).

    Every index is built from what the cache gives back, freshly encoded or not, so that both roads lead to the
    same bytes.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / _FILE
        self._connection = self._open()
        (last,) = self._connection.execute("SELECT COALESCE(MAX(last_used), 0) FROM encodings").fetchone()
        self._run = int(last) + 1

    def _open(self) -> sqlite3.Connection:
        try:
            return _connect(self._path)
        except sqlite3.DatabaseError as error:
            aside = self._path.with_suffix(".broken")
            _log.warning("The embedding cache cannot be read (%s); set aside as %s and begun anew.", error, aside)
            self._path.replace(aside)
            return _connect(self._path)

    def close(self) -> None:
        """Forget what no recent run used, and close."""
        with self._connection:
            self._connection.execute("DELETE FROM encodings WHERE last_used <= ?", (self._run - _KEEP_RUNS,))
        self._connection.close()

    def __enter__(self) -> EmbeddingCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def missing(self, encoder: TextEncoder, texts: Sequence[str]) -> list[str]:
        """Those of ``texts`` (each once, in order) that are not in the cache."""
        return [text for text in dict.fromkeys(texts) if self._row(encoder, text) is None]

    def encode(self, encoder: TextEncoder, texts: Sequence[str], *, anew: bool = False) -> Iterator[str]:
        """Encode and store what is missing (everything when ``anew``); yields each text when it is stored.

        What is stored stays stored when the caller stops early: a run that is killed does not pay twice.
        """
        wanted = list(dict.fromkeys(texts)) if anew else self.missing(encoder, texts)
        # Equal lengths beside each other waste no padding, and the longest first show a lack of memory early.
        wanted.sort(key=len, reverse=True)
        for text, encoding in zip(wanted, encoder.encode_passages(wanted), strict=True):
            with self._connection:
                self._store(encoder, text, encoding)
            yield text

    def get(self, encoder: TextEncoder, text: str) -> Encoding:
        """What is stored for a text; raises KeyError when it is not there."""
        row = self._row(encoder, text)
        if row is None:
            raise KeyError(text)
        with self._connection:
            self._connection.execute(
                "UPDATE encodings SET last_used = ? WHERE encoder = ? AND text_sha256 = ? AND last_used != ?",
                (self._run, encoder.fingerprint, _sha256(text), self._run),
            )
        return _decoded(row)

    def _row(self, encoder: TextEncoder, text: str) -> tuple[int, bytes, bytes, bytes, bytes] | None:
        found: tuple[int, bytes, bytes, bytes, bytes] | None = self._connection.execute(
            "SELECT dimension, vector, token_ids, token_scales, token_values FROM encodings "
            "WHERE encoder = ? AND text_sha256 = ?",
            (encoder.fingerprint, _sha256(text)),
        ).fetchone()
        return found

    def _store(self, encoder: TextEncoder, text: str, encoding: Encoding) -> None:
        scales = np.abs(encoding.token_vectors).max(axis=1, initial=1e-12) / 127.0
        values = np.rint(encoding.token_vectors / scales[:, None]).astype(np.int8)
        self._connection.execute(
            "INSERT OR REPLACE INTO encodings VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                encoder.fingerprint,
                _sha256(text),
                self._run,
                encoding.vector.shape[0],
                encoding.vector.astype("<f4").tobytes(),
                encoding.token_ids.astype("<i4").tobytes(),
                scales.astype("<f4").tobytes(),
                values.tobytes(),
            ),
        )


def _decoded(row: tuple[int, bytes, bytes, bytes, bytes]) -> Encoding:
    dimension, vector, token_ids, scales, values = row
    token_values = np.frombuffer(values, dtype=np.int8).reshape(-1, dimension)
    token_vectors = token_values.astype(np.float32) * np.frombuffer(scales, dtype="<f4")[:, None]
    norms = np.linalg.norm(token_vectors, axis=1, keepdims=True)
    return Encoding(
        vector=np.frombuffer(vector, dtype="<f4").astype(np.float32),
        token_vectors=token_vectors / np.maximum(norms, 1e-12),
        token_ids=np.frombuffer(token_ids, dtype="<i4").astype(np.int32),
    )


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _connect(path: Path) -> sqlite3.Connection:
    # Jobs of the service run in a worker thread; the writer lock of the data folder keeps it the only one.
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(_SCHEMA)
    connection.execute("SELECT encoder FROM encodings LIMIT 1").fetchone()
    return connection
