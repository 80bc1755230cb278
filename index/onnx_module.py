"""ONNX Runtime under sentence-transformers: the first module of the chain, with the rest left as it is.

sentence-transformers has an ONNX backend of its own, but that needs ``optimum``, which holds transformers at
an older major version; an input module of our own is the documented seam and needs onnxruntime only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from safetensors import SafetensorError
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, InputModule, Normalize, Pooling
from transformers import AutoTokenizer

from index.errors import WeightsCorrupt

INT8_FILE = Path("onnx") / "model_int8.onnx"
_KNOWN_MODULES: dict[str, Any] = {"Pooling": Pooling, "Normalize": Normalize, "Dense": Dense}


class OnnxTransformer(InputModule):  # type: ignore[misc]  # the library has no types
    """Token embeddings by an ONNX Runtime session: ``input_ids``, ``attention_mask`` -> ``last_hidden_state``."""

    def __init__(self, folder: Path, *, threads: int | None) -> None:
        super().__init__()
        self.tokenizer = _tokenizer(folder)
        self.max_seq_length = int(self.tokenizer.model_max_length)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                str(folder / INT8_FILE), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises its own hierarchy, and bare RuntimeError for a bad file
            raise _unreadable(folder / INT8_FILE, error) from error

    def preprocess(self, inputs: Sequence[str], prompt: str | None = None, **_: Any) -> dict[str, torch.Tensor]:
        """Tokenize a batch: ``input_ids`` and ``attention_mask``, (batch, longest) int64."""
        texts = [(prompt or "") + text for text in inputs]
        tokens = self.tokenizer(
            texts, padding=True, truncation=True, max_length=self.max_seq_length, return_tensors="pt"
        )
        return {"input_ids": tokens["input_ids"], "attention_mask": tokens["attention_mask"]}

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Add ``token_embeddings``, (batch, longest, d) float32."""
        (hidden,) = self._session.run(
            ["last_hidden_state"],
            {name: features[name].cpu().numpy() for name in ("input_ids", "attention_mask")},
        )
        features["token_embeddings"] = torch.from_numpy(hidden)
        return features

    def save(self, *_: Any, **__: Any) -> None:
        """Refuse: the ONNX copy is made by index/onnx_export.py and never written back."""
        raise TypeError("An ONNX session cannot be saved; save the fp32 folder it was exported from.")


def onnx_sentence_transformer(folder: Path, *, threads: int | None) -> SentenceTransformer:
    """Load the folder's sentence-transformers chain, its transformer run by ONNX Runtime on the CPU.

    Raises WeightsCorrupt where the folder is not a sentence-transformers folder of known modules.
    """
    modules = [OnnxTransformer(folder, threads=threads), *_modules_after_the_transformer(folder)]
    settings = _read_json(folder / "config_sentence_transformers.json")
    return SentenceTransformer(modules=modules, device="cpu", prompts=settings.get("prompts", {}))


def _modules_after_the_transformer(folder: Path) -> list[torch.nn.Module]:
    loaded: list[torch.nn.Module] = []
    for entry in _read_json(folder / "modules.json")[1:]:
        name = str(entry["type"]).rsplit(".", 1)[-1]
        if name not in _KNOWN_MODULES:
            raise WeightsCorrupt(
                f"{folder / 'modules.json'} asks for a module {entry['type']!r}, which has no place behind ONNX.",
                hint="Set backend = 'torch' for this encoder.",
            )
        # Normalize has no settings, and its folder is often not there.
        loaded.append(Normalize() if name == "Normalize" else _module(_KNOWN_MODULES[name], folder / entry["path"]))
    return loaded


def _module(kind: Any, folder: Path) -> torch.nn.Module:
    try:
        module: torch.nn.Module = kind.load(str(folder))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise _unreadable(folder, error) from error
    return module


def _tokenizer(folder: Path) -> Any:
    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(folder, error) from error


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> WeightsCorrupt:
    return WeightsCorrupt(
        f"{path} cannot be read: {error}", hint="Run `asknotes models --fetch` again; it replaces what is broken."
    )
