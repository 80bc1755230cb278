"""Pairs whose question the configured language model wrote, with the checks that drafted gold questions pass."""

from __future__ import annotations

from collections.abc import Sequence

from eval.drafting.gold_drafts import draft_gold
from eval.drafting.sentences import Candidate, choose_sentences
from eval.quotes import normalised
from eval.tuning.pairs import Collection, Pair
from index.progress import ProgressListener
from index.schema import Chunk, Note
from index.tokenizer import Tokenizer
from service.answering.generator import LanguageModel

WRITTEN_BY_MODEL = "language model"


def drafted_pairs(
    chunks: Sequence[Chunk],
    notes: Sequence[Note],
    model: LanguageModel,
    *,
    count: int,
    seed: int,
    listener: ProgressListener,
) -> Collection:
    """Have up to ``count`` questions written, each about a sentence of a chunk; raises GenerationFailed."""
    listener.start("drafting questions", count)
    found = draft_gold(
        choose_sentences(chunks, notes, seed=seed),
        model,
        count=count,
        tokenizer=Tokenizer(),
        drafted=lambda: listener.advance(1),
    )
    listener.finish()
    pairs = []
    for draft in found.drafts:
        holding = _holding(draft.candidate, chunks)
        pairs += [
            Pair(draft.question, chunk.id, WRITTEN_BY_MODEL, draft.candidate.note, frozenset({chunk.id}))
            for chunk in holding[:1]
        ]
    return Collection((), {}, tuple(pairs))


def _holding(candidate: Candidate, chunks: Sequence[Chunk]) -> list[Chunk]:
    wanted = normalised(candidate.sentence)
    return [
        chunk
        for chunk in chunks
        if (chunk.note, chunk.heading) == (candidate.note, candidate.heading) and wanted in normalised(chunk.text)
    ]
