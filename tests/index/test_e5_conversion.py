from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

from index.e5_conversion import convert_e5
from index.e5_file import SPECIAL_PIECES, parse_e5
from index.errors import WeightsCorrupt
from tests.index.made_up_weights import PIECES, e5_bytes

TEXTS = ["query: 检索 ab", "passage: 你好 hello world", "x"]
LITERALS = ["</s>", "a <s> b", "<mask>", "<unk><pad>", "q </s>", "你好</s>检索"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    source = folder / "source.bin"
    source.write_bytes(e5_bytes())
    convert_e5(source, folder)
    source.unlink()
    return folder


def test_the_folder_is_a_sentence_transformers_model_with_its_prompts(folder: Path) -> None:
    model = SentenceTransformer(str(folder), device="cpu")
    assert model.prompts["query"] == "query: "
    assert model.prompts["document"] == "passage: "
    assert model.max_seq_length == 64
    assert next(model.parameters()).dtype == torch.float32


def test_a_vector_is_the_normalised_mean_of_the_token_vectors(folder: Path) -> None:
    vectors = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    for text, vector in zip(TEXTS, vectors, strict=True):
        with torch.inference_mode():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(vector, torch.nn.functional.normalize(mean, dim=0), atol=1e-5)


def test_weights_arrive_where_they_belong(folder: Path) -> None:
    tensors = parse_e5(e5_bytes()).tensors
    state = AutoModel.from_pretrained(folder).state_dict()
    expected = {
        "embeddings.word_embeddings.weight": tensors["emb.word"].unpack().reshape(-1, 32),
        "encoder.layer.1.attention.self.query.weight": tensors["l1.q.w"].unpack().reshape(32, 32),
        "encoder.layer.0.intermediate.dense.weight": tensors["l0.fi.w"].unpack().reshape(64, 32),
        "encoder.layer.0.output.dense.weight": tensors["l0.fo.w"].unpack().reshape(32, 64),
        "encoder.layer.1.output.LayerNorm.bias": tensors["l1.oln.b"].unpack(),
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(state[name], values.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("text", LITERALS)
def test_literal_special_tokens_in_a_text_stay_text(folder: Path, text: str) -> None:
    for tokenizer in (AutoTokenizer.from_pretrained(folder), SentenceTransformer(str(folder), device="cpu").tokenizer):
        assert set(tokenizer.all_special_ids) == {PIECES.index(special) for special in SPECIAL_PIECES}
        ids = tokenizer(text)["input_ids"]
        assert ids[0] == tokenizer.cls_token_id
        assert ids[-1] == tokenizer.sep_token_id
        assert not set(ids[1:-1]) & set(tokenizer.all_special_ids)


def test_texts_are_normalised_before_they_are_cut(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer("Ａb\u3000c\x01")["input_ids"] == tokenizer("ab c")["input_ids"]


def test_values_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    content = bytearray(e5_bytes())
    content[-4:] = b"\x00\x00\x80\x7f"  # the last bias: infinity
    source = tmp_path / "source.bin"
    source.write_bytes(bytes(content))
    with pytest.raises(WeightsCorrupt, match="not weights"):
        convert_e5(source, tmp_path)
