"""The way of one tuning: collect pairs, split, mine negatives, train, try, and publish only what is better."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.gold import Gold, GoldInvalid, check_quotes
from eval.indexes import Indexes, NotesSource
from eval.tuning.drafted_pairs import drafted_pairs
from eval.tuning.encoder_folder import building, free_target, load_trainable, publish_encoder, write_encoder
from eval.tuning.layers import LayeredEncoder
from eval.tuning.negatives import MinedPair, mine_negatives
from eval.tuning.pair_files import read_pairs
from eval.tuning.pairs import Collection, TuningRefused, pairs_of_notes, without_duplicates
from eval.tuning.split import Split, split_by_gold, split_by_section
from eval.tuning.training import EpochFigures, TrainingOptions, train
from eval.tuning.trial import BASE_SYSTEM, PassagesSource, Trial, try_on_gold, try_on_pairs
from index import weights
from index.encoder import choose_device
from index.onnx_module import INT8_FILE
from index.progress import ProgressListener
from index.schema import Chunk
from index.snapshot import CHUNKS, SNAPSHOTS, current_name, read_chunks, verified_manifest
from index.weights import ResolvedModel
from ingest.reader import read_notes
from service.language_model import open_language_model
from service.settings import Settings

LAYERS_ON_A_CPU = 2


@dataclass(frozen=True, slots=True)
class TuningRequest:
    """What is asked for. ``layers`` None: two on a CPU, all on a GPU. ``generate`` is how many to draft."""

    options: TrainingOptions
    pair_files: Sequence[Path] = ()
    gold: Gold | None = None
    out: Path | None = None
    generate: int = 0
    layers: int | None = None
    held_out: float = 0.2
    max_p: float = 0.05


@dataclass(frozen=True, slots=True)
class PreparedPairs:
    """The passages with their pairs, and how these are split."""

    collection: Collection
    split: Split

    def as_json(self) -> dict[str, Any]:
        """Counts, JSON-ready."""
        return {
            "passages": len(self.collection.passages),
            "origins": self.collection.origins,
            "training": len(self.split.training),
            "held_out": len(self.split.held_out),
        }


@dataclass(frozen=True, slots=True)
class TuningReport:
    """What came of it; ``folder`` is the published encoder, None where it was not better."""

    base: ResolvedModel
    pairs: PreparedPairs
    negatives: int
    layers: int
    device: str
    options: TrainingOptions
    epochs: Sequence[EpochFigures]
    trial: Trial
    max_p: float
    seconds: float
    folder: Path | None

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"folder": None if self.folder is None else str(self.folder), "seconds": self.seconds, **self.record()}

    def record(self) -> dict[str, Any]:
        """What is kept in the encoder's folder: nothing of when and how fast, so that equal runs give equal bytes."""
        return {
            "base": {"model": self.base.name, "fingerprint": self.base.fingerprint, "licence": self.base.licence},
            "pairs": self.pairs.as_json(),
            "hard_negatives": self.negatives,
            "trained_layers": self.layers,
            "device": self.device,
            "options": self.options.as_json(),
            "epochs": [
                {"loss": one.loss, "late": one.late_loss, "sentence": one.sentence_loss, "first": one.first}
                for one in self.epochs
            ],
            "trial": self.trial.as_json(),
            "max_p": self.max_p,
        }


def prepare_pairs(settings: Settings, request: TuningRequest, listener: ProgressListener) -> PreparedPairs:
    """Collect the pairs of the published notes and of files, and split them.

    Raises IndexMissing, IndexCorrupt, GoldInvalid, PairsInvalid, TuningRefused where there are too few; with
    ``generate`` also what opening the language model raises.
    """
    chunks = _published_chunks(settings)
    more = [read_pairs(path) for path in request.pair_files]
    if request.generate:
        more.append(_drafted(chunks, settings, request, listener))
    collection = without_duplicates(pairs_of_notes(chunks, more), settings.ingest.duplicates)
    if request.gold is None:
        split = split_by_section(collection, share=request.held_out, seed=request.options.seed)
    else:
        split = split_by_gold(collection, chunks, request.gold)
    return PreparedPairs(collection, split)


