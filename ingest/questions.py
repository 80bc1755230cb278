"""Questions that each chunk answers, written by a language model and kept, so that each passage is paid for once.

A reader asks in other words than the note is written in; what a model would ask of a passage is nearer to them
(document expansion: R. Nogueira, J. Lin, "From doc2query to docTTTTTquery", 2019). Those questions are not added to the
text, they are compared with what is asked (index/building.py).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from index.durable import storage_errors
from index.passages import embedded_text
from index.progress import ProgressListener
from index.schema import Chunk

NO_WRITER = "none"
"""Stands for the fingerprint of a writer where there is none."""
_FILE = "questions.jsonl"
_DIGEST_BYTES = 8

_log = logging.getLogger(__name__)


class QuestionWriter(Protocol):
    """Writes questions that a passage answers; the same ones whenever it is asked."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the questions of some passage may change."""

    def write(self, passage: str, language: str) -> list[str]:
        """Write the questions of one passage, none where it has none worth asking; raises AsknotesError."""


def written_questions(
    chunks: Sequence[Chunk], writer: QuestionWriter, folder: Path, listener: ProgressListener
) -> dict[int, list[str]]:
    """The questions of every chunk, by its row; ``folder`` keeps what was written, and says what was before.

    A run that ends early does not pay again for what it had. Raises StorageFailed and what the writer raises.
    """
    passages = [embedded_text(chunk) for chunk in chunks]
    kept = _KeptQuestions(folder / _FILE, writer.fingerprint)
    missing = {text: chunk.language for text, chunk in zip(passages, chunks, strict=True) if text not in kept}
    listener.start("writing questions", len(missing))
    for passage, language in missing.items():
        kept.keep(passage, writer.write(passage, language))
        listener.advance(1)
    listener.finish()
    return {row: kept[passage] for row, passage in enumerate(passages)}


class _KeptQuestions:
    """What one writer wrote, by passage, in a file of JSON lines that holds what other writers wrote too.

    A line is ``[writer, sha256 of the passage, questions, digest]``. Nothing is ever forgotten: questions are dear to
    write and small to keep. A line that is damaged is passed over, and its passage is asked about again.
    """

    def __init__(self, path: Path, writer: str) -> None:
        self._path, self._writer = path, writer
        self._questions: dict[str, list[str]] = {}
        with storage_errors("Reading the chunks' questions"):
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
        self._is_cut_off = bool(lines[-1])  # the last line of a run that was killed
        damaged = sum(not self._read(line) for line in lines if line)
        if damaged:
            _log.warning("%d lines of %s are damaged; what they held is written again.", damaged, path)

    def __contains__(self, passage: str) -> bool:
        return _sha256(passage) in self._questions

    def __getitem__(self, passage: str) -> list[str]:
        return self._questions[_sha256(passage)]

    def keep(self, passage: str, questions: list[str]) -> None:
        """Write them to disk."""
        key = _sha256(passage)
        record = [self._writer, key, questions, _digest(self._writer, key, questions)]
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        with storage_errors("Keeping a chunk's questions"), self._path.open("ab") as file:
            file.write(b"\n" + line if self._is_cut_off else line)
            file.flush()
            os.fsync(file.fileno())
        self._is_cut_off = False
        self._questions[key] = questions

    def _read(self, line: bytes) -> bool:
        """Take in a line; False for one that is not what was written."""
        try:
            writer, key, questions, digest = json.loads(line)
            is_sound = digest == _digest(writer, key, questions)
        except (ValueError, TypeError, RecursionError):
            return False
        if is_sound and writer == self._writer:
            self._questions[key] = questions
        return bool(is_sound)


def _sha256(passage: str) -> str:
    return hashlib.sha256(passage.encode()).hexdigest()


def _digest(writer: str, key: str, questions: Sequence[str]) -> str:
    content = json.dumps([writer, key, questions])
    return hashlib.blake2b(content.encode(), digest_size=_DIGEST_BYTES).hexdigest()
