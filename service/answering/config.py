"""The part of the configuration that belongs to answering: how much is retrieved, who writes, for how long."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from index.config import Section

NO_MODEL = "none"
LANGUAGE_MODEL_RERANKERS = frozenset({"lm", "lm-likelihood"})
"""Rerankers that ask the language model; service/answering/rerank.py opens them."""


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
    reranker: str = Field(
        default="late",
        min_length=1,
        description="What gives a hybrid search its last order: `late` (late interaction), `none`, `lm` (the language "
        "model's yes or no; measured no better than chance for the default one), `lm-likelihood` (how likely "
        "the language model finds the question after a passage), or a model that orders what late interaction puts "
        "first, a local folder or a hub name: a cross-encoder such as `BAAI/bge-reranker-v2-m3`, a ColBERT checkpoint "
        "such as `colbert-ir/colbertv2.0`.",
    )
    rerank_calibration: Path | None = Field(
        default=None,
        description="File that `asknotes eval calibrate` made for this reranker: hits then say how likely they are to "
        "answer, and the reranker's order is fused with the one before it.",
    )
    min_passage_probability: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="With a calibration: where no passage is as likely to answer as this, the answer is that the notes "
        "do not say.",
    )
    rerank_candidates: int = Field(
        default=20, ge=1, le=200, description="Passages that a cross-encoder or the language model reads."
    )
    rerank_max_tokens: int = Field(
        default=512, ge=64, le=8192, description="Longest question and passage together that they read, tokens."
    )
    rerank_batch_size: int = Field(default=16, ge=1, le=1024, description="Passages a cross-encoder reads at once.")
    rerank_deadline_s: float = Field(
        default=10.0, gt=0, le=600, description="Time for reading candidates; what is left keeps its place, seconds."
    )
    fold_similarity: float = Field(
        default=1.0,
        ge=0.3,
        le=1.0,
        description="Hits whose texts are as alike as this (Jaccard similarity of their shingles, with the same "
        "numbers, names and negations) become one; 1: none, since duplicates are folded at indexing anyway.",
    )
    spelling: bool = Field(default=True, description="Repair words that the notes spell otherwise.")
    parts: bool = Field(
        default=True,
        description="Search a question that asks several things part by part too, and keep each part's best passage.",
    )
    glossary: bool = Field(
        default=True,
        description="Where a question asks for a name only, search for what the notes call it elsewhere too.",
    )
    glossary_weight: float = Field(default=0.25, gt=0, le=10.0, description="Its weight beside the question.")
    concepts: bool = Field(
        default=True,
        description="Where a question describes what it does not name, look among what names it (`index.concepts`).",
    )
    concepts_weight: float = Field(
        default=4.0, gt=0, le=100.0, description="Weight of a described concept beside the z-score of late interaction."
    )
    keywords: bool = Field(default=False, description="Search with the question's rarest terms too.")
    keywords_weight: float = Field(default=0.5, gt=0, le=10.0, description="Their weight beside the question.")
    rewording: bool = Field(
        default=False, description="Search with the question in other words too, written by the language model."
    )
    rewordings: int = Field(default=2, ge=1, le=8, description="In how many other ways it is asked.")
    rewording_weight: float = Field(
        default=0.25, gt=0, le=10.0, description="Weight of each other way beside the question."
    )
    translation: bool | None = Field(
        default=None,
        description="Search with the language model's translation of the question too, where it is in another language "
        "than most notes; unset: when a question is to be answered and the model is at hand, not in a mere search.",
    )
    translation_weight: float = Field(
        default=0.5, gt=0, le=10.0, description="Weight of the translation beside the question."
    )
    rewording_deadline_s: float = Field(
        default=10.0, gt=0, le=600, description="Time for writing other ways, and for a translation, seconds."
    )
    hyde: bool = Field(
        default=False,
        description="Search with a hypothetical answer by the language model too, when a request does not say.",
    )
    hyde_weight: float = Field(
        default=0.25,
        gt=0,
        le=10.0,
        description="Weight of the hypothetical answer: in rank fusion, and of its z-score beside late interaction's.",
    )
    hyde_min_similarity: float = Field(
        default=0.85,
        ge=-1.0,
        le=1.0,
        description="A hypothetical answer less like its question than this, by cosine, has drifted and is not used; "
        "the default suits the default encoder, whose cosines are all high.",
    )
    hyde_deadline_s: float = Field(
        default=20.0, gt=0, le=600, description="Time for writing a hypothetical answer; then without it, seconds."
    )
    condense: Literal["terms", "model"] = Field(
        default="terms",
        description="How a follow-up becomes a question that stands alone: `terms` puts those of the question before "
        "it in front, `model` has the language model rewrite it, and does as `terms` where that fails "
        "(the default language model is too small: it mostly repeats the earlier question).",
    )
    condense_deadline_s: float = Field(
        default=10.0, gt=0, le=600, description="Time for rewriting a follow-up by the language model, seconds."
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

    @model_validator(mode="after")
    def _has_the_model_that_reranks(self) -> Self:
        if self.reranker in LANGUAGE_MODEL_RERANKERS and self.model == NO_MODEL:
            raise ValueError(
                f"the reranker `{self.reranker}` asks the language model, and answering.model is `none`: name a model, "
                "or rerank with `late`"
            )
        return self
