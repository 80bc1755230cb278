"""Typed errors of the whole project: each says what is wrong and what to do about it.

They live in the lowest package because every package raises them; the command line prints ``message`` and
``hint`` and exits 1, the HTTP service turns them into its one JSON error shape (service/http/errors.py).
"""

from __future__ import annotations

from typing import ClassVar


class AsknotesError(Exception):
    """A refusal with a remedy.

    ``type`` is the stable machine-readable name (snake case) that appears in JSON; ``message`` says what is
    wrong, ``hint`` what the user can do about it.
    """

    type: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigInvalid(AsknotesError):
    """A config file, environment variable or option that does not fit the schema."""

    type = "config_invalid"


class NotesMissing(AsknotesError):
    """No readable note under the given paths."""

    type = "notes_missing"


class NoteRejected(AsknotesError):
    """One file that cannot be a note (binary, too large, unreadable); reported, never fatal for a run."""

    type = "note_rejected"


class QuestionInvalid(AsknotesError):
    """An empty, over-long or otherwise unusable question."""

    type = "question_invalid"


class WeightsMissing(AsknotesError):
    """Model weights that are not on this machine yet."""

    type = "weights_missing"


class WeightsCorrupt(AsknotesError):
    """Model weights whose checksum or structure is not what it must be; nothing of them is loaded."""

    type = "weights_corrupt"


class FetchFailed(AsknotesError):
    """Fetching weights failed (no network, no such package, disk full)."""

    type = "fetch_failed"


class IndexMissing(AsknotesError):
    """Nothing is published under the data folder yet."""

    type = "index_missing"


class IndexIncompatible(AsknotesError):
    """The published snapshot was built with another encoder, tokenizer, chunker or schema."""

    type = "index_incompatible"


class IndexCorrupt(AsknotesError):
    """A file of the snapshot is missing, truncated or altered."""

    type = "index_corrupt"


class IndexLocked(AsknotesError):
    """Another process is writing to the same data folder."""

    type = "index_locked"


class DataFolderForeign(AsknotesError):
    """The data folder holds something that asknotes did not write."""

    type = "data_folder_foreign"


class StorageFailed(AsknotesError):
    """The disk is full, read-only or refuses a write; what was published before is untouched."""

    type = "storage_failed"


class GenerationFailed(AsknotesError):
    """The language model could not be loaded or could not write."""

    type = "generation_failed"
