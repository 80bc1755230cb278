"""A real causal model of random weights, a token a character, with a chat template: made offline in a moment."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from index.weights import ResolvedModel

TURN_BEGINS, TURN_ENDS = "<|im_start|>", "<|im_end|>"
SPECIAL = ["<pad>", "<unk>", TURN_BEGINS, TURN_ENDS]
LETTERS = "".join(map(chr, range(32, 127))) + "\n词频会饱和你根据给出的笔记回答问题。是否"
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_language_model(folder: Path, *, template: str | None = TEMPLATE, seed: int = 0) -> ResolvedModel:
    """Write the model; it never ends a text by itself, so it always writes as much as it may."""
    torch.manual_seed(seed)
    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *dict.fromkeys(LETTERS)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))  # noqa: S106 - a token of text, no password
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("[\\s\\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",  # noqa: S106 - tokens of text, no passwords
        unk_token="<unk>",  # noqa: S106
        additional_special_tokens=[TURN_BEGINS, TURN_ENDS],
    )
    fast.chat_template = template
    fast.save_pretrained(folder)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=4096,
            initializer_range=0.5,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=0,
        )
    )
    model.save_pretrained(folder)
    return ResolvedModel("tiny", str(folder), "0", "none", "language-model")
