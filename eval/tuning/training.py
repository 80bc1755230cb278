"""Training the encoder's last layers to put the passage that answers first, by late interaction and by its vector."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from eval.tuning.batching import Batch, epoch_batches
from eval.tuning.layers import KeptText, LayeredEncoder, TokenizedText
from eval.tuning.maxsim import TokenWeights, centred, contrastive_loss, maxsim
from eval.tuning.negatives import MinedPair
from eval.tuning.pairs import Collection, TuningRefused
from index.calibration_questions import CALIBRATION_QUESTIONS
from index.config import LateConfig
from index.passages import embedded_text
from index.progress import ProgressListener
from ingest.language import language_of

_PASSAGES_FOR_MEAN = 128
_STATES_AT_ONCE = 32
_WARM_UP = 0.1  # share of the steps over which the learning rate rises
_LOWEST_RATE = 0.02  # what it falls to by the last step, as a share
_LONGEST_GRADIENT = 1.0


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How it is trained.

    ``temperature`` is that of late interaction, ``sentence_temperature`` that of sentence vectors, whose loss counts
    ``sentence_weight``; ``negatives`` mined passages come with each question of a batch.
    """

    epochs: int = 2
    batch_size: int = 24
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    negatives: int = 1
    temperature: float = 0.05
    sentence_weight: float = 0.2
    sentence_temperature: float = 0.02
    seed: int = 0

    def as_json(self) -> dict[str, float]:
        """JSON-ready."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class EpochFigures:
    """Means over an epoch: both losses, and the share of questions whose passage came first in its batch."""

    loss: float
    late_loss: float
    sentence_loss: float
    first: float


@dataclass(frozen=True, slots=True)
class TrainingTexts:
    """Everything that is read in training, tokenized, with what the frozen layers made of it."""

    questions: Mapping[str, KeptText]
    passages: Mapping[str, KeptText]
    calibration: Mapping[str, Sequence[KeptText]]
    weights: TokenWeights


@dataclass(frozen=True, slots=True)
class MeanVectors:
    """Mean token vectors (d,): of questions by language, as index/late.py takes them, and of passages."""

    questions: Mapping[str, torch.Tensor]
    passages: torch.Tensor

    def of_question(self, language: str) -> torch.Tensor:
        """The mean of a language's questions; that of passages for a language without."""
        return self.questions.get(language, self.passages)


def train(
    encoder: LayeredEncoder,
    pairs: Sequence[MinedPair],
    collection: Collection,
    late: LateConfig,
    options: TrainingOptions,
    *,
    listener: ProgressListener,
) -> list[EpochFigures]:
    """Train in place. The same arguments give the same weights on the same machine."""
    texts = read_texts(encoder, pairs, collection, late, listener)
    shuffling = random.Random(options.seed)  # noqa: S311 - an order that can be had again, no secret
    epochs = [
        epoch_batches(pairs, collection.sections, shuffling, size=options.batch_size, negatives=options.negatives)
        for _ in range(options.epochs)
    ]
    trainer = _Trainer(encoder, texts, options, steps=sum(len(batches) for batches in epochs))
    listener.start("training", trainer.steps)
    figures = []
    for batches in epochs:
        means = mean_vectors(encoder, texts, late)  # once an epoch: they move slowly
        taken = []
        for batch in batches:
            taken.append(trainer.step(batch, means))
            listener.advance(1)
        figures.append(EpochFigures(*np.mean(taken, axis=0).tolist()))
    listener.finish()
    return figures


class _Trainer:
    """Takes one step of AdamW a batch."""

    def __init__(self, encoder: LayeredEncoder, texts: TrainingTexts, options: TrainingOptions, *, steps: int) -> None:
        self.steps = steps
        self._encoder = encoder
        self._texts = texts
        self._options = options
        self._parameters = encoder.trained_parameters
        self._optimiser = torch.optim.AdamW(
            self._parameters, lr=options.learning_rate, weight_decay=options.weight_decay
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, self._rate)

    def step(self, batch: Batch, means: MeanVectors) -> tuple[float, float, float, float]:
        """Return the losses, both and each, and the share of questions whose passage came first; before the step."""
        options = self._options
        late, sentence = batch_scores(self._encoder, batch, self._texts, means)
        targets, excluded = _labels(batch, late.device)
        late_loss = contrastive_loss(late, targets, excluded, temperature=options.temperature)
        sentence_loss = contrastive_loss(sentence, targets, excluded, temperature=options.sentence_temperature)
        loss = late_loss + options.sentence_weight * sentence_loss
        if not torch.isfinite(loss):
            raise TuningRefused(
                "Training came to numbers that are none: the steps are too large.", hint="Lower --learning-rate."
            )
        self._optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self._parameters, _LONGEST_GRADIENT)
        self._optimiser.step()
        self._schedule.step()
        first = late.detach().masked_fill(excluded, -2.0).argmax(dim=1) == targets
        return loss.item(), late_loss.item(), sentence_loss.item(), first.float().mean().item()

    def _rate(self, step: int) -> float:
        """Share of the learning rate: up over the first tenth of the steps, then down in a line."""
        warm_up = max(1.0, _WARM_UP * self.steps)
        return min(1.0, (step + 1) / warm_up) * max(_LOWEST_RATE, 1 - step / self.steps)


