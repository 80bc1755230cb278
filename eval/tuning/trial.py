"""Whether a tuned encoder searches better: both encoders, the same questions, the search as it is served."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.gold import Gold, Question
from eval.indexes import Indexes, OpenedIndex
from eval.memory_snapshot import in_memory_snapshot
from eval.metrics import DEPTH, Values, document_measures
from eval.results import Figure
from eval.run import SystemRun, evaluate_run, run_systems
from eval.statistics import bootstrap_interval, figure, mean, randomisation_test
from eval.systems import System
from eval.tuning.pairs import Pair
from index.building import build_parts
from index.embedding_cache import EmbeddingCache
from index.encoder import TextEncoder
from index.progress import ProgressListener
from index.schema import Chunk
from index.tokenizer import Tokenizer
from ingest.language import language_of
from ingest.questions import QuestionWriter
from service.answering.rerank import LATE
from service.settings import Settings

RECIPROCAL_RANK = f"mrr@{DEPTH}"
MEASURES = (RECIPROCAL_RANK, "hit@1", "hit@5")

_AS_WRITTEN = {
    "index.late.enabled": True,
    "ingest.questions.enabled": False,
    "answering.span_chars": 0,
    "answering.spelling": False,
    "answering.parts": False,
}
BASE_SYSTEM = System("base", rerank=LATE, settings=_AS_WRITTEN)
"""Hybrid search ordered by late interaction, each passage alone and each question read as it is written: what negatives
are mined with too, so that it is the encoders that differ."""


class PassagesSource:
    """An index of given passages in memory; only their embeddings are kept."""

    def __init__(self, passages: Sequence[Chunk], folder: Path) -> None:
        self._passages = list(passages)
        self._folder = folder

    def open(
        self,
        settings: Settings,
        fingerprints: Mapping[str, str],  # noqa: ARG002 — what is never found again needs no mark
        *,
        encoder: TextEncoder,
        tokenizer: Tokenizer,
        cache: EmbeddingCache,
        listener: ProgressListener,
        writer: QuestionWriter | None = None,  # noqa: ARG002 — _AS_WRITTEN wants none
    ) -> OpenedIndex:
        """Encode what is new and index every passage as it is."""
        started = time.monotonic()
        parts, _ = build_parts(
            self._passages, cache, settings.index, encoder=encoder, tokenizer=tokenizer, full=False, listener=listener
        )
        snapshot = in_memory_snapshot(self._passages, parts, self._folder)
        return OpenedIndex(snapshot, 0, time.monotonic() - started)


@dataclass(frozen=True, slots=True)
class Trial:
    """What both encoders reach over the same questions, by measure; ``gain`` is that in reciprocal rank.

    ``low`` and ``high`` bound it (95 %); ``p`` is two-sided, of the paired randomisation test on reciprocal ranks.
    """

    measured_on: str
    questions: int
    before: Mapping[str, Figure]
    after: Mapping[str, Figure]
    gain: float
    low: float
    high: float
    p: float

    def is_better(self, *, max_p: float) -> bool:
        """Whether the tuned encoder is better than chance would have it."""
        return self.gain > 0 and self.p < max_p

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **dataclasses.asdict(self),
            "before": {measure: dataclasses.asdict(found) for measure, found in self.before.items()},
            "after": {measure: dataclasses.asdict(found) for measure, found in self.after.items()},
        }


def try_on_pairs(
    held_out: Sequence[Pair], tuned: Path, indexes: Indexes, settings: Settings, listener: ProgressListener
) -> Trial:
    """Ask the held-out questions; a question is met by any passage that answers it."""
    questions = [_question(number, pair) for number, pair in enumerate(held_out, start=1)]
    base, other = run_systems([BASE_SYSTEM, _tuned(BASE_SYSTEM, tuned)], questions, indexes, settings, listener)
    return _trial("held-out pairs", _measured(base, questions), _measured(other, questions))


def try_on_gold(gold: Gold, tuned: Path, indexes: Indexes, settings: Settings, listener: ProgressListener) -> Trial:
    """Ask the gold questions of the whole notes, in both encoders' index, with neighbours as the settings say."""
    system = System("base", rerank=LATE, settings={"index.late.enabled": True})
    runs = run_systems([system, _tuned(system, tuned)], gold.questions, indexes, settings, listener)
    before, after = (evaluate_run(run, gold).per_question for run in runs)
    return _trial(gold.name, before, after)


def _tuned(base: System, folder: Path) -> System:
    return dataclasses.replace(base, name="tuned", settings={**base.settings, "index.encoder.model": str(folder)})


def _question(number: int, pair: Pair) -> Question:
    return Question(
        id=f"P{number}",
        text=pair.question,
        language=language_of(pair.question),
        type=pair.origin,
        relevant=dict.fromkeys(sorted(pair.answers), 1),
    )


def _measured(run: SystemRun, questions: Sequence[Question]) -> dict[str, Values]:
    return document_measures(
        {question.id: [hit.chunk.id for hit in run.hits[question.id]] for question in questions},
        {question.id: question.relevant for question in questions},
    )


def _trial(
    measured_on: str, before: Mapping[str, Mapping[str, float]], after: Mapping[str, Mapping[str, float]]
) -> Trial:
    old = [before[question][RECIPROCAL_RANK] for question in before]
    new = [after[question][RECIPROCAL_RANK] for question in before]
    differences = [other - base for base, other in zip(old, new, strict=True)]
    low, high = bootstrap_interval(differences)
    return Trial(
        measured_on=measured_on,
        questions=len(old),
        before={measure: figure([values[measure] for values in before.values()]) for measure in MEASURES},
        after={measure: figure([values[measure] for values in after.values()]) for measure in MEASURES},
        gain=mean(differences),
        low=low,
        high=high,
        p=randomisation_test(old, new),
    )
