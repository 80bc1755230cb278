"""ColBERT checkpoints as rerankers, by a hub name or a local folder.

Question and passage are read apart, a vector a token each, and every token of the question counts by its best match in
the passage (Khattab & Zaharia 2020, "ColBERT", section 3). sentence-transformers' MultiVectorEncoder does the reading:
the markers [Q] and [D], questions filled up with [MASK], the projection, no punctuation of passages in the match.

Two forms of checkpoint are known. Stanford's, as ``colbert-ir/colbertv2.0``: a BERT with a ``linear.weight``
(dimension, hidden) beside its weights and ``artifact.metadata`` about its markers. And folders of
sentence-transformers' modules that PyLate or sentence-transformers saved, with the projection as a module of its own.
"""

from __future__ import annotations

import functools
import json
import string
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import safe_open
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from sentence_transformers.util import load_file_path
from tokenizers import AddedToken
from transformers.utils import logging as transformers_logging

from index.encoder import choose_device
from index.errors import AsknotesError, WeightsCorrupt
from index.weights import ResolvedModel
from service.answering.reranking.cross_encoder import SCORING_HEADS
from service.answering.reranking.passage_reading import ModelReranker, finite, never, positions_of, scores_in_batches

_Kind = TypeVar("_Kind", dict[str, Any], list[dict[str, Any]])
_PROJECTION = "linear.weight"
_ARTIFACT = "artifact.metadata"
_ARCHITECTURES = frozenset({"HF_ColBERT", "ColBERT"})
_MODEL_TYPES = frozenset({"ColBERT", "MultiVectorEncoder"})  # PyLate's and sentence-transformers' own
_PYLATE_SETTINGS = frozenset({"query_prefix", "document_prefix", "do_query_expansion", "attend_to_expansion_tokens"})


class ColbertReranker(ModelReranker[MultiVectorEncoder]):
    """A Reranker on a ColBERT checkpoint. Scores are sums of cosines over the question's tokens, [MASK] among them.

    A passage is read up to ``max_tokens``, though the checkpoint may have been trained on shorter ones. A question
    longer than what it is filled up to is read whole, where ColBERT's own code cuts it; a shorter one gives the same.
    """

    def __init__(self, model: MultiVectorEncoder, *, name: str, batch_size: int, max_tokens: int) -> None:
        super().__init__(model, name=name, batch_size=batch_size, max_tokens=min(max_tokens, positions_of(model)))
        _read_up_to(model, self.max_tokens, name)

    def scores(self, question: str, passages: Sequence[str], *, stop: Callable[[], bool] = never) -> np.ndarray:
        """(n,) float32 for the first n passages, higher is better; ``stop`` is asked before every batch.

        An empty passage gets one less than the lowest of the others. Raises WeightsCorrupt where the model computes
        what is no number.
        """
        asked = functools.cache(lambda: self._question_vectors(question))
        return scores_in_batches(
            passages, lambda batch: self._match(asked(), batch), batch_size=self._batch_size, stop=stop
        )

    def _question_vectors(self, question: str) -> torch.Tensor:
        with self._lock:
            vectors: list[torch.Tensor] = self._model.encode_query([question], show_progress_bar=False)
        return vectors[0]

    def _match(self, question: torch.Tensor, passages: list[str]) -> np.ndarray:
        with self._lock:
            vectors = self._model.encode_document(passages, batch_size=self._batch_size, show_progress_bar=False)
        # In single precision: a sum of 32 cosines near 1 has steps of 1/64 in half of it.
        scores = self._model.similarity([question.float()], [one.float() for one in vectors])
        return finite(scores[0].cpu().numpy(), self._name)


def is_colbert(resolved: ResolvedModel) -> bool:
    """Whether the files of a folder or hub name are those of a ColBERT checkpoint; False where it has no files.

    Raises WeightsCorrupt where they cannot be read.
    """
    if _modules_of(resolved) is not None:
        settings = _settings_of(resolved, "config_sentence_transformers.json") or {}
        return settings.get("model_type") in _MODEL_TYPES or bool(_PYLATE_SETTINGS & settings.keys())
    config = _settings_of(resolved, "config.json")
    if config is None:
        return False
    architectures = config.get("architectures") or []
    if any(str(architecture).endswith(SCORING_HEADS) for architecture in architectures):
        return False
    marked = bool(_ARCHITECTURES & {str(one) for one in architectures}) or _settings_of(resolved, _ARTIFACT) is not None
    return marked or _projection(resolved) is not None


