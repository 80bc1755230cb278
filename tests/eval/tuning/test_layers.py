"""The encoder in training is the encoder that searches, and what is frozen stays as it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from eval.tuning.layers import LayeredEncoder
from eval.tuning.pairs import TuningRefused
from index.config import EncoderConfig
from index.encoder import open_encoder
from index.progress import Unheard
from index.vectors import unit
from tests.eval.tuning.two_languages import LAYERS, small_encoder
from tests.index.tiny_encoder import tiny_encoder

TEXTS = ["river stone", "河之石乎者也", "copper", "窗矣焉哉兮之乎镜"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_encoder(tmp_path_factory.mktemp("encoder"))


def layered(folder: Path, trained: int | None, **config: str) -> LayeredEncoder:
    settings = EncoderConfig.model_validate({"model": str(folder), "device": "cpu", **config})
    return LayeredEncoder(SentenceTransformer(str(folder), device="cpu"), settings, trained_layers=trained)


@pytest.mark.parametrize("trained", [1, 2, None])
@pytest.mark.parametrize("kind", ["bert", "decoder"])
def test_vectors_are_those_of_the_searching_encoder(
    folder: Path, tmp_path: Path, trained: int | None, kind: str
) -> None:
    used = folder if kind == "bert" else tiny_encoder(tmp_path, prompts={"query": "query: "}, decoder=True)
    texts = TEXTS if kind == "bert" else ["what is attention", "注意力 a b c d e"]
    searching = open_encoder(EncoderConfig(model=str(used), device="cpu"), cache=folder)
    encoder = layered(used, trained)
    encoded = encoder.encode(encoder.keep([encoder.passage(text) for text in texts], Unheard()))
    for row, expected in enumerate(searching.encode_passages(texts)):
        tokens = encoded.tokens[row][encoded.own[row]].detach().numpy()
        np.testing.assert_allclose(unit(tokens), expected.token_vectors, atol=5e-3)  # states are kept in 16 bits
        np.testing.assert_allclose(encoded.sentences[row].detach().numpy(), expected.vector, atol=5e-3)
        assert encoder.passage(texts[row]).own_ids.tolist() == expected.token_ids.tolist()
    question = searching.encode_query(texts[0])
    assert encoder.question(texts[0]).own_ids.tolist() == question.token_ids.tolist()


def test_only_the_last_layers_are_trained(folder: Path) -> None:
    model = SentenceTransformer(str(folder), device="cpu")
    encoder = LayeredEncoder(model, EncoderConfig(model=str(folder)), trained_layers=2)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in model.named_parameters() if ".layer.1." in name or ".layer.2." in name}
    assert encoder.trained_layers == 2
    everything = layered(folder, None)
    assert everything.trained_layers == LAYERS
    assert sum(p.numel() for p in everything.trained_parameters) < sum(p.numel() for p in model.parameters())


def test_the_model_is_whole_again_after_each_batch(folder: Path) -> None:
    model = SentenceTransformer(str(folder), device="cpu")
    names = list(model.state_dict())
    encoder = LayeredEncoder(model, EncoderConfig(model=str(folder)), trained_layers=1)
    kept = encoder.keep([encoder.passage(TEXTS[1])], Unheard())
    loss = encoder.encode(kept).tokens.sum()
    assert list(model.state_dict()) == names
    torch.autograd.backward(loss)
    assert {name for name, one in model.named_parameters() if one.grad is not None} <= {
        name for name in names if f".layer.{LAYERS - 1}." in name
    }


def test_configured_prefixes_win_over_the_folder_s(folder: Path) -> None:
    encoder = layered(folder, 1, query_prefix="", passage_prefix="river ")
    assert len(encoder.question("stone").ids) == 3, "[CLS] stone [SEP]"
    assert encoder.passage("石").own_ids.tolist() == encoder.question("石").own_ids.tolist()


def test_a_model_without_a_list_of_layers_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    model = SentenceTransformer(str(copy), device="cpu")
    model[0].auto_model.config.num_hidden_layers = 7
    with pytest.raises(TuningRefused, match="layers of the encoder"):
        LayeredEncoder(model, EncoderConfig(model=str(copy)), trained_layers=1)
