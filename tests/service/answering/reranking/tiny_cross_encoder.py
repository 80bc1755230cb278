"""Real cross-encoders of random weights and a few words, made offline in a moment."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
)

WORDS = ["what", "is", "attention", "the", "model", "reads", "##s", *"abcdefgh", *"注意力什么是检索词频会饱和"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
POSITIONS = 64
VOCABULARY = {word: number for number, word in enumerate(dict.fromkeys(SPECIAL + WORDS))}
_SIZES = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": POSITIONS,
    "initializer_range": 0.5,
}


def tiny_cross_encoder(folder: Path, *, labels: int = 1) -> Path:
    """Write a BERT with a scoring head: WordPiece, 32 dimensions, 64 positions."""
    torch.manual_seed(0)
    BertForSequenceClassification(BertConfig(**_SIZES, num_labels=labels)).save_pretrained(folder)
    _tokenizer(POSITIONS).save_pretrained(folder)
    return folder


def tiny_roberta_cross_encoder(folder: Path) -> Path:
    """Write a RoBERTa whose first two positions are padding, with a tokenizer that says nothing of any length."""
    torch.manual_seed(0)
    config = RobertaConfig(**_SIZES, num_labels=1, pad_token_id=1, type_vocab_size=2)
    RobertaForSequenceClassification(config).save_pretrained(folder)
    _tokenizer(None).save_pretrained(folder)
    return folder


def tiny_headless_encoder(folder: Path) -> Path:
    """Write a BERT without a scoring head: what loading it as a cross-encoder gives is random."""
    torch.manual_seed(0)
    BertModel(BertConfig(**_SIZES)).save_pretrained(folder)
    _tokenizer(POSITIONS).save_pretrained(folder)
    return folder


def _tokenizer(longest: int | None) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordPiece(VOCABULARY, unk_token="[UNK]"))  # noqa: S106 - a token of text, no password
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", VOCABULARY["[CLS]"]), ("[SEP]", VOCABULARY["[SEP]"])],
    )
    options = {} if longest is None else {"model_max_length": longest}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",  # noqa: S106 - tokens of text, no passwords
        unk_token="[UNK]",  # noqa: S106
        cls_token="[CLS]",  # noqa: S106
        sep_token="[SEP]",  # noqa: S106
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **options,
    )