def open_colbert(resolved: ResolvedModel, *, device: str, batch_size: int, max_tokens: int) -> ColbertReranker:
    """Load a ColBERT checkpoint, in half precision on a GPU; never runs code that comes with a model.

    Raises WeightsCorrupt for one that is not whole or that lacks what it says it has, and ConfigInvalid for a device
    that is not there.
    """
    target = choose_device(device)
    dtype = _dtype_on(target)
    is_folder_of_modules = _modules_of(resolved) is not None
    load = _load_modules if is_folder_of_modules else _load_stanford
    try:
        with _quiet():
            model = load(resolved, target, dtype)
            _require_all_weights(model, resolved)
    except AsknotesError:
        raise
    except Exception as error:  # what damaged files make two libraries raise has no common base
        raise _unusable(resolved, f"cannot be loaded: {error}") from error
    model.to(dtype=dtype)  # a projection of its own is loaded in single precision
    return ColbertReranker(model, name=resolved.name, batch_size=batch_size, max_tokens=max_tokens)


def _dtype_on(device: str) -> torch.dtype:
    return torch.float32 if device.startswith("cpu") else torch.float16


def _load_modules(resolved: ResolvedModel, device: str, dtype: torch.dtype) -> MultiVectorEncoder:
    model = MultiVectorEncoder(resolved.location, device=device, trust_remote_code=False, model_kwargs={"dtype": dtype})
    saved = [str(module["type"]).rsplit(".", 1)[-1] for module in _modules_of(resolved) or ()]
    settings = _settings_of(resolved, "config_sentence_transformers.json") or {}
    if "Dense" not in saved and settings.get("model_type") != "MultiVectorEncoder":
        raise _unusable(resolved, "says that it is a ColBERT model, but its modules.json lists no Dense projection")
    return model


