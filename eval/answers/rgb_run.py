"""RGB's questions through the answering pipeline: each over its own documents, as a collection made for it alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.answers.results import RgbFigures, RgbResults
from eval.answers.rgb import ALL_NOISE, RgbFile, RgbQuestion, documents, is_right
from eval.answers.run import AnsweredQuestion, watch
from eval.memory_snapshot import in_memory_snapshot
from eval.provenance import provenance
from eval.results import Provenance
from eval.statistics import figure, mean
from index.building import calibration_encodings, parts_of
from index.embedding_cache import EmbeddingCache
from index.encoder import Encoding, TextEncoder
from index.passages import embedded_text
from index.schema import Chunk, chunk_id
from index.tokenizer import Tokenizer
from ingest.language import language_of
from service.answering.answer import answer_stream
from service.answering.exchange import AskRequest
from service.answering.generator import LanguageModel
from service.answering.tools import Tools
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class RgbModels:
    """What every question is answered with.

    ``cache`` lies in ``folder``; a document that questions or ratios share is encoded once.
    """

    settings: Settings
    encoder: TextEncoder
    language_model: LanguageModel | None
    cache: EmbeddingCache
    folder: Path


@dataclass(frozen=True, slots=True)
class RgbOutcome:
    """One question at one noise ratio."""

    question: RgbQuestion
    noise: float
    passages: int
    answered: AnsweredQuestion

    @property
    def right(self) -> bool:
        """Whether it counts: rejected where there is nothing but noise, right and not rejected elsewhere."""
        if self.noise == ALL_NOISE:
            return self.answered.abstained
        return not self.answered.abstained and is_right(self.answered.text, self.question)

    def as_json(self) -> dict[str, Any]:
        """Return what of it is kept in the results."""
        return {
            "id": self.question.id,
            "noise": self.noise,
            "passages": self.passages,
            "right": self.right,
            "abstained": self.answered.abstained,
            "written_by": self.answered.written_by,
            "answer": self.answered.text,
        }


def run_rgb(
    file: RgbFile, ratios: Sequence[float], models: RgbModels, *, passages: int, answered: Callable[[], None]
) -> RgbResults:
    """Ask every question at every noise ratio; ``answered`` is called after each. Raises AsknotesError."""
    chosen = {
        (ratio, question.id): documents(question, ratio, passages) for ratio in ratios for question in file.questions
    }
    collections = _Collections(models, Tokenizer(), calibration_encodings(models.encoder.encode_query))
    outcomes = []
    for ratio in ratios:
        for question in file.questions:
            outcomes.append(_outcome(question, ratio, chosen[ratio, question.id], collections))
            answered()
    return results(file, outcomes, passages=passages, made_with=provenance(models.settings))


def results(file: RgbFile, outcomes: Sequence[RgbOutcome], *, passages: int, made_with: Provenance) -> RgbResults:
    """Gather the figures of every ratio that was run."""
    ratios = list(dict.fromkeys(outcome.noise for outcome in outcomes))
    return RgbResults(
        path=str(file.path),
        sha256=file.sha256,
        questions=len(file.questions),
        passages=passages,
        ratios=[_figures(ratio, [one for one in outcomes if one.noise == ratio]) for ratio in ratios],
        outcomes=[outcome.as_json() for outcome in outcomes],
        provenance=made_with,
    )


def _figures(ratio: float, outcomes: Sequence[RgbOutcome]) -> RgbFigures:
    return RgbFigures(
        noise=ratio,
        passages_mean=mean([one.passages for one in outcomes]),
        accuracy=None if ratio == ALL_NOISE else figure([float(one.right) for one in outcomes]),
        rejected=figure([float(one.answered.abstained) for one in outcomes]),
    )


@dataclass(frozen=True, slots=True)
class _Collections:
    """Makes a collection of passages for one question, and what answers from it."""

    models: RgbModels
    tokenizer: Tokenizer
    questions: Mapping[str, Sequence[Encoding]]

    @contextlib.contextmanager
    def over(self, chunks: Sequence[Chunk]) -> Iterator[Tools]:
        models, config = self.models, self.models.settings.index
        parts = parts_of(
            chunks,
            self._encodings([embedded_text(chunk) for chunk in chunks]),
            config,
            questions=self.questions,
            tokenizer=self.tokenizer,
            dimension=models.encoder.dimension,
        )
        snapshot = in_memory_snapshot(chunks, parts, models.folder)
        try:
            yield Tools(
                snapshot=snapshot,
                encoder=models.encoder,
                tokenizer=self.tokenizer,
                language_model=models.language_model,
                index=config,
                answering=models.settings.answering,
            )
        finally:
            snapshot.close()

    def _encodings(self, texts: Sequence[str]) -> list[Encoding]:
        models = self.models
        for _ in models.cache.encode(models.encoder, texts):
            pass
        return [models.cache.get(models.encoder, text) for text in texts]


def _outcome(question: RgbQuestion, ratio: float, texts: Sequence[str], collections: _Collections) -> RgbOutcome:
    chunks = [_chunk(text, number) for number, text in enumerate(texts, start=1)]
    with collections.over(chunks) as tools:
        answered = watch(question.id, answer_stream(AskRequest(question=question.text), tools))
    return RgbOutcome(question, ratio, len(chunks), answered)


def _chunk(text: str, number: int) -> Chunk:
    note = f"document-{number}"
    return Chunk(
        id=chunk_id(note, (), text),
        note=note,
        heading=(),
        text=text,
        lines=(1, text.count("\n") + 1),
        language=language_of(text),
    )
