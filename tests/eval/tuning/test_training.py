"""Training: the loss falls, the seed decides, and frozen weights stay byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer

from eval.tuning.layers import LayeredEncoder
from eval.tuning.negatives import MinedPair
from eval.tuning.pair_files import read_pairs
from eval.tuning.pairs import Collection, TuningRefused
from eval.tuning.training import EpochFigures, TrainingOptions, train
from index.config import EncoderConfig, LateConfig
from index.progress import Unheard
from tests.eval.tuning.two_languages import LAYERS, small_encoder, write_pairs

OPTIONS = TrainingOptions(epochs=3, batch_size=12, learning_rate=2e-3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return read_pairs(write_pairs(tmp_path_factory.mktemp("pairs") / "pairs.jsonl", passages=24))


def trained(
    folder: Path, collection: Collection, options: TrainingOptions = OPTIONS, *, layers: int | None = 2
) -> tuple[dict[str, torch.Tensor], list[EpochFigures]]:
    model = SentenceTransformer(str(folder), device="cpu")
    encoder = LayeredEncoder(model, EncoderConfig(model=str(folder), device="cpu"), trained_layers=layers)
    ids = [passage.id for passage in collection.passages]
    pairs = [
        MinedPair(pair, tuple(one for one in ids[:8] if one != pair.passage), pair.answers) for pair in collection.pairs
    ]
    figures = train(encoder, pairs, collection, LateConfig(), options, listener=Unheard())
    return model.state_dict(), figures


def test_the_loss_falls_and_the_right_passage_comes_first_more_often(folder: Path, collection: Collection) -> None:
    _, figures = trained(folder, collection)
    assert len(figures) == OPTIONS.epochs
    assert figures[-1].loss < 0.8 * figures[0].loss
    assert figures[-1].late_loss < figures[0].late_loss
    assert figures[-1].sentence_loss < figures[0].sentence_loss
    assert figures[-1].first > figures[0].first


@pytest.mark.parametrize("layers", [1, 2, None])
def test_frozen_layers_and_embeddings_stay_byte_equal_and_the_others_move(
    folder: Path, collection: Collection, layers: int | None
) -> None:
    before = SentenceTransformer(str(folder), device="cpu").state_dict()
    after, _ = trained(folder, collection, TrainingOptions(epochs=1, batch_size=12), layers=layers)
    moving = {f".layer.{number}." for number in range(LAYERS - (layers or LAYERS), LAYERS)}
    assert before.keys() == after.keys()
    for name, weights in before.items():
        moves = any(part in name for part in moving)
        assert torch.equal(weights, after[name]) is not moves, name


def test_steps_that_are_too_large_are_refused(folder: Path, collection: Collection) -> None:
    with pytest.raises(TuningRefused, match="too large"):
        trained(folder, collection, TrainingOptions(epochs=2, batch_size=12, learning_rate=1e30))


def test_the_same_seed_gives_the_same_weights_and_another_does_not(folder: Path, collection: Collection) -> None:
    short = TrainingOptions(epochs=1, batch_size=12)
    first, again = trained(folder, collection, short)[0], trained(folder, collection, short)[0]
    assert all(torch.equal(weights, again[name]) for name, weights in first.items())
    other = trained(folder, collection, TrainingOptions(epochs=1, batch_size=12, seed=1))[0]
    assert not all(torch.equal(weights, other[name]) for name, weights in first.items())