class _Artifact(BaseModel):
    """What of colbert-ai's settings says how a text is read; its defaults where the file is not there."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    query_token_id: str = Field(default="[unused0]", min_length=1)
    doc_token_id: str = Field(default="[unused1]", min_length=1)
    query_maxlen: int = Field(default=32, ge=4)
    mask_punctuation: bool = True
    attend_to_mask_tokens: bool = False
    dim: int | None = None


def _load_stanford(resolved: ResolvedModel, device: str, dtype: torch.dtype) -> MultiVectorEncoder:
    artifact = _artifact(resolved)
    transformer = Transformer(
        resolved.location,
        model_kwargs={"dtype": dtype, "trust_remote_code": False},
        processor_kwargs={"trust_remote_code": False},
        config_kwargs={"trust_remote_code": False},
        query_expansion={
            "strategy": "fixed",
            "length": artifact.query_maxlen,
            "attend": artifact.attend_to_mask_tokens,
        },
    )
    markers = (artifact.query_token_id, artifact.doc_token_id)
    _require_tokens(transformer.tokenizer, markers, resolved)
    # As text a marker would fall into pieces; as a special token it is the one that training put there.
    special = [AddedToken(marker, special=True, normalized=False) for marker in markers]
    transformer.tokenizer.add_tokens(special, special_tokens=True)
    return MultiVectorEncoder(
        modules=[
            transformer,
            _dense(resolved, artifact, transformer.get_embedding_dimension()),
            MultiVectorMask(skiplist_words=list(string.punctuation) if artifact.mask_punctuation else []),
            Normalize(module_input_name="token_embeddings"),
        ],
        prompts={"query": f"{markers[0]} ", "document": f"{markers[1]} "},
        device=device,
    )


def _artifact(resolved: ResolvedModel) -> _Artifact:
    try:
        return _Artifact.model_validate(_settings_of(resolved, _ARTIFACT) or {})
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in details["loc"])
        raise _unusable(resolved, f"has an {_ARTIFACT} that cannot be used: {place}: {details['msg']}") from error


def _dense(resolved: ResolvedModel, artifact: _Artifact, hidden: int) -> Dense:
    weight = _projection(resolved)
    if weight is None:
        raise _unusable(resolved, f"says that it is a ColBERT model, but there is no `{_PROJECTION}` in its weights")
    dimension = artifact.dim or weight.shape[0]
    if tuple(weight.shape) != (dimension, hidden):
        raise _unusable(
            resolved, f"has a `{_PROJECTION}` of shape {tuple(weight.shape)} instead of ({dimension}, {hidden})"
        )
    return Dense(
        in_features=hidden,
        out_features=dimension,
        bias=False,
        activation_function=torch.nn.Identity(),
        init_weight=weight.float(),
        module_input_name="token_embeddings",
    )


def _projection(resolved: ResolvedModel) -> torch.Tensor | None:
    """The ``linear.weight`` (dimension, hidden) of the checkpoint; None where it has none."""
    try:
        if path := load_file_path(resolved.location, "model.safetensors"):
            with safe_open(path, framework="pt") as file:
                weight = file.get_tensor(_PROJECTION) if _PROJECTION in file.keys() else None  # noqa: SIM118 - no mapping
        elif load_file_path(resolved.location, "pytorch_model.bin"):
            weight = Dense.load_torch_weights(resolved.location).get(_PROJECTION)  # tensors only, it runs no code
        else:
            return None
    except Exception as error:  # as in open_colbert
        raise _unusable(resolved, f"has weights that cannot be read: {error}") from error
    return weight if isinstance(weight, torch.Tensor) and weight.ndim == 2 else None  # noqa: PLR2004 - a matrix


def _read_up_to(model: MultiVectorEncoder, tokens: int, name: str) -> None:
    transformer, positions = model[0], positions_of(model)
    filling = transformer.query_expansion
    filled = 0 if filling is None else int(filling["length"])
    if filled > positions:
        raise WeightsCorrupt(
            f"The ColBERT model {name!r} fills questions up to {filled} tokens and has {positions} positions.",
            hint="Correct the query length in its settings, or rerank with `late` or `none`.",
        )
    model.max_seq_length = max(filled, tokens)
    transformer.document_length = tokens
    transformer.query_length = max(filled, tokens)
    if filling is not None:
        transformer.query_expansion = {**filling, "strategy": "min"}


def _require_tokens(tokenizer: Any, markers: Sequence[str], resolved: ResolvedModel) -> None:
    for marker in markers:
        if marker not in tokenizer.get_vocab():
            raise _unusable(resolved, f"marks texts with {marker!r}, which its vocabulary does not have")


def _require_all_weights(model: MultiVectorEncoder, resolved: ResolvedModel) -> None:
    """Refuse a checkpoint of which a part was made up at random: one of other names, or for code of its own."""
    backbone = model[0].auto_model
    modules = _modules_of(resolved) or [{}]
    _, loaded = type(backbone).from_pretrained(
        resolved.location, config=backbone.config, subfolder=str(modules[0].get("path", "")), output_loading_info=True
    )
    missing = sorted(name for name in loaded["missing_keys"] if not name.startswith("pooler."))  # no token goes there
    if missing:
        raise _unusable(resolved, f"lacks {len(missing)} weights of a {type(backbone).__name__}, {missing[0]} for one")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without a report of the projection as a weight that the encoder has no place for."""
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)


def _settings_of(resolved: ResolvedModel, file: str) -> dict[str, Any] | None:
    return _json_of(resolved, file, dict)


def _modules_of(resolved: ResolvedModel) -> list[dict[str, Any]] | None:
    return _json_of(resolved, "modules.json", list)


def _json_of(resolved: ResolvedModel, file: str, kind: type[_Kind]) -> _Kind | None:
    """What a file of the checkpoint says; None where there is none, or no way to the hub (loading then says so)."""
    try:
        path = load_file_path(resolved.location, file)
    except OSError:
        return None
    if path is None:
        return None
    try:
        said = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unusable(resolved, f"has a {file} that cannot be read: {error}") from error
    if not isinstance(said, kind):
        raise _unusable(resolved, f"has a {file} that holds no {kind.__name__}")
    return said


def _unusable(resolved: ResolvedModel, reason: str) -> WeightsCorrupt:
    return WeightsCorrupt(
        f"The reranker {resolved.name!r} {reason}.",
        hint="Get its files again, or name another checkpoint, a cross-encoder, `late` or `none`.",
    )