def batch_scores(
    encoder: LayeredEncoder, batch: Batch, texts: TrainingTexts, means: MeanVectors
) -> tuple[torch.Tensor, torch.Tensor]:
    """Late interaction and cosine of every question with every passage of a batch, both (questions, passages)."""
    asked = [texts.questions[one.pair.question] for one in batch.pairs]
    questions = encoder.encode(asked)
    passages = encoder.encode([texts.passages[passage] for passage in batch.passages])
    language_means = torch.stack([means.of_question(_language(one.pair.question)) for one in batch.pairs])
    weights = texts.weights.weights([kept.text.own_ids for kept in asked], questions.own.cpu())
    late = maxsim(
        centred(questions.tokens, language_means[:, None, :]),
        weights.to(questions.tokens.device),
        centred(passages.tokens, means.passages),
        passages.own,
    )
    cosines = functional.normalize(questions.sentences, dim=-1) @ functional.normalize(passages.sentences, dim=-1).T
    return late, cosines


def _labels(batch: Batch, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each question's passage is, and which others are not to be its negatives."""
    place = {passage: position for position, passage in enumerate(batch.passages)}
    targets = torch.tensor([place[one.pair.passage] for one in batch.pairs])
    excluded = torch.tensor(
        [[passage in one.doubtful and passage != one.pair.passage for passage in batch.passages] for one in batch.pairs]
    )
    return targets.to(device), excluded.to(device)


def read_texts(
    encoder: LayeredEncoder,
    pairs: Sequence[MinedPair],
    collection: Collection,
    late: LateConfig,
    listener: ProgressListener,
) -> TrainingTexts:
    """Tokenize every text that training reads, and put it through the frozen layers once."""
    questions = list(dict.fromkeys(one.pair.question for one in pairs))
    used = {one.pair.passage for one in pairs} | {passage for one in pairs for passage in one.negatives}
    tokenized = {passage.id: encoder.passage(embedded_text(passage)) for passage in collection.passages}
    named = {identity: text for identity, text in tokenized.items() if identity in used}
    calibration = [
        (language, encoder.question(text)) for language, asked in CALIBRATION_QUESTIONS.items() for text in asked
    ]
    all_texts: list[TokenizedText] = [
        *(encoder.question(question) for question in questions),
        *named.values(),
        *(text for _, text in calibration),
    ]
    kept = encoder.keep(all_texts, listener)
    asked_again: dict[str, list[KeptText]] = {}
    for (language, _), text in zip(calibration, kept[len(questions) + len(named) :], strict=True):
        asked_again.setdefault(language, []).append(text)
    return TrainingTexts(
        questions=dict(zip(questions, kept[: len(questions)], strict=True)),
        passages=dict(zip(named, kept[len(questions) : len(questions) + len(named)], strict=True)),
        calibration=asked_again,
        weights=TokenWeights.of(
            (text.own_ids for text in tokenized.values()), vocabulary=encoder.vocabulary, power=late.idf_power
        ),
    )


@torch.no_grad()
def mean_vectors(encoder: LayeredEncoder, texts: TrainingTexts, late: LateConfig) -> MeanVectors:
    """Mean token vectors as the encoder is now: of the calibration questions, and of evenly spaced passages."""
    passages = list(texts.passages.values())
    spaced = passages[:: max(1, len(passages) // _PASSAGES_FOR_MEAN)]
    means = MeanVectors(
        questions={language: _mean(encoder, asked) for language, asked in texts.calibration.items()},
        passages=_mean(encoder, spaced),
    )
    if late.centre:
        return means
    return MeanVectors({}, torch.zeros_like(means.passages))


def _mean(encoder: LayeredEncoder, texts: Sequence[KeptText]) -> torch.Tensor:
    """Mean of all texts' own token vectors, each made length 1 first."""
    totals, count = [], 0
    for start in range(0, len(texts), _STATES_AT_ONCE):
        encoded = encoder.encode(texts[start : start + _STATES_AT_ONCE])
        totals.append(functional.normalize(encoded.tokens, dim=-1)[encoded.own].sum(dim=0))
        count += int(encoded.own.sum())
    return torch.stack(totals).sum(dim=0) / max(1, count)


def _language(question: str) -> str:
    return language_of(question).split("-")[0]
