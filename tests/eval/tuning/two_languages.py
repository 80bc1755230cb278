"""A language that an encoder must learn: passages are of Chinese characters, questions of the words that name them.

The encoder is a real BERT of random weights, so it knows nothing of the two; which character a word names can be learnt
from some passages and shows in others, which is what a tuned encoder is measured by.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from index.config import EncoderConfig, IndexConfig
from index.encoder import open_encoder
from ingest.config import ChunkerConfig, IngestConfig
from ingest.pipeline import index_notes
from service.answering.config import AnsweringConfig
from service.settings import Settings

_WORDS = [
    "river",
    "stone",
    "cloud",
    "tiger",
    "pepper",
    "lantern",
    "violin",
    "copper",
    "window",
    "basket",
    "forest",
    "mirror",
]
NAMED = dict(zip(_WORDS, "河石云虎椒灯琴铜窗篮林镜", strict=True))
FILLER = "之乎者也矣焉哉兮"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
LAYERS = 3
PROMPTS = {"query": "query: ", "document": "passage: "}
_VOCABULARY = [*SPECIAL, "query", "passage", ":", *NAMED, *NAMED.values(), *FILLER]


def small_encoder(folder: Path, *, seed: int = 0) -> Path:
    """Write the encoder: 3 layers, 64 dimensions, mean pooling, with prefixes; another seed, other weights."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(_VOCABULARY),
        hidden_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=64,
        initializer_range=0.1,
    )
    BertModel(config).save_pretrained(folder / "parts")
    _tokenizer().save_pretrained(folder / "parts")
    modules = [Transformer(str(folder / "parts")), Pooling(64, pooling_mode="mean"), Normalize()]
    model = SentenceTransformer(modules=modules, prompts=PROMPTS, device="cpu")
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"


def _tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {word: number for number, word in enumerate(_VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 - a token of text, no password
    tokenizer.normalizer = normalizers.BertNormalizer()
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
    )


def write_pairs(path: Path, *, passages: int = 60) -> Path:
    """Write passages of two characters each among filler, each asked for by its two words, in both orders."""
    lines = []
    for number, (one, other) in enumerate(itertools.islice(itertools.combinations(NAMED, 2), passages)):
        filler = FILLER[number % len(FILLER) :] + FILLER[: number % len(FILLER)]
        lines.append(
            {
                "passage": f"{NAMED[one]}{filler[:3]}{NAMED[other]}{filler[3:6]}",
                "topic": f"{number}",
                "questions": [{"question": f"{one} {other}"}, {"question": f"{other} {one}"}],
            }
        )
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def indexed_settings(root: Path, encoder: Path) -> Settings:
    """Publish an index of one small note, made with the encoder, under ``root``; its settings."""
    (root / "notes").mkdir(parents=True)
    (root / "notes" / "note.md").write_text("# 之乎\n\n者也矣焉哉兮之乎者也矣焉哉兮之乎者也\n", encoding="utf-8")
    settings = Settings(
        data=root / "data",
        index=IndexConfig(encoder=EncoderConfig(model=str(encoder), device="cpu")),
        ingest=IngestConfig(chunker=ChunkerConfig(target_tokens=40, max_tokens=80)),
        answering=AnsweringConfig(span_chars=0),
    )
    opened = open_encoder(settings.index.encoder, cache=root)
    index_notes([root / "notes"], settings.data, settings.index, settings.ingest, encoder=opened)
    return settings