def tune(settings: Settings, request: TuningRequest, pairs: PreparedPairs, listener: ProgressListener) -> TuningReport:
    """Train on the prepared pairs, try on the questions held out, and publish the encoder if it is better.

    Raises TuningRefused, GoldInvalid, StorageFailed, WeightsMissing, WeightsCorrupt and what indexing raises. However
    it ends, nothing is left but a whole folder or none.
    """
    started = time.monotonic()
    base = weights.resolve(settings.index.encoder.model, cache=weights.cache_folder(settings.index.models_cache))
    target = free_target(settings.data, request.out, settings.index.encoder)
    asked = _checked_gold(settings, request.gold)
    with building(target) as folder, tempfile.TemporaryDirectory() as temporary:
        source = PassagesSource(pairs.collection.passages, Path(temporary))
        with Indexes(source, settings, listener) as indexes:
            mined = _mined(pairs, indexes, settings, listener)
            trained = _trained(base, mined, pairs, settings, request, folder=folder, listener=listener)
            trial = (
                try_on_pairs(pairs.split.held_out, folder, indexes, settings, listener)
                if asked is None
                else _try_on_gold(asked, folder, settings, listener)
            )
        report = TuningReport(
            base=base,
            pairs=pairs,
            negatives=sum(len(one.negatives) for one in mined),
            layers=trained.layers,
            device=trained.device,
            options=request.options,
            epochs=trained.epochs,
            trial=trial,
            max_p=request.max_p,
            seconds=round(time.monotonic() - started, 1),
            folder=target if trial.is_better(max_p=request.max_p) else None,
        )
        if report.folder is not None:
            publish_encoder(folder, report.folder, report.record())
        return report


@dataclass(frozen=True, slots=True)
class _Trained:
    layers: int
    device: str
    epochs: Sequence[EpochFigures]


def _trained(
    base: ResolvedModel,
    mined: Sequence[MinedPair],
    pairs: PreparedPairs,
    settings: Settings,
    request: TuningRequest,
    *,
    folder: Path,
    listener: ProgressListener,
) -> _Trained:
    """Train the base on the mined pairs and write what it became into ``folder``."""
    device = choose_device(settings.index.encoder.device)
    model = load_trainable(base, device=device)
    layers = request.layers or (LAYERS_ON_A_CPU if device == "cpu" else None)
    encoder = LayeredEncoder(model, settings.index.encoder, trained_layers=layers)
    epochs = train(encoder, mined, pairs.collection, settings.index.late, request.options, listener=listener)
    listener.start("writing the encoder", 1)
    write_encoder(model, folder, quantised=(Path(base.location) / INT8_FILE).is_file())
    listener.advance(1)
    listener.finish()
    return _Trained(encoder.trained_layers, str(encoder.device), epochs)


def _published_chunks(settings: Settings) -> list[Chunk]:
    name = current_name(settings.data)
    verified_manifest(settings.data, name)
    return read_chunks(settings.data / SNAPSHOTS / name / CHUNKS)


def _drafted(
    chunks: Sequence[Chunk], settings: Settings, request: TuningRequest, listener: ProgressListener
) -> Collection:
    model = open_language_model(settings)
    if model is None:
        raise TuningRefused(
            "No language model is configured: answering.model is `none`.",
            hint="Configure one, or leave --generate out.",
        )
    manifest = verified_manifest(settings.data, current_name(settings.data))
    notes = read_notes([Path(source) for source in manifest.sources], settings.ingest.reader).notes
    return drafted_pairs(chunks, notes, model, count=request.generate, seed=request.options.seed, listener=listener)


@dataclass(frozen=True, slots=True)
class _CheckedGold:
    gold: Gold
    notes: NotesSource


def _checked_gold(settings: Settings, gold: Gold | None) -> _CheckedGold | None:
    """A gold set with the notes that it is asked of, checked before anything is trained."""
    if gold is None:
        return None
    if not gold.answerable:
        raise GoldInvalid(f"{gold.path}: no question is answerable.", hint="Retrieval is measured on answerable ones.")
    source = NotesSource(settings, ())
    check_quotes(gold, source.notes)
    return _CheckedGold(gold, source)


def _mined(pairs: PreparedPairs, indexes: Indexes, settings: Settings, listener: ProgressListener) -> list[MinedPair]:
    index = indexes.prepare(BASE_SYSTEM.applied_to(settings))
    return mine_negatives(pairs.split.training, index, BASE_SYSTEM, hidden=pairs.split.hidden, listener=listener)


def _try_on_gold(asked: _CheckedGold, folder: Path, settings: Settings, listener: ProgressListener) -> Trial:
    with Indexes(asked.notes, settings, listener) as indexes:
        return try_on_gold(asked.gold, folder, indexes, settings, listener)
