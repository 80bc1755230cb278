"""Cross-encoders of sentence-transformers as rerankers, by a hub name or a local folder.

A cross-encoder reads question and passage as one input (Nogueira & Cho 2019, "Passage Re-ranking with BERT").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder.modules import LogitScore

from index import weights
from index.encoder import choose_device
from index.errors import AsknotesError, ConfigInvalid, WeightsCorrupt, WeightsMissing
from index.weights import ResolvedModel
from service.answering.reranking.passage_reading import ModelReranker, finite, longest_input, never, scores_in_batches

# A question may take this share of the input; the tokenizer's own truncation, longest of the two first, then never
# reaches it, as where both are too long together the passage is the longer one.
_QUESTION_SHARE = 0.25
SCORING_HEADS = ("ForSequenceClassification", "ForCausalLM")


class CrossEncoderReranker(ModelReranker[CrossEncoder]):
    """A Reranker on a CrossEncoder. Scores are logits: no sigmoid that would make good passages equal.

    The scores are the same for any ``batch_size`` but for rounding (padding changes the shape of the products).
    """

    def __init__(self, model: CrossEncoder, *, name: str, batch_size: int, max_tokens: int) -> None:
        super().__init__(model, name=name, batch_size=batch_size, max_tokens=min(max_tokens, longest_input(model)))
        model.max_seq_length = self.max_tokens

    def scores(self, question: str, passages: Sequence[str], *, stop: Callable[[], bool] = never) -> np.ndarray:
        """(n,) float32 for the first n passages, higher is better; ``stop`` is asked before every batch.

        An empty passage gets one less than the lowest of the others. Raises WeightsCorrupt where the model computes
        what is no number.
        """
        return scores_in_batches(
            passages, lambda batch: self._logits(question, batch), batch_size=self._batch_size, stop=stop
        )

    def _logits(self, question: str, passages: Sequence[str]) -> np.ndarray:
        with self._lock:
            cut = self._cut_question(question)
            logits = self._model.predict(
                [(cut, passage) for passage in passages],
                batch_size=self._batch_size,
                activation_fn=torch.nn.Identity(),
                show_progress_bar=False,
            )
        return finite(logits, self._name)

    def _cut_question(self, question: str) -> str:
        offsets = self._model.tokenizer(
            question,
            add_special_tokens=False,
            truncation=True,
            max_length=max(1, int(self._max_tokens * _QUESTION_SHARE)),
            return_offsets_mapping=True,
        )["offset_mapping"]
        return question[: offsets[-1][1]] if offsets else question


def open_cross_encoder(
    name: str, *, cache: Path, device: str, batch_size: int, max_tokens: int
) -> CrossEncoderReranker:
    """Load a cross-encoder, in half precision on a GPU; never runs code that comes with a model.

    Raises WeightsMissing or WeightsCorrupt, and ConfigInvalid for a device that is not there and for a model that is
    no cross-encoder: with random weights in the place of a scoring head, or with more than one score a pair.
    """
    target = choose_device(device)
    resolved = weights.resolve(name, cache=cache)
    if resolved.kind != "unknown":
        raise _no_cross_encoder(name, f"it is a bundled {resolved.kind}")
    model = _load(resolved, target)
    _require_score(model, name)
    return CrossEncoderReranker(model, name=name, batch_size=batch_size, max_tokens=max_tokens)


def _load(resolved: ResolvedModel, device: str) -> CrossEncoder:
    dtype = torch.float32 if device.startswith("cpu") else torch.float16
    try:
        return CrossEncoder(resolved.location, device=device, trust_remote_code=False, model_kwargs={"dtype": dtype})
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
        raise _not_loaded(resolved, error) from error


def _not_loaded(resolved: ResolvedModel, error: Exception) -> AsknotesError:
    message = f"The reranker {resolved.name!r} cannot be loaded: {error}"
    if isinstance(error, OSError) and not Path(resolved.location).is_dir():
        return WeightsMissing(
            message,
            hint="Check the name and the way to its hub, name a local folder, or rerank with `late`, `lm` or `none`.",
        )
    return WeightsCorrupt(message, hint="Get its files again, or rerank with `late`, `lm` or `none`.")


def _require_score(model: CrossEncoder, name: str) -> None:
    architectures = getattr(model.config, "architectures", None) or []
    if not any(architecture.endswith(SCORING_HEADS) for architecture in architectures):
        raise _no_cross_encoder(name, f"{', '.join(architectures) or 'its architecture'} has no scoring head")
    if any(isinstance(module, LogitScore) and module.true_token_id == module.false_token_id for module in model):
        raise _no_cross_encoder(name, "its vocabulary has no words for yes and no")
    if model.num_labels != 1:
        raise _no_cross_encoder(name, f"it gives {model.num_labels} scores a pair")
    if not getattr(model.tokenizer, "is_fast", False):
        raise _no_cross_encoder(name, "its tokenizer does not say which characters a token comes from")


def _no_cross_encoder(name: str, reason: str) -> ConfigInvalid:
    return ConfigInvalid(
        f"The model {name!r} cannot rerank: {reason}.",
        hint="Name a cross-encoder with one score a pair, such as `BAAI/bge-reranker-v2-m3`, a ColBERT checkpoint with "
        "its `linear.weight`, such as `colbert-ir/colbertv2.0`, or `lm` for the language model that answers.",
    )
