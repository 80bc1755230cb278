"""Text to vectors: one sentence vector and the token vectors of a text, from one forward pass.

The model is a sentence-transformers model (bundled, a local folder or a hub name). On a CPU the bundled
encoder runs as dynamically quantised ONNX through the adapter in ``onnx_module.py``; the rest of the chain
(tokenizer, pooling, normalisation, prompts) is sentence-transformers' own either way.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from sentence_transformers import SentenceTransformer

from index import weights
from index.config import EncoderConfig
from index.errors import ConfigInvalid, WeightsCorrupt
from index.in_bulk import in_order
from index.onnx_module import INT8_FILE, onnx_sentence_transformer
from index.vectors import unit

ENCODER_VERSION = 1
# The names under which sentence-transformers' own encode_query and encode_document look for a prompt.
_QUERY_PROMPTS = ("query",)
_PASSAGE_PROMPTS = ("document", "passage", "corpus")
_OUTPUTS = ("sentence_embedding", "token_embeddings", "attention_mask")
# Opening the model again takes two seconds; two workers gain as much on 110 passages or 1,300 questions.
_FEWEST_FOR_WORKERS = 300
_MOST_WORKERS = 16


@dataclass(frozen=True, slots=True)
class Encoding:
    """What a text becomes.

    ``vector``: (d,) float32, length 1. ``token_vectors``: (t, d) float32, each of length 1, one for each token
    of the text itself: prefix and special tokens are left out. ``token_ids``: (t,) int32.
    """

    vector: np.ndarray
    token_vectors: np.ndarray
    token_ids: np.ndarray


class TextEncoder(Protocol):
    """What the index asks of an encoder; the toy of the tests fulfils it too."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the vectors of some text may change."""

    @property
    def dimension(self) -> int:
        """Length of every vector."""

    def count_tokens(self, text: str) -> int:
        """Tokens of the text itself, without prefix and special tokens, untruncated."""

    def encode_passages(self, texts: Sequence[str]) -> Iterator[Encoding]:
        """Encode passages, in order; lazily."""

    def encode_query(self, text: str) -> Encoding:
        """Encode a question."""

    def encode_queries(self, texts: Sequence[str]) -> Iterator[Encoding]:
        """Encode questions, in order; lazily."""

    def passage_spans(self, text: str) -> list[tuple[int, int]]:
        """Where in ``text`` each token vector of its passage encoding comes from: (start, end) characters."""


