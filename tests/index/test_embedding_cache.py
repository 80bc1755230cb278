"""Encodings on disk: what is kept, what is encoded again, and what damage and full disks do."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index import embedding_cache
from index.embedding_cache import EmbeddingCache
from index.encoder import Encoding
from index.errors import StorageFailed
from tests.toys import ToyEncoder

TEXTS = ["注意力机制", "retrieval augmented", "向量检索与重排"]


def file_of(folder: Path) -> Path:
    (file,) = [path for path in folder.iterdir() if path.suffix == ".sqlite"]
    return file


def filled(folder: Path, encoder: ToyEncoder) -> None:
    with EmbeddingCache(folder) as cache:
        assert sorted(cache.encode(encoder, TEXTS)) == sorted(TEXTS)


def test_only_what_is_missing_is_encoded_and_each_text_once(tmp_path: Path) -> None:
    encoder = ToyEncoder()
    with EmbeddingCache(tmp_path) as cache:
        assert cache.missing(encoder, [*TEXTS, TEXTS[0]]) == TEXTS
        assert len(list(cache.encode(encoder, [*TEXTS, TEXTS[0]]))) == 3
        assert encoder.take_encoded() == sorted(TEXTS)
        assert list(cache.encode(encoder, TEXTS)) == []
    with EmbeddingCache(tmp_path) as cache:
        assert cache.missing(encoder, TEXTS) == []
        assert list(cache.encode(encoder, [*TEXTS, "新的"])) == ["新的"]
        assert len(list(cache.encode(encoder, [*TEXTS, TEXTS[1]], anew=True))) == 3


def test_what_comes_back_is_the_encoding_nearly_and_always_the_same(tmp_path: Path) -> None:
    encoder = ToyEncoder()
    filled(tmp_path, encoder)
    for text in [*TEXTS, *TEXTS]:
        exact = encoder.encode_query(text)
        with EmbeddingCache(tmp_path) as cache:
            stored, again = cache.get(encoder, text), cache.get(encoder, text)
        assert stored.vector.tobytes() == again.vector.tobytes() == exact.vector.tobytes()
        assert stored.token_vectors.tobytes() == again.token_vectors.tobytes()
        assert stored.token_ids.tolist() == exact.token_ids.tolist()
        assert ((stored.token_vectors * exact.token_vectors).sum(axis=1)).min() > 0.9999
        np.testing.assert_allclose(np.linalg.norm(stored.token_vectors, axis=1), 1, atol=1e-6)
        assert [part.dtype.name for part in (stored.vector, stored.token_vectors, stored.token_ids)] == [
            "float32",
            "float32",
            "int32",
        ]


def test_a_text_without_tokens_is_kept_too(tmp_path: Path) -> None:
    encoder = ToyEncoder()
    with EmbeddingCache(tmp_path) as cache:
        list(cache.encode(encoder, [""]))
        assert cache.get(encoder, "").token_vectors.shape == (0, 32)


def test_another_encoder_finds_nothing(tmp_path: Path) -> None:
    filled(tmp_path, ToyEncoder())
    with EmbeddingCache(tmp_path) as cache:
        assert cache.missing(ToyEncoder(version=1), TEXTS) == TEXTS
        with pytest.raises(KeyError):
            cache.get(ToyEncoder(version=1), TEXTS[0])


def test_a_run_that_ends_early_keeps_what_it_had_encoded(tmp_path: Path) -> None:
    encoder = ToyEncoder()

    def run_and_stop() -> None:
        with EmbeddingCache(tmp_path) as cache:
            for number, _ in enumerate(cache.encode(encoder, TEXTS)):
                if number == 1:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_and_stop()
    with EmbeddingCache(tmp_path) as cache:
        assert len(cache.missing(encoder, TEXTS)) == 1


def test_what_no_run_used_for_five_runs_is_forgotten(tmp_path: Path) -> None:
    encoder = ToyEncoder()
    filled(tmp_path, encoder)
    for _ in range(5):
        with EmbeddingCache(tmp_path) as cache:
            assert cache.missing(encoder, TEXTS) == []
            cache.get(encoder, TEXTS[0])
            list(cache.encode(encoder, ["每次都用", *map(str, range(3))], anew=True))
    with EmbeddingCache(tmp_path) as cache:
        assert cache.missing(encoder, TEXTS) == TEXTS[1:]


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    encoder = ToyEncoder()
    filled(tmp_path, encoder)
    file = file_of(tmp_path)
    file.write_bytes(content)
    # Such logs stay behind when a process is killed; they must not be played into the new file.
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).write_bytes(b"\xff" * 100)
    filled(tmp_path, encoder)
    assert "set aside" in caplog.text
    assert file.with_suffix(".broken").read_bytes() == content
    with EmbeddingCache(tmp_path) as cache:
        assert cache.missing(encoder, TEXTS) == []


def test_a_table_of_another_version_is_set_aside(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "encodings.sqlite")
    connection.execute("CREATE TABLE encodings (encoder TEXT, vector BLOB)")
    connection.close()
    filled(tmp_path, ToyEncoder())
    aside = sqlite3.connect(tmp_path / "encodings.broken")
    assert [column[1] for column in aside.execute("PRAGMA table_info(encodings)")] == ["encoder", "vector"]
    aside.close()
    with EmbeddingCache(tmp_path) as cache:
        assert cache.missing(ToyEncoder(), TEXTS) == []


@pytest.mark.parametrize("column", ["vector", "token_ids", "token_scales", "token_values", "dimension", "digest"])
def test_an_entry_whose_bytes_changed_is_encoded_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str
) -> None:
    encoder = ToyEncoder()
    filled(tmp_path, encoder)
    with EmbeddingCache(tmp_path) as cache:
        sound = [cache.get(encoder, text).token_vectors.tobytes() for text in TEXTS]
    connection = sqlite3.connect(file_of(tmp_path))
    value = "16" if column == "dimension" else "zeroblob(8)"
    one = "text_sha256 = (SELECT MIN(text_sha256) FROM encodings)"
    connection.execute(f"UPDATE encodings SET {column} = {value} WHERE {one}")  # noqa: S608 - all our own words
    connection.commit()
    connection.close()
    encoder.take_encoded()
    with EmbeddingCache(tmp_path) as cache:
        (damaged,) = cache.missing(encoder, TEXTS)
        assert list(cache.encode(encoder, TEXTS)) == [damaged]
        assert [cache.get(encoder, text).token_vectors.tobytes() for text in TEXTS] == sound
    assert "damaged" in caplog.text


class FullDisk(sqlite3.Connection):
    """A connection that finds the disk full when something is inserted, as SQLite says it."""

    full = False

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        if type(self).full and statement.startswith("INSERT"):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return super().execute(statement, *parameters)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3,
        "connect",
        lambda path, check_same_thread: connect(path, check_same_thread=check_same_thread, factory=FullDisk),
    )
    FullDisk.full = True
    yield
    FullDisk.full = False


def test_a_full_disk_is_said_and_what_is_kept_stays(tmp_path: Path, full_disk: None) -> None:
    encoder = ToyEncoder()
    FullDisk.full = False
    filled(tmp_path, encoder)
    FullDisk.full = True
    with pytest.raises(StorageFailed, match="disk is full") as refusal, EmbeddingCache(tmp_path) as cache:
        list(cache.encode(encoder, ["新的"]))
    assert "still served" in refusal.value.hint
    with EmbeddingCache(tmp_path) as cache:
        assert cache.missing(encoder, TEXTS) == []


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY])
def test_a_disk_that_refuses_is_no_reason_to_give_the_file_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    encoder = ToyEncoder()
    filled(tmp_path, encoder)

    def refuse(path: Path) -> None:
        error = sqlite3.OperationalError("refused")
        error.sqlite_errorcode = code
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(embedding_cache, "_connect", refuse)
        with pytest.raises(StorageFailed, match="refused"):
            EmbeddingCache(tmp_path)
    with EmbeddingCache(tmp_path) as cache:
        assert cache.missing(encoder, TEXTS) == []


def test_a_cache_folder_that_cannot_be_made_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageFailed, match="Read-only"):
        EmbeddingCache(tmp_path / "cache")


def test_an_encoder_that_gives_too_few_encodings_is_not_believed(tmp_path: Path) -> None:
    class Short(ToyEncoder):
        def encode_passages(self, texts: object) -> Iterator[Encoding]:
            yield self.encode_query("only one")

    with pytest.raises(ValueError, match="zip"), EmbeddingCache(tmp_path) as cache:
        list(cache.encode(Short(), TEXTS))
