"""What one question is answered with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from index.config import IndexConfig
from index.encoder import TextEncoder
from index.snapshot import Snapshot
from index.tokenizer import Tokenizer
from service.answering.config import AnsweringConfig
from service.answering.drafting import Drafts
from service.answering.generator import LanguageModel
from service.answering.rerank import Reranker
from service.answering.reranking.calibration import Calibration


@dataclass(frozen=True, slots=True)
class Tools:
    """What one question is answered with; the snapshot stays the same from its first step to its last."""

    snapshot: Snapshot
    encoder: TextEncoder
    tokenizer: Tokenizer
    language_model: LanguageModel | None
    index: IndexConfig
    answering: AnsweringConfig
    drafts: Drafts = field(default_factory=Drafts)
    reranker: Callable[[str], Reranker] | None = None
    """Opens the model that reranks, by name; None where only what needs no model is asked for."""
    calibration: Calibration | None = None
    """What the scores of answering.reranker mean, where it was calibrated."""
