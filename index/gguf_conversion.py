"""A GGUF language model -> a transformers folder: bf16 safetensors, tokenizer with its chat template, plain config.

transformers reads GGUF itself, but unpacks it anew at every load; saved once, it loads in seconds.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import transformers
from transformers import modeling_gguf_pytorch_utils

from index.errors import WeightsCorrupt


def convert_gguf(source: Path, folder: Path) -> None:
    """Write the model in the GGUF file ``source`` to ``folder`` (must exist).

    Every weight is unpacked to bf16. Takes minutes, most of them for reading the vocabulary in Python, and about
    six bytes of memory a weight. Raises ``WeightsCorrupt`` if the file is no readable GGUF with a chat template.
    """
    with _without_progress_bars():
        tokenizer, model = _read(source)
        if not tokenizer.chat_template:
            raise _corrupt("it has no chat template")
        model.generation_config = _greedy(model, tokenizer)
        model.save_pretrained(str(folder))
        tokenizer.save_pretrained(str(folder))


def _read(source: Path) -> tuple[transformers.PreTrainedTokenizerBase, transformers.PreTrainedModel]:
    folder, name = str(source.parent), source.name
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=name, local_files_only=True)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder,
            gguf_file=name,
            dtype=torch.bfloat16,
            quantization_config=transformers.GgufConfig(dequantize=True),
            local_files_only=True,
        )
    except Exception as error:  # on damaged files tokenizers raises plain Exception, gguf nearly anything
        raise _corrupt(f"{type(error).__name__}: {error}") from error
    return tokenizer, model


def _greedy(
    model: transformers.PreTrainedModel, tokenizer: transformers.PreTrainedTokenizerBase
) -> transformers.GenerationConfig:
    """Decode greedily by default and stop at every token that ends a turn or a text (which padding does too)."""
    named = model.config.eos_token_id
    ends = {*(named if isinstance(named, list) else [named]), tokenizer.eos_token_id, tokenizer.pad_token_id} - {None}
    return transformers.GenerationConfig(
        do_sample=False,
        bos_token_id=model.config.bos_token_id,
        eos_token_id=sorted(ends),
        pad_token_id=tokenizer.pad_token_id,
    )


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    shown = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    # The GGUF reader's bar does not heed that switch, and would be drawn across the caller's own.
    bar = modeling_gguf_pytorch_utils.tqdm
    modeling_gguf_pytorch_utils.tqdm = functools.partial(bar, disable=True)
    try:
        yield
    finally:
        modeling_gguf_pytorch_utils.tqdm = bar
        if shown:
            transformers.utils.logging.enable_progress_bar()


def _corrupt(reason: str) -> WeightsCorrupt:
    return WeightsCorrupt(
        f"the language model's weight file cannot be read: {reason}",
        hint="run `asknotes models --fetch` to get it again",
    )