class SentenceEncoder:
    """A TextEncoder on a sentence-transformers model. Thread-safe: one forward pass of a batch at a time.

    With ``open_worker``, which opens the model again for one thread, very many texts are encoded by so many ``workers``
    at once, each text alone. A single pass over a short text does not occupy several cores.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        *,
        query_prefix: str,
        passage_prefix: str,
        max_tokens: int,
        batch_size: int,
        fingerprint: str,
        backend: str,
        open_worker: Callable[[], SentenceTransformer] | None = None,
        workers: int = 1,
    ) -> None:
        self._model = model
        self._query_prefix = query_prefix
        self._passage_prefix = passage_prefix
        self._batch_size = batch_size
        self._fingerprint = fingerprint
        self.backend = backend
        self._open_worker = open_worker
        self._workers = workers
        model.max_seq_length = min(max_tokens, model.max_seq_length or max_tokens)
        self._tokenizer = model.tokenizer
        # A fast tokenizer keeps padding and truncation as state and refuses a second borrower, so one lock
        # serves tokenizer and model alike.
        self._lock = threading.Lock()

    @property
    def fingerprint(self) -> str:
        """Hash of weights, backend, prefixes and truncation."""
        return self._fingerprint

    @property
    def dimension(self) -> int:
        """Length of every vector."""
        dimension = self._model.get_embedding_dimension()
        if dimension is None:
            raise WeightsCorrupt(
                "The encoder does not say how long its vectors are.",
                hint="Use a sentence-transformers model with a pooling layer.",
            )
        return int(dimension)

    @property
    def device(self) -> str:
        """Where the forward pass runs, ``cpu`` or ``cuda:0``."""
        return str(self._model.device)

    def count_tokens(self, text: str) -> int:
        """Tokens of the text itself, untruncated."""
        with self._lock:
            return len(self._tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"])

    def encode_passages(self, texts: Sequence[str]) -> Iterator[Encoding]:
        """Encode passages, in order; lazily, a batch or some of a worker's texts ahead."""
        return self._encode_all(texts, self._passage_prefix)

    def encode_query(self, text: str) -> Encoding:
        """Encode a question."""
        return self._encode([text], self._query_prefix)[0]

    def encode_queries(self, texts: Sequence[str]) -> Iterator[Encoding]:
        """Encode questions, in order; lazily, as passages."""
        return self._encode_all(texts, self._query_prefix)

    def passage_spans(self, text: str) -> list[tuple[int, int]]:
        """Where in ``text`` each token vector of its passage encoding comes from: (start, end) characters."""
        length = len(self._passage_prefix)
        with self._lock:
            offsets = self._tokens([self._passage_prefix + text])["offset_mapping"][0]
        return [(max(start, length) - length, end - length) for start, end in offsets if _is_own((start, end), length)]

    def _tokens(self, texts: Sequence[str]) -> Any:
        return self._tokenizer(
            list(texts), truncation=True, max_length=self._model.max_seq_length, return_offsets_mapping=True
        )

    def _encode_all(self, texts: Sequence[str], prefix: str) -> Iterator[Encoding]:
        if self._open_worker is not None and self._workers > 1 and len(texts) >= _FEWEST_FOR_WORKERS:
            worker = self._open_worker()
            worker.max_seq_length = self._model.max_seq_length
            yield from in_order(lambda text: self._encode_by(worker, text, prefix), texts, workers=self._workers)
            return
        for start in range(0, len(texts), self._batch_size):
            yield from self._encode(texts[start : start + self._batch_size], prefix)

    def _encode_by(self, worker: SentenceTransformer, text: str, prefix: str) -> Encoding:
        """What ``_encode`` does to one text, without the lock around the forward pass."""
        with self._lock:
            features = worker[0].preprocess([prefix + text])
            tokens = self._tokens([prefix + text])
        with torch.inference_mode():
            outputs = worker.forward(features)
        output = {name: outputs[name][0] for name in _OUTPUTS}
        return _encoding(output, tokens["input_ids"][0], tokens["offset_mapping"][0], len(prefix))

    def _encode(self, texts: Sequence[str], prefix: str) -> list[Encoding]:
        prefixed = [prefix + text for text in texts]
        with self._lock, torch.inference_mode():
            # An empty prompt keeps a default one of the model's folder from being put before our prefix.
            outputs: list[dict[str, Any]] = self._model.encode(
                prefixed, prompt="", output_value=None, batch_size=self._batch_size, show_progress_bar=False
            )
            tokens = self._tokens(prefixed)
        return [
            _encoding(output, ids, offsets, len(prefix))
            for output, ids, offsets in zip(outputs, tokens["input_ids"], tokens["offset_mapping"], strict=True)
        ]


def _encoding(
    output: dict[str, Any], ids: Sequence[int], offsets: Sequence[tuple[int, int]], prefix_length: int
) -> Encoding:
    own = [i for i, span in enumerate(offsets) if _is_own(span, prefix_length)]
    vector = output["sentence_embedding"].float().cpu().numpy()
    # By the mask, not by position: some models pad on the left. With numpy: torch takes several threads to choose rows,
    # and while these wait for more to do they take the time of ONNX Runtime's (twice as long a question on two cores).
    mask = output["attention_mask"].cpu().numpy().astype(bool)
    token_vectors = output["token_embeddings"].float().cpu().numpy()[mask][own]
    return Encoding(
        vector=unit(vector),
        token_vectors=unit(token_vectors),
        token_ids=np.asarray(ids, dtype=np.int32)[own],
    )


def _is_own(span: tuple[int, int], prefix_length: int) -> bool:
    # A special token has an empty span; a token of the prefix ends where the prefix ends, at the latest.
    start, end = span
    return end > max(start, prefix_length)


