"""The encoder on a tiny real model: what of a text gets a vector, where it stands, and what changes the fingerprint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from index import encoder as encoder_module
from index.config import EncoderConfig
from index.encoder import SentenceEncoder, choose_backend, choose_device, open_encoder
from index.errors import ConfigInvalid, WeightsCorrupt, WeightsMissing
from index.onnx_export import export_int8
from index.onnx_module import INT8_FILE, onnx_sentence_transformer
from tests.index.tiny_encoder import HIDDEN, SPECIAL, WORDS, tiny_encoder

PROMPTS = {"query": "query: ", "document": "passage: "}
SENTENCE = "What is attention"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("tiny"), prompts=PROMPTS)


@pytest.fixture(scope="module")
def exported(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = shutil.copytree(folder, tmp_path_factory.mktemp("exported") / "model")
    export_int8(copy)
    return copy


def opened(folder: Path, **settings: object) -> SentenceEncoder:
    config = EncoderConfig.model_validate({"model": str(folder), "device": "cpu", **settings})
    return open_encoder(config, cache=folder / "nothing")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> SentenceEncoder:
    return opened(folder)


def words_of(ids: np.ndarray) -> list[str]:
    return [(SPECIAL + WORDS)[number] for number in ids]


def test_vectors_have_length_one_and_the_right_types(encoder: SentenceEncoder) -> None:
    (encoding,) = encoder.encode_passages([SENTENCE])
    assert encoding.vector.shape == (HIDDEN,) == (encoder.dimension,)
    assert encoding.token_vectors.shape == (3, HIDDEN)
    assert np.linalg.norm(encoding.vector) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(np.linalg.norm(encoding.token_vectors, axis=1), 1, atol=1e-5)
    types = [array.dtype.name for array in (encoding.vector, encoding.token_vectors, encoding.token_ids)]
    assert types == ["float32", "float32", "int32"]
    assert (encoder.backend, encoder.device) == ("torch", "cpu")


def test_prefix_and_special_tokens_have_no_token_vectors(encoder: SentenceEncoder) -> None:
    (passage,) = encoder.encode_passages([SENTENCE])
    assert (
        words_of(passage.token_ids) == words_of(encoder.encode_query(SENTENCE).token_ids) == ["what", "is", "attention"]
    )
    for empty in ("", "   "):
        nothing = encoder.encode_query(empty)
        assert nothing.token_vectors.shape == (0, HIDDEN)
        assert np.linalg.norm(nothing.vector) == pytest.approx(1, abs=1e-5)


def test_the_vectors_are_those_of_the_model_with_the_prefix_before_the_text(
    encoder: SentenceEncoder, folder: Path
) -> None:
    model = SentenceTransformer(str(folder), device="cpu")
    (passage,) = encoder.encode_passages([SENTENCE])
    np.testing.assert_allclose(passage.vector, model.encode(f"passage: {SENTENCE}"), atol=1e-5)
    np.testing.assert_allclose(encoder.encode_query(SENTENCE).vector, model.encode(f"query: {SENTENCE}"), atol=1e-5)
    tokens = model.encode(f"passage: {SENTENCE}", output_value="token_embeddings").numpy()
    expected = tokens[3:-1]  # [CLS] passage : … [SEP]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(passage.token_vectors, expected, atol=1e-5)


def test_spans_point_to_the_characters_of_each_token_vector(encoder: SentenceEncoder) -> None:
    text = "  Ｗhat is 注意力？ the   model"
    (encoding,) = encoder.encode_passages([text])
    spans = encoder.passage_spans(text)
    assert [text[start:end] for start, end in spans] == ["Ｗhat", "is", "注", "意", "力", "？", "the", "model"]
    assert len(spans) == len(encoding.token_ids)
    assert encoder.passage_spans("") == []


def test_long_texts_are_cut_off_and_counted_whole(folder: Path) -> None:
    encoder = opened(folder, max_tokens=16)
    text = "a b c d e f g h " * 5
    (encoding,) = encoder.encode_passages([text])
    assert encoder.count_tokens(text) == 40
    assert len(encoding.token_ids) == len(encoder.passage_spans(text)) == 16 - len(["[CLS]", "passage", ":", "[SEP]"])
    assert encoder.count_tokens(text) == 40  # truncation does not stick to the tokenizer
    assert encoder.count_tokens("") == 0
    # More than the model has positions for cannot be asked of it.
    (longest,) = opened(folder, max_tokens=512).encode_passages(["a " * 100])
    assert len(longest.token_ids) == 64 - 4


@pytest.mark.parametrize("decoder", [False, True], ids=["padded on the right", "padded on the left"])
def test_a_text_among_others_gets_the_vectors_it_gets_alone(tmp_path: Path, *, decoder: bool) -> None:
    encoder = opened(tiny_encoder(tmp_path, prompts=PROMPTS, decoder=decoder), batch_size=4)
    texts = ["a", "the model reads a b c d e f", "注 意 力", "", "what is the model", "b"]
    together = list(encoder.encode_passages(texts))
    assert len(together) == len(texts)
    for text, among in zip(texts, together, strict=True):
        (alone,) = encoder.encode_passages([text])
        assert among.token_ids.tolist() == alone.token_ids.tolist()
        np.testing.assert_allclose(among.vector, alone.vector, atol=1e-5)
        np.testing.assert_allclose(among.token_vectors, alone.token_vectors, atol=1e-5)


def test_a_model_without_prompts_gets_no_prefix(tmp_path: Path) -> None:
    encoder = opened(tiny_encoder(tmp_path))
    (passage,) = encoder.encode_passages([SENTENCE])
    assert passage.vector.tolist() == encoder.encode_query(SENTENCE).vector.tolist()


def test_passage_prompts_are_found_under_every_usual_name(tmp_path: Path) -> None:
    named = opened(tiny_encoder(tmp_path, prompts={"query": "query: ", "passage": "passage: "}))
    configured = opened(tmp_path / "model", passage_prefix="passage: ", query_prefix="query: ")
    for one, other in [
        (next(named.encode_passages([SENTENCE])), next(configured.encode_passages([SENTENCE]))),
        (named.encode_query(SENTENCE), configured.encode_query(SENTENCE)),
    ]:
        assert one.vector.tolist() == other.vector.tolist()


def test_a_default_prompt_of_the_folder_is_not_put_before_our_prefix(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "model")
    path = copy / "config_sentence_transformers.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "default_prompt_name": "query"}))
    ours, without = opened(copy).encode_query(SENTENCE), opened(folder).encode_query(SENTENCE)
    assert ours.vector.tolist() == without.vector.tolist()


def test_whatever_may_change_a_vector_changes_the_fingerprint(folder: Path, tmp_path: Path) -> None:
    base = opened(folder).fingerprint
    assert opened(folder).fingerprint == opened(folder, batch_size=3, threads=1).fingerprint == base
    others = [
        opened(folder, query_prefix="q: "),
        opened(folder, passage_prefix=""),
        opened(folder, max_tokens=32),
        opened(tiny_encoder(tmp_path, prompts={**PROMPTS, "query": "question: "})),
    ]
    assert len({base, *(other.fingerprint for other in others)}) == 5


@pytest.mark.slow
def test_the_quantised_copy_agrees_with_torch(exported: Path) -> None:
    exact, quantised = opened(exported, backend="torch"), opened(exported)
    assert (quantised.backend, quantised.device, quantised.dimension) == ("onnx-int8", "cpu", HIDDEN)
    assert quantised.fingerprint != exact.fingerprint
    for text in (SENTENCE, "the model reads 注意力", "什么是检索"):
        (one,), (other,) = exact.encode_passages([text]), quantised.encode_passages([text])
        assert one.token_ids.tolist() == other.token_ids.tolist()
        assert one.vector @ other.vector > 0.98
        assert (one.token_vectors * other.token_vectors).sum(axis=1).min() > 0.95
        assert exact.passage_spans(text) == quantised.passage_spans(text)
        assert exact.count_tokens(text) == quantised.count_tokens(text)


@pytest.mark.slow
def test_the_quantised_copy_gives_a_text_the_same_bytes_in_any_company(exported: Path) -> None:
    encoder = opened(exported, batch_size=8)
    texts = ["a", "the model reads a b c d e f g h", "注 意 力", "what is the model"]
    for text, among in zip(texts, encoder.encode_passages(texts), strict=True):
        (alone,) = encoder.encode_passages([text])
        assert among.vector.tobytes() == alone.vector.tobytes()
        assert among.token_vectors.tobytes() == alone.token_vectors.tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["passages", "queries"])
def test_many_texts_get_by_many_workers_what_each_gets_alone(
    exported: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr("index.encoder._FEWEST_FOR_WORKERS", 2)
    texts = ["a", "the model reads a b c d e f g h", "", "注 意 力", "what is the model"] * 20
    alone, together = opened(exported, threads=1), opened(exported, threads=3)
    encodings = [list(getattr(encoder, f"encode_{what}")(texts)) for encoder in (alone, together)]
    for one, other in zip(*encodings, strict=True):
        assert one.vector.tobytes() == other.vector.tobytes()
        assert one.token_vectors.tobytes() == other.token_vectors.tobytes()
        assert one.token_ids.tolist() == other.token_ids.tolist()


def test_devices() -> None:
    assert choose_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu") == "cpu"


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in ("cuda", "cuda:1"):
        with pytest.raises(ConfigInvalid, match=device) as refusal:
            choose_device(device)
        assert "'auto'" in refusal.value.hint
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (choose_device("auto"), choose_device("cuda:1")) == ("cuda", "cuda:1")


def test_backends(folder: Path, exported: Path) -> None:
    auto = EncoderConfig()
    assert choose_backend(auto, device="cpu", folder=exported) == "onnx-int8"
    assert choose_backend(auto, device="cuda", folder=exported) == "torch"
    assert choose_backend(auto, device="cpu", folder=folder) == "torch"
    with pytest.raises(ConfigInvalid, match="no quantised ONNX copy"):
        choose_backend(EncoderConfig(backend="onnx-int8"), device="cpu", folder=folder)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing):
        opened(tmp_path)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "modules.json"])
def test_a_damaged_model_is_refused_with_a_remedy(folder: Path, tmp_path: Path, file: str) -> None:
    copy = shutil.copytree(folder, tmp_path / "model")
    (copy / file).write_bytes(b"{")
    with pytest.raises(WeightsCorrupt, match="cannot be loaded") as refusal:
        opened(copy)
    assert refusal.value.hint


def test_a_hub_that_cannot_be_reached_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("We couldn't connect to the hub")

    monkeypatch.setattr(encoder_module, "SentenceTransformer", refuse)
    with pytest.raises(WeightsCorrupt, match="somebody/encoder") as refusal:
        open_encoder(EncoderConfig(model="somebody/encoder", device="cpu"), cache=tmp_path)
    assert "hub" in refusal.value.hint


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (INT8_FILE, b"no graph"),
        (Path("modules.json"), b"{"),
        (Path("modules.json"), b'[{"type": "a.Transformer", "path": ""}, {"type": "evil.Module", "path": "1"}]'),
        (Path("modules.json"), b'[{"type": "a.Transformer", "path": ""}, {"type": "a.Pooling", "path": "9_Gone"}]'),
        (Path("config_sentence_transformers.json"), b""),
        (Path("1_Pooling/config.json"), b"{"),
        (Path("tokenizer.json"), b"{"),
    ],
)
def test_a_damaged_folder_behind_onnx_is_refused_with_a_remedy(
    exported: Path, tmp_path: Path, file: Path, content: bytes
) -> None:
    copy = shutil.copytree(exported, tmp_path / "model")
    (copy / file).write_bytes(content)
    with pytest.raises(WeightsCorrupt) as refusal:
        onnx_sentence_transformer(copy, threads=1)
    assert refusal.value.hint


@pytest.mark.slow
def test_the_quantised_copy_is_never_written_back(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="cannot be saved"):
        onnx_sentence_transformer(exported, threads=1).save_pretrained(str(tmp_path / "copy"))
