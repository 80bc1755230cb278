"""An encoder of which only the last layers are trained: what the frozen ones make of a text is computed once and kept.

Works for any transformer whose layers are one list: the frozen layers are replaced, while a batch goes through, by ones
that hand out what was kept, so that masks and positions are the library's own business.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from eval.tuning.pairs import TuningRefused
from index.config import EncoderConfig
from index.progress import ProgressListener

_BATCH = 16


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """A text with its prefix: ``ids`` (t,) int64 and ``own`` (t,) bool, which of them are tokens of the text itself."""

    ids: np.ndarray
    own: np.ndarray

    @property
    def own_ids(self) -> np.ndarray:
        """Ids of the text's own tokens."""
        own_ids: np.ndarray = self.ids[self.own]
        return own_ids


@dataclass(frozen=True, slots=True)
class KeptText:
    """A tokenized text and what the frozen layers made of it: ``states`` (t, d), None where no layer is frozen."""

    text: TokenizedText
    states: torch.Tensor | None


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """Token vectors (B, T, d) as the last layer gives them, ``own`` (B, T) bool, sentence vectors (B, d), float32."""

    tokens: torch.Tensor
    own: torch.Tensor
    sentences: torch.Tensor


class LayeredEncoder:
    """A sentence-transformers model of which the last ``trained_layers`` (all where None) are trained, nothing else.

    The word embeddings are frozen always. Raises TuningRefused for a model without a list of layers, or without a
    tokenizer that tells where its tokens stand.
    """

    def __init__(self, model: SentenceTransformer, config: EncoderConfig, *, trained_layers: int | None) -> None:
        self._model = model.eval()  # without dropout: the same seed gives the same weights
        self._transformer = model[0].auto_model
        self._tokenizer = model.tokenizer
        if not getattr(self._tokenizer, "is_fast", False):
            raise TuningRefused(
                f"The tokenizer of {config.model!r} cannot say which characters a token comes from.",
                hint="Choose an encoder with a fast tokenizer (a tokenizer.json in its folder).",
            )
        self._parent, self._name, self._layers = _layer_list(self._transformer, config.model)
        self.trained_layers = min(trained_layers or len(self._layers), len(self._layers))
        self._frozen_layers = len(self._layers) - self.trained_layers
        self._longest = min(config.max_tokens, model.max_seq_length or config.max_tokens)
        prompts = model.prompts or {}
        self._query_prefix = _prefix(config.query_prefix, prompts, ("query",))
        self._passage_prefix = _prefix(config.passage_prefix, prompts, ("document", "passage", "corpus"))
        self._freeze()

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        device: torch.device = self._model.device
        return device

    @property
    def vocabulary(self) -> int:
        """One more than the largest token id."""
        return int(self._transformer.get_input_embeddings().num_embeddings)

    @property
    def trained_parameters(self) -> list[torch.nn.Parameter]:
        """What is trained."""
        return [parameter for parameter in self._model.parameters() if parameter.requires_grad]

    def question(self, text: str) -> TokenizedText:
        """Tokenize a question as index/encoder.py does."""
        return self._tokenized(text, self._query_prefix)

    def passage(self, text: str) -> TokenizedText:
        """Tokenize a passage as index/encoder.py does."""
        return self._tokenized(text, self._passage_prefix)

    def keep(self, texts: Sequence[TokenizedText], listener: ProgressListener) -> list[KeptText]:
        """Put texts through the frozen layers, those of like length together; states are kept in 16 bits."""
        if not self._frozen_layers:
            return [KeptText(text, None) for text in texts]
        kept: list[KeptText | None] = [None] * len(texts)
        order = sorted(range(len(texts)), key=lambda position: len(texts[position].ids))
        listener.start("frozen layers", len(texts))
        for start in range(0, len(order), _BATCH):
            positions = order[start : start + _BATCH]
            found = self._frozen_states([texts[position] for position in positions])
            for position, states in zip(positions, found, strict=True):
                kept[position] = KeptText(texts[position], states)
            listener.advance(len(positions))
        listener.finish()
        return [text for text in kept if text is not None]

    def encode(self, texts: Sequence[KeptText]) -> EncodedBatch:
        """Put kept texts through the trained layers; gradients go through as far as torch records them."""
        ids, mask, own = _padded([kept.text for kept in texts], self._padding, self.device)
        states = [kept.states for kept in texts if kept.states is not None]
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.device.type == "cuda"):
            with self._given(_padded_states(states, self.device) if states else None):
                tokens = self._transformer(input_ids=ids, attention_mask=mask).last_hidden_state
            features: dict[str, Any] = {"token_embeddings": tokens, "attention_mask": mask, "input_ids": ids}
            for module in itertools.islice(self._model, 1, None):
                features = module(features)
        return EncodedBatch(tokens.float(), own, features["sentence_embedding"].float())

    @property
    def _padding(self) -> int:
        return int(self._tokenizer.pad_token_id or 0)

    def _freeze(self) -> None:
        self._model.requires_grad_(False)
        for layer in self._layers[self._frozen_layers :]:
            layer.requires_grad_(True)

    def _tokenized(self, text: str, prefix: str) -> TokenizedText:
        tokens = self._tokenizer(
            prefix + text, truncation=True, max_length=self._longest, return_offsets_mapping=True, verbose=False
        )
        spans = np.array(tokens["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        # As in index/encoder.py: a special token has an empty span, one of the prefix ends where the prefix does.
        own = spans[:, 1] > np.maximum(spans[:, 0], len(prefix))
        return TokenizedText(np.array(tokens["input_ids"], dtype=np.int64), own)

    @torch.no_grad()
    def _frozen_states(self, texts: Sequence[TokenizedText]) -> list[torch.Tensor]:
        """What the first trained layer is given for each text, (t, d)."""
        ids, mask, _ = _padded(texts, self._padding, self.device)
        given: list[torch.Tensor] = []

        def take(_: torch.nn.Module, positional: tuple[torch.Tensor, ...], named: Mapping[str, torch.Tensor]) -> None:
            given.append(positional[0] if positional else named["hidden_states"])

        hook = self._layers[self._frozen_layers].register_forward_pre_hook(take, with_kwargs=True)
        try:
            self._transformer(input_ids=ids, attention_mask=mask)
        finally:
            hook.remove()
        return [row[: len(text.ids)].half().cpu() for row, text in zip(given[0], texts, strict=True)]

    @contextmanager
    def _given(self, states: torch.Tensor | None) -> Iterator[None]:
        """While it lasts, the frozen layers hand out ``states`` whatever they are given."""
        if states is None:
            yield
            return
        frozen = [_Given(layer, states) for layer in self._layers[: self._frozen_layers]]
        setattr(self._parent, self._name, torch.nn.ModuleList([*frozen, *self._layers[self._frozen_layers :]]))
        try:
            yield
        finally:
            setattr(self._parent, self._name, self._layers)


class _Given(torch.nn.Module):
    """Stands for a layer: gives the same states for any input, and is else as that layer is."""

    def __init__(self, layer: torch.nn.Module, states: torch.Tensor) -> None:
        super().__init__()
        object.__setattr__(self, "_layer", layer)  # not a submodule: it is not trained
        self._states = states

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(object.__getattribute__(self, "_layer"), name)

    def forward(self, *_: Any, **__: Any) -> torch.Tensor:
        return self._states


def _layer_list(transformer: torch.nn.Module, name: str) -> tuple[torch.nn.Module, str, torch.nn.ModuleList]:
    """The list of the transformer's layers, and where it hangs."""
    count = getattr(getattr(transformer, "config", None), "num_hidden_layers", None)
    for parent in transformer.modules():
        for attribute, child in parent.named_children():
            if isinstance(child, torch.nn.ModuleList) and len(child) == count:
                return parent, attribute, child
    raise TuningRefused(
        f"The layers of the encoder {name!r} are not where they are looked for.",
        hint="Choose an encoder built like BERT, XLM-RoBERTa, ModernBERT or Qwen.",
    )


def _prefix(configured: str | None, prompts: Mapping[str, str], names: Sequence[str]) -> str:
    if configured is not None:
        return configured
    return next((str(prompts[name]) for name in names if prompts.get(name)), "")


def _padded(
    texts: Sequence[TokenizedText], padding: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids (B, T) int64, mask (B, T) int64, own (B, T) bool, padded on the right."""
    longest = max(len(text.ids) for text in texts)
    ids = torch.full((len(texts), longest), padding)
    mask = torch.zeros((len(texts), longest), dtype=torch.int64)
    own = torch.zeros((len(texts), longest), dtype=torch.bool)
    for row, text in enumerate(texts):
        ids[row, : len(text.ids)] = torch.from_numpy(text.ids)
        mask[row, : len(text.ids)] = 1
        own[row, : len(text.ids)] = torch.from_numpy(text.own)
    return ids.to(device), mask.to(device), own.to(device)


def _padded_states(states: Sequence[torch.Tensor], device: torch.device) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence([one.float() for one in states], batch_first=True).to(device)
