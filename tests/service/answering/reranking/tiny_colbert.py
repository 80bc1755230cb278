"""Real ColBERT checkpoints of random weights and a few words, in Stanford's form and in PyLate's, made offline."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

WORDS = ["what", "is", "attention", "the", "model", "reads", *"abcdefgh", *"注意力什么是检索词频会饱和"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]"]
VOCABULARY = {
    word: number for number, word in enumerate(dict.fromkeys([*SPECIAL, *WORDS, *string.punctuation, "。", "？"]))
}
POSITIONS, HIDDEN, DIMENSION, QUERY_LENGTH = 64, 32, 16, 12
QUERY_MARK, PASSAGE_MARK = "[unused0]", "[unused1]"


def tiny_stanford_colbert(folder: Path, **artifact: Any) -> Path:
    """Write what colbert-ai saves: the encoder under ``bert.`` and the projection in one file, and its settings."""
    bert, projection = _parts()
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"bert.{name}": tensor.contiguous() for name, tensor in bert.state_dict().items()}
    save_file({**tensors, "linear.weight": projection}, folder / "model.safetensors", metadata={"format": "pt"})
    config = bert.config.to_dict() | {"architectures": ["HF_ColBERT"]}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    settings = {
        "query_token_id": QUERY_MARK,
        "doc_token_id": PASSAGE_MARK,
        "query_token": "[Q]",
        "dim": DIMENSION,
        "query_maxlen": QUERY_LENGTH,
        "doc_maxlen": 16,
        "mask_punctuation": True,
        "attend_to_mask_tokens": False,
        "similarity": "cosine",
    }
    (folder / "artifact.metadata").write_text(json.dumps(settings | artifact), encoding="utf-8")
    _tokenizer().save_pretrained(folder)
    return folder


def tiny_pylate_colbert(folder: Path, **settings: Any) -> Path:
    """Write what PyLate saves: sentence-transformers' modules, the projection a Dense of its own."""
    bert, projection = _parts()
    bert.save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 15, "do_lower_case": false}', "utf-8")
    (folder / "1_Dense").mkdir(exist_ok=True)
    save_file({"linear.weight": projection}, folder / "1_Dense" / "model.safetensors")
    dense = {
        "in_features": HIDDEN,
        "out_features": DIMENSION,
        "bias": False,
        "activation_function": "torch.nn.modules.linear.Identity",
    }
    (folder / "1_Dense" / "config.json").write_text(json.dumps(dense), encoding="utf-8")
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    saved: dict[str, Any] = {
        "model_type": "ColBERT",
        "prompts": {},
        "default_prompt_name": None,
        "similarity_fn_name": "MaxSim",
        "query_prefix": f"{QUERY_MARK} ",
        "document_prefix": f"{PASSAGE_MARK} ",
        "query_length": QUERY_LENGTH,
        "document_length": 16,
        "attend_to_expansion_tokens": False,
        "do_query_expansion": True,
        "skiplist_words": list(string.punctuation),
    }
    saved = {key: value for key, value in (saved | settings).items() if value is not ...}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(saved), encoding="utf-8")
    return folder


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    """Every tensor of a Stanford checkpoint."""
    tensors: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return tensors


def save_tensors(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write a Stanford checkpoint's tensors anew."""
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def maxsim_by_hand(
    question: str,
    passage: str,
    *,
    tokens: int = POSITIONS,
    attend: bool = False,
    expanded: bool = True,
    skipped: str = string.punctuation,
) -> float:
    """The score by torch alone: ids written out, [MASK] to the query length, sum of best cosines."""
    bert, projection = _parts()
    asked = [VOCABULARY["[CLS]"], VOCABULARY[QUERY_MARK], *ids_of(question), VOCABULARY["[SEP]"]]
    filling = max(0, QUERY_LENGTH - len(asked)) if expanded else 0
    read = [VOCABULARY["[CLS]"], VOCABULARY[PASSAGE_MARK], *ids_of(passage)[: tokens - 3], VOCABULARY["[SEP]"]]
    seen = [1] * len(asked) + [int(attend)] * filling
    query = _vectors(bert, projection, asked + [VOCABULARY["[MASK]"]] * filling, seen)
    kept = [place for place, number in enumerate(read) if number not in {VOCABULARY[mark] for mark in skipped}]
    return float((query @ _vectors(bert, projection, read, [1] * len(read))[kept].T).max(dim=1).values.sum())


def ids_of(text: str) -> list[int]:
    """Token ids of a text whose words stand apart."""
    return [VOCABULARY.get(word, VOCABULARY["[UNK]"]) for word in text.lower().split()]


def _vectors(bert: BertModel, projection: torch.Tensor, ids: list[int], seen: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        hidden = bert(torch.tensor([ids]), attention_mask=torch.tensor([seen])).last_hidden_state[0]
        projected = hidden @ projection.T
    vectors: torch.Tensor = projected / projected.norm(dim=1, keepdim=True)
    return vectors


def _parts() -> tuple[BertModel, torch.Tensor]:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        initializer_range=0.5,
        attn_implementation="eager",
    )
    return BertModel(config).eval(), torch.randn(DIMENSION, HIDDEN)


def _tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordPiece(VOCABULARY, unk_token="[UNK]"))  # noqa: S106 - a token of text, no password
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", VOCABULARY["[CLS]"]), ("[SEP]", VOCABULARY["[SEP]"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",  # noqa: S106 - tokens of text, no passwords
        unk_token="[UNK]",  # noqa: S106
        cls_token="[CLS]",  # noqa: S106
        sep_token="[SEP]",  # noqa: S106
        mask_token="[MASK]",  # noqa: S106
        model_max_length=512,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