def open_encoder(config: EncoderConfig, *, cache: Path) -> SentenceEncoder:
    """Load the configured encoder.

    Raises WeightsMissing or WeightsCorrupt, and ConfigInvalid for a device that is not there, for a backend that
    the model has no copy for, and for a tokenizer that does not tell where its tokens stand.
    """
    device = choose_device(config.device)
    resolved = weights.resolve(config.model, cache=cache)
    backend = choose_backend(config, device=device, folder=Path(resolved.location))
    if backend == "onnx-int8":
        model = onnx_sentence_transformer(Path(resolved.location), threads=config.threads)
        open_worker = partial(onnx_sentence_transformer, Path(resolved.location), threads=1)
    else:
        open_worker = None
        if config.threads is not None and device == "cpu":
            torch.set_num_threads(config.threads)
        dtype = torch.float32 if device == "cpu" else torch.float16
        model = _load(resolved.location, device=device, dtype=dtype)
    _require_offsets(model, config.model)
    query_prefix = config.query_prefix if config.query_prefix is not None else _prompt(model, _QUERY_PROMPTS)
    passage_prefix = config.passage_prefix if config.passage_prefix is not None else _prompt(model, _PASSAGE_PROMPTS)
    return SentenceEncoder(
        model,
        query_prefix=query_prefix,
        passage_prefix=passage_prefix,
        max_tokens=config.max_tokens,
        # Dynamic quantisation scales by the largest activation of the whole batch: only alone does a text get
        # the same vector every time, and that is what makes an incremental index equal to a full one.
        batch_size=1 if backend == "onnx-int8" else config.batch_size,
        fingerprint=_fingerprint(
            {
                "version": ENCODER_VERSION,
                "weights": resolved.fingerprint,
                "revision": _hub_revision(model),
                "backend": backend,
                "query_prefix": query_prefix,
                "passage_prefix": passage_prefix,
                "max_tokens": config.max_tokens,
            }
        ),
        backend=backend,
        open_worker=open_worker,
        workers=config.threads or min(_cores(), _MOST_WORKERS),
    )


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _load(location: str, *, device: str, dtype: torch.dtype) -> SentenceTransformer:
    try:
        return SentenceTransformer(location, device=device, model_kwargs={"dtype": dtype})
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
        raise WeightsCorrupt(
            f"The encoder {location!r} cannot be loaded: {error}",
            hint="Check the folder, or the name and the way to its hub; `bundled:` models need no hub.",
        ) from error


def _require_offsets(model: SentenceTransformer, name: str) -> None:
    if not getattr(model.tokenizer, "is_fast", False):
        raise ConfigInvalid(
            f"The tokenizer of {name!r} cannot say which characters a token comes from.",
            hint="Choose an encoder with a fast tokenizer (a tokenizer.json in its folder).",
        )


def _prompt(model: SentenceTransformer, names: Sequence[str]) -> str:
    prompts = model.prompts or {}
    return next((str(prompts[name]) for name in names if prompts.get(name)), "")


def _hub_revision(model: SentenceTransformer) -> str | None:
    # A hub's name stays while the weights behind it change; local folders are told apart by their bytes.
    return getattr(getattr(model[0], "config", None), "_commit_hash", None)


def choose_device(configured: str) -> str:
    """Resolve ``auto``; raises ConfigInvalid for a CUDA device where there is none."""
    if configured == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if configured.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigInvalid(
            f"The config asks for device {configured!r}, but PyTorch sees no CUDA device here.",
            hint="Set device = 'auto' or 'cpu', or install a CUDA build of PyTorch and a driver.",
        )
    return configured


def choose_backend(config: EncoderConfig, *, device: str, folder: Path) -> str:
    """``onnx-int8`` where it is configured or, under ``auto``, where it exists and there is no GPU."""
    quantised = (folder / INT8_FILE).is_file()
    if config.backend == "onnx-int8" and not quantised:
        raise ConfigInvalid(
            f"The encoder {config.model!r} has no quantised ONNX copy.",
            hint="Use backend = 'torch' or 'auto'; only bundled encoders are quantised at fetching.",
        )
    if config.backend == "auto":
        return "onnx-int8" if quantised and device == "cpu" else "torch"
    return config.backend


def _fingerprint(parts: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]
