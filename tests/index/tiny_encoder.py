"""A real sentence-transformers model of random weights and a few words, made offline in a moment."""

from __future__ import annotations

from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, Qwen2Config, Qwen2Model

WORDS = ["query", "passage", ":", "what", "is", "attention", "the", "model", "reads", *"abcdefgh注意力什么是检索"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
HIDDEN = 32


def tiny_encoder(folder: Path, *, prompts: dict[str, str] | None = None, decoder: bool = False) -> Path:
    """Write the model: word tokens, 32 dimensions, 64 positions, mean pooling.

    A BERT or, as newer embedding models are, a ``decoder`` with rotary positions that is padded on the left.
    """
    torch.manual_seed(0)
    parts = folder / "parts"
    sizes = {
        "vocab_size": len(SPECIAL) + len(WORDS),
        "hidden_size": HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "initializer_range": 0.3,
    }
    model = Qwen2Model(Qwen2Config(**sizes, num_key_value_heads=2)) if decoder else BertModel(BertConfig(**sizes))
    model.save_pretrained(parts)
    _tokenizer("left" if decoder else "right").save_pretrained(parts)
    modules = [Transformer(str(parts)), Pooling(HIDDEN, pooling_mode="mean"), Normalize()]
    SentenceTransformer(modules=modules, prompts=prompts, device="cpu").save_pretrained(str(folder / "model"))
    return folder / "model"


def _tokenizer(padding_side: str) -> PreTrainedTokenizerFast:
    vocabulary = {word: number for number, word in enumerate(SPECIAL + WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 - a token of text, no password
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.BertNormalizer()])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",  # noqa: S106 - tokens of text, no passwords
        unk_token="[UNK]",  # noqa: S106
        cls_token="[CLS]",  # noqa: S106
        sep_token="[SEP]",  # noqa: S106
        model_max_length=64,
        padding_side=padding_side,
    )
