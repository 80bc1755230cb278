"""The part of the configuration that belongs to ingest: reading, cleaning, chunking, duplicates."""

from __future__ import annotations

from pydantic import Field

from index.config import Section


class ReaderConfig(Section):
    """Files to notes."""

    max_bytes: int = Field(default=20_000_000, ge=1, description="A larger file is reported and skipped, bytes.")
    follow_symlinks: bool = Field(
        default=False, description="Follow links inside the notes folder (never out of it, never in circles)."
    )
    max_control_share: float = Field(
        default=0.005,
        ge=0.0,
        le=0.5,
        description="Share of control or replacement characters beyond which a file is binary or damaged and skipped.",
    )


class ChunkerConfig(Section):
    """Notes to chunks; sizes are tokens of the encoder's own tokenizer."""

    target_tokens: int = Field(
        default=256, ge=16, le=4096, description="A chunk is filled up to about this size, or to `max_tokens`."
    )
    max_tokens: int = Field(
        default=400, ge=32, le=8192, description="No chunk is larger, but for a code block that is kept whole."
    )
    min_tokens: int = Field(
        default=24, ge=0, le=1024, description="A smaller piece joins its neighbour under the same heading."
    )
    overlap_sentences: int = Field(
        default=1, ge=0, le=10, description="Sentences repeated where one long passage had to be cut."
    )


class DuplicateConfig(Section):
    """Near duplicates, found with MinHash over character shingles (Broder 1997)."""

    threshold: float = Field(
        default=0.85, ge=0.5, le=1.0, description="Jaccard similarity from which two chunks say the same."
    )
    shingle: int = Field(default=5, ge=1, le=32, description="Characters in a shingle, after normalising.")
    contained_characters: int = Field(
        default=40,
        ge=20,
        le=1000,
        description="A longer text is a duplicate where it stands whole inside another; a shorter one only when text "
        "and heading are equal.",
    )
    permutations: int = Field(default=128, ge=16, le=1024, multiple_of=4, description="MinHash permutations.")
    seed: int = Field(default=42, ge=0, description="Seed of the permutations.")


class QuestionsConfig(Section):
    """Questions that the language model writes for each chunk, by which it is found too (document expansion)."""

    enabled: bool = Field(
        default=False,
        description="Have `answering.model` write questions that each chunk answers: seconds a chunk on a CPU, once. "
        "Not without `index.late.enabled`, by which they are compared.",
    )
    number: int = Field(default=3, ge=1, le=8, description="Most questions a chunk.")


class IngestConfig(Section):
    """Everything between the notes folder and the index."""

    reader: ReaderConfig = ReaderConfig()
    chunker: ChunkerConfig = ChunkerConfig()
    duplicates: DuplicateConfig = DuplicateConfig()
    questions: QuestionsConfig = QuestionsConfig()
