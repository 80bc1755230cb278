"""The part of the configuration that belongs to answering: how much is retrieved, who writes, for how long."""

from __future__ import annotations

from pydantic import Field

from index.config import Section


class AnsweringConfig(Section):
    """From a question to a checked answer."""

    model: str | None = Field(
        default="bundled:qwen2.5-coder-0.5b-instruct",
        description="Language model: `bundled:NAME`, a local transformers folder, or a hub name; unset: answers are "
        "the notes' own sentences.",
    )
    top_k: int = Field(default=10, ge=1, le=100, description="Hits returned when a request does not say.")
    context_tokens: int = Field(
        default=600, ge=64, le=32_768, description="Longest context shown to the model, tokens."
    )
    max_new_tokens: int = Field(default=160, ge=1, le=4096, description="Longest text the model may write, tokens.")
    deadline_s: float = Field(
        default=60.0, gt=0, le=600, description="Time for one question when a request does not say, seconds."
    )
