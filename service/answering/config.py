"""The part of the configuration that belongs to answering: how much is retrieved, who writes, for how long."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from index.config import Section

NO_MODEL = "none"


class AnsweringConfig(Section):
    """From a question to a checked answer."""

    model: str = Field(
        default="bundled:qwen2.5-coder-0.5b-instruct",
        min_length=1,
        description="Language model: `bundled:NAME`, a local transformers folder, a hub name, or `none`: answers are "
        "then the notes' own sentences.",
    )
    device: str = Field(
        default="auto", description="Device of the language model: `auto` (CUDA where there is one), `cpu`, `cuda:1`, …"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto",
        description="Number format of the language model; `auto`: bfloat16 or float16 on a GPU, on a CPU the faster "
        "of bfloat16 and float32, timed when the model is loaded.",
    )
    top_k: int = Field(default=10, ge=1, le=100, description="Hits returned when a request does not say.")
    span_chars: int = Field(
        default=650,
        ge=0,
        le=20_000,
        description="A hit of a search comes with its neighbours of the same section while they are no longer than "
        "this together, characters; 0: alone.",
    )
    passages: int = Field(default=4, ge=1, le=50, description="Best hits whose sentences may support the answer.")
    context_tokens: int = Field(
        default=300,
        ge=64,
        le=32_768,
        description="Longest context shown to the model, tokens; reading it is most of the time to the first word.",
    )
    max_new_tokens: int = Field(default=96, ge=1, le=4096, description="Longest text the model may write, tokens.")
    extract_chars: int = Field(
        default=320, ge=20, le=20_000, description="Longest answer made of the notes' own sentences, characters."
    )
    min_answerable: float = Field(
        default=0.4,
        ge=0.0,
        le=1.0,
        description="Below this estimated probability that the found passages answer the question, the answer is that "
        "the notes do not say.",
    )
    min_support: float = Field(
        default=0.6,
        ge=-1.0,
        le=1.0,
        description="Late-interaction similarity from which a passage supports a written sentence.",
    )
    deadline_s: float = Field(
        default=60.0, gt=0, le=600, description="Time for one question when a request does not say, seconds."
    )
    min_writing_s: float = Field(
        default=4.0,
        ge=0,
        le=600,
        description="With less time left than this, the model is not asked and the notes' own sentences answer.",
    )
