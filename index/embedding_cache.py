"""Encodings kept by (encoder fingerprint, text hash), so that re-indexing pays only for what changed.

One SQLite file in ``data/cache/``. It is a cache: losing it costs time, never content. A file that SQLite
cannot read is set aside under another name and begun anew; an entry whose bytes changed is encoded again; a disk
that refuses to read or write is an error (StorageFailed), for then nothing is wrong with the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from index.durable import storage_errors
from index.encoder import Encoding
from index.errors import StorageFailed
from index.vectors import unit

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
    digest BLOB NOT NULL,
    PRIMARY KEY (encoder, text_sha256)
) WITHOUT ROWID
"""
KEEP_RUNS = 5
"""An encoding that no run has used for so many runs is forgotten."""
_FILE = "encodings.sqlite"
_BESIDE = ("-wal", "-shm", "-journal")  # what SQLite keeps next to its file
_UNREADABLE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
_DIGEST_BYTES = 16

# Dimension, vector, token ids, token scales, token values.
_Row = tuple[int, bytes, bytes, bytes, bytes]

_log = logging.getLogger(__name__)


class CachedEncoder(Protocol):
    """What the cache asks of an encoder."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the vectors of some text may change."""

    def encode_passages(self, texts: Sequence[str]) -> Iterator[Encoding]:
        """Encode texts, in order."""


class EmbeddingCache:
    """Encodings of passages on disk; token vectors as 8-bit integers with one scale each (cosine > 0.9999).

    Every index is built from what the cache gives back, freshly encoded or not, so that both roads lead to the
    same bytes.
    """

    def __init__(self, folder: Path, *, keep_runs: int = KEEP_RUNS) -> None:
        self._keep_runs = keep_runs
        self.folder = folder
        self._path = folder / _FILE
        with storage_errors("Opening the embedding cache"):
            folder.mkdir(parents=True, exist_ok=True)
            self._connection, last = self._open()
        self._run = last + 1

    def _open(self) -> tuple[sqlite3.Connection, int]:
        try:
            return _connect(self._path)
        except sqlite3.DatabaseError as error:
            if (
                getattr(error, "sqlite_errorcode", 0) & 0xFF not in _UNREADABLE
            ):  # the low byte is the kind of an extended code
                raise _refused(error) from error
            aside = self._path.with_suffix(".broken")
            _log.warning("The embedding cache cannot be read (%s); set aside as %s and begun anew.", error, aside)
            self._path.replace(aside)
            for suffix in _BESIDE:  # SQLite would take the old file's log for the new one's
                self._path.with_name(_FILE + suffix).unlink(missing_ok=True)
        try:
            return _connect(self._path)
        except sqlite3.DatabaseError as error:
            raise _refused(error) from error

    def close(self) -> None:
        """Forget what no recent run used, and close."""
        with contextlib.closing(self._connection), _sqlite_errors(), self._connection:
            self._connection.execute("DELETE FROM encodings WHERE last_used <= ?", (self._run - self._keep_runs,))

    def __enter__(self) -> EmbeddingCache:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:  # tidying up might fail as well and hide what went wrong
            self._connection.close()

    def missing(self, encoder: CachedEncoder, texts: Sequence[str]) -> list[str]:
        """Those of ``texts`` (each once, in order) that are not in the cache."""
        return [text for text in dict.fromkeys(texts) if self._row(encoder, text) is None]

    def encode(self, encoder: CachedEncoder, texts: Sequence[str], *, anew: bool = False) -> Iterator[str]:
        """Encode and store what is missing (everything when ``anew``); yields each text when it is stored.

        What is stored stays stored when the caller stops early: a run that is killed does not pay twice.
        """
        wanted = list(dict.fromkeys(texts)) if anew else self.missing(encoder, texts)
        # Equal lengths beside each other waste no padding, and the longest first show a lack of memory early.
        wanted.sort(key=len, reverse=True)
        for text, encoding in zip(wanted, encoder.encode_passages(wanted), strict=True):
            with _sqlite_errors(), self._connection:
                self._store(encoder, text, encoding)
            yield text

    def get(self, encoder: CachedEncoder, text: str) -> Encoding:
        """Return what is stored for a text; raises KeyError when it is not there."""
        row = self._row(encoder, text)
        if row is None:
            raise KeyError(text)
        with _sqlite_errors(), self._connection:
            self._connection.execute(
                "UPDATE encodings SET last_used = ? WHERE encoder = ? AND text_sha256 = ? AND last_used != ?",
                (self._run, encoder.fingerprint, _sha256(text), self._run),
            )
        return _decoded(row)

    def _row(self, encoder: CachedEncoder, text: str) -> _Row | None:
        """Return the entry of a text, or None where there is none or its bytes are not what was written."""
        with _sqlite_errors():
            found = self._connection.execute(
                "SELECT dimension, vector, token_ids, token_scales, token_values, digest FROM encodings "
                "WHERE encoder = ? AND text_sha256 = ?",
                (encoder.fingerprint, _sha256(text)),
            ).fetchone()
        if found is None:
            return None
        *values, digest = found
        row: _Row = (values[0], values[1], values[2], values[3], values[4])
        if digest != _digest(row):
            _log.warning("An entry of the embedding cache is damaged; its text is encoded again.")
            return None
        return row

    def _store(self, encoder: CachedEncoder, text: str, encoding: Encoding) -> None:
        scales = np.abs(encoding.token_vectors).max(axis=1, initial=1e-12) / 127.0
        values = np.rint(encoding.token_vectors / scales[:, None]).astype(np.int8)
        row: _Row = (
            encoding.vector.shape[0],
            encoding.vector.astype("<f4").tobytes(),
            encoding.token_ids.astype("<i4").tobytes(),
            scales.astype("<f4").tobytes(),
            values.tobytes(),
        )
        self._connection.execute(
            "INSERT OR REPLACE INTO encodings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (encoder.fingerprint, _sha256(text), self._run, *row, _digest(row)),
        )


def _decoded(row: _Row) -> Encoding:
    dimension, vector, token_ids, scales, values = row
    token_values = np.frombuffer(values, dtype=np.int8).reshape(-1, dimension)
    token_vectors = token_values.astype(np.float32) * np.frombuffer(scales, dtype="<f4")[:, None]
    return Encoding(
        vector=np.frombuffer(vector, dtype="<f4").astype(np.float32),
        token_vectors=unit(token_vectors),
        token_ids=np.frombuffer(token_ids, dtype="<i4").astype(np.int32),
    )


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _digest(row: _Row) -> bytes:
    digest = hashlib.blake2b(str(row[0]).encode(), digest_size=_DIGEST_BYTES)
    for part in row[1:]:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def _connect(path: Path) -> tuple[sqlite3.Connection, int]:
    """Open the file and look up the number of the last run in it."""
    # Jobs of the service run in a worker thread; the writer lock of the data folder keeps it the only one.
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(_SCHEMA)
        connection.execute("SELECT digest FROM encodings LIMIT 1").fetchone()
        (last,) = connection.execute("SELECT COALESCE(MAX(last_used), 0) FROM encodings").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection, int(last)


@contextlib.contextmanager
def _sqlite_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _refused(error) from error


def _refused(error: sqlite3.DatabaseError) -> StorageFailed:
    return StorageFailed(
        f"The embedding cache cannot be used: {error}",
        hint="Check that its disk is neither full nor read-only; the folder `cache` under the data folder may be "
        "deleted, which costs time only. What was published before is untouched and still served.",
    )
