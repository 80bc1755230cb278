"""The part of the configuration that belongs to the index: encoder, dense, lexical, late interaction, fusion."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """Base of every config section: frozen, and a misspelt key is an error, not a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EncoderConfig(Section):
    """Text to vectors."""

    model: str = Field(
        default="bundled:multilingual-e5-small",
        min_length=1,
        description="Encoder: `bundled:NAME`, a local sentence-transformers folder, or a hub name.",
    )
    backend: Literal["auto", "torch", "onnx-int8"] = Field(
        default="auto",
        description="`onnx-int8` runs a dynamically quantised ONNX copy on the CPU; `auto` takes it for bundled "
        "encoders where there is no CUDA device, and torch otherwise.",
    )
    device: str = Field(default="auto", description="`auto` (CUDA where there is one), `cpu`, `cuda`, `cuda:1`, …")
    query_prefix: str | None = Field(
        default=None, description="Put before every question; unset: what the model's folder says (its `query` prompt)."
    )
    passage_prefix: str | None = Field(
        default=None,
        description="Put before every passage; unset: what the model's folder says (its `document` prompt).",
    )
    max_tokens: int = Field(default=512, ge=16, le=8192, description="Longest input, tokens; the rest is cut off.")
    batch_size: int = Field(default=16, ge=1, le=1024, description="Passages encoded at once.")
    threads: int | None = Field(default=None, ge=1, le=256, description="CPU threads; unset: one per core.")


class DenseConfig(Section):
    """One vector a chunk, searched with FAISS."""

    factory: str = Field(
        default="auto",
        min_length=1,
        description="FAISS index factory string, for instance `Flat`, `HNSW32`, `IVF256,PQ48`, `IVF256,PQ48,RFlat`; "
        "`auto`: `Flat`, from 10,000 chunks on `SQfp16`, which finds the same in half the memory and less time.",
    )
    ef_construction: int = Field(default=200, ge=4, le=4096, description="HNSW: candidates while building.")
    ef_search: int = Field(default=128, ge=1, le=4096, description="HNSW: candidates while searching.")
    nprobe: int = Field(default=16, ge=1, le=65536, description="IVF: lists visited.")
    refine_factor: int = Field(default=8, ge=1, le=256, description="Refine stage: candidates re-scored per result.")
    seed: int = Field(
        default=1234, ge=0, le=2**31 - 1, description="Seed of every clustering: equal notes give equal indexes."
    )


class LexicalConfig(Section):
    """BM25 over segmented terms in weighted fields; the body's weight is 1."""

    engine: Literal["bm25s", "rank-bm25"] = Field(
        default="bm25s", description="`bm25s` is fast; `rank-bm25` is the reference with the same ranking."
    )
    k1: float = Field(default=1.5, ge=0.01, le=10.0, description="BM25 term-frequency saturation.")
    b: float = Field(default=0.75, ge=0.0, le=1.0, description="BM25 length normalisation.")
    heading_weight: float = Field(
        default=1.0, ge=0.0, le=10.0, description="What a term of the heading path counts beside one of the body."
    )
    expansion_weight: float = Field(
        default=0.0,
        ge=0.0,
        le=10.0,
        description="What another name, by the notes' glossary, of what a chunk names counts beside a body's term; "
        "0: they are not looked up. To use them takes an index that was built with more than 0.",
    )


class LateConfig(Section):
    """Late interaction (MaxSim) over the encoder's token vectors."""

    enabled: bool = Field(default=True, description="Build and use token vectors.")
    full_precision_tokens: int = Field(
        default=150_000,
        ge=0,
        description="Up to so many token vectors in the index each component takes 8 bits (77 KB for a chunk of 200 "
        "tokens), which loses nothing measurable; beyond, a fifth of that (16 KB), which loses little.",
    )
    exhaustive_tokens: int = Field(
        default=150_000,
        ge=0,
        description="Up to so many token vectors in the index every chunk is scored; beyond, only candidates are.",
    )
    candidates: int = Field(default=50, ge=1, le=10_000, description="Chunks scored when not every chunk is.")
    centre: bool = Field(default=True, description="Subtract the mean token vector before comparing.")
    idf_power: float = Field(
        default=0.5, ge=0.0, le=2.0, description="Question tokens are weighted by their idf to this power; 0: equally."
    )
    window_tokens: int = Field(
        default=32, ge=2, le=1024, multiple_of=2, description="Length of a window within a chunk, tokens."
    )
    window_weight: float = Field(
        default=1.0,
        ge=0.0,
        le=10.0,
        description="What a chunk's best window counts beside the whole chunk; 0: windows are not looked at.",
    )
    lexical_weight: float = Field(
        default=0.25,
        ge=0.0,
        le=10.0,
        description="Weight of BM25's z-score beside that of late interaction, less where the question's terms are not "
        "the notes' terms.",
    )


class ConceptsConfig(Section):
    """Concepts of the field with descriptions in everyday words, by which chunks that name them are found."""

    enabled: bool = Field(
        default=True, description="Describe what the notes name, so that it is found without its name."
    )
    built_in: bool = Field(
        default=True,
        description="Use the concepts that come with asknotes: machine learning, language processing, language models.",
    )
    files: tuple[Path, ...] = Field(
        default=(),
        description="Files with more concepts, JSON lines with `names` and `descriptions`; in the environment, a JSON "
        "list.",
    )
    least_named: float = Field(
        default=1.0,
        ge=0.0,
        le=1000.0,
        description="Notes whose chunks name fewer concepts than this on average are about something else, and none is "
        "used.",
    )


class FusionConfig(Section):
    """How the signals of the first stage become one order."""

    method: Literal["convex", "rrf"] = Field(
        default="convex",
        description="`convex`: weighted mean of the signals' z-scores, and what the question describes on top; `rrf`: "
        "reciprocal rank fusion, in which concepts have no part.",
    )
    rrf_k: int = Field(default=60, ge=1, le=1000, description="The k of reciprocal rank fusion.")
    lexical_weight: float = Field(
        default=1.5,
        ge=0.0,
        le=100.0,
        description="Weight of BM25, less where the question's terms are not the notes' terms.",
    )
    dense_weight: float = Field(default=1.0, ge=0.0, le=100.0, description="Weight of the dense signal.")
    depth: int = Field(default=100, ge=1, le=10_000, description="Hits each signal contributes.")


class IndexConfig(Section):
    """Everything about what can be searched."""

    encoder: EncoderConfig = EncoderConfig()
    dense: DenseConfig = DenseConfig()
    lexical: LexicalConfig = LexicalConfig()
    late: LateConfig = LateConfig()
    concepts: ConceptsConfig = ConceptsConfig()
    fusion: FusionConfig = FusionConfig()
    models_cache: Path | None = Field(
        default=None, description="Where converted model weights lie; unset: `~/.cache/asknotes/models`."
    )
