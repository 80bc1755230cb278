from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from index.errors import WeightsCorrupt
from index.gguf_conversion import convert_gguf
from tests.index.made_up_weights import write_gguf


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source") / "model.gguf"
    write_gguf(source)
    folder = tmp_path_factory.mktemp("model")
    convert_gguf(source, folder)
    return folder


def test_the_folder_loads_without_gguf_in_bf16(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    assert model.dtype == torch.bfloat16
    assert not hasattr(model.config, "quantization_config")
    assert (folder / "model.safetensors").is_file()


def test_the_chat_template_comes_along(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    messages = [{"role": "user", "content": "abc"}]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == "abc"


def test_decoding_is_greedy_and_stops_at_every_end_token(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    ends = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])
    assert model.generation_config.eos_token_id == sorted(ends)
    assert model.generation_config.do_sample is False
    output = model.generate(**tokenizer("abc", return_tensors="pt"), max_new_tokens=4)  # warnings are errors
    assert output.shape[1] > 3


def test_a_file_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    write_gguf(tmp_path / "model.gguf", chat_template=None)
    with pytest.raises(WeightsCorrupt, match="no chat template"):
        convert_gguf(tmp_path / "model.gguf", tmp_path)


@pytest.mark.parametrize("keep", [0, 3, 100, 2000, -1000])
def test_a_damaged_file_is_refused(tmp_path: Path, keep: int) -> None:
    source = tmp_path / "model.gguf"
    write_gguf(source)
    source.write_bytes(source.read_bytes()[:keep])
    with pytest.raises(WeightsCorrupt, match="cannot be read"):
        convert_gguf(source, tmp_path)
