"""The causal language model: a prompt in, pieces of text out as they are written.

Through transformers, on CUDA where there is one. The part of the prompt that is the same for every question (the
instruction) is read once and its key/value cache copied for each question.
"""

from __future__ import annotations

import copy
import inspect
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import TextIteratorStreamer
from transformers.utils import logging as transformers_logging

from index.encoder import choose_device
from index.errors import ConfigInvalid, GenerationFailed
from index.weights import ResolvedModel

_TURN_POLL_S = 0.05
_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Prompt:
    """``instruction`` is the same for every question of a language; ``request`` holds passages and question."""

    instruction: str
    request: str


class LanguageModel(Protocol):
    """What answering asks of a language model; the toy of the tests fulfils it too."""

    @property
    def name(self) -> str:
        """The model's name in the config."""

    def count_tokens(self, text: str) -> int:
        """Tokens of a text."""

    def write(self, prompt: Prompt, *, max_new_tokens: int, stop: Callable[[], bool]) -> Generator[str, None, None]:
        """Write greedily; ends at the model's own end, after ``max_new_tokens`` or soon after ``stop()`` is true."""


class TransformersModel:
    """A LanguageModel on transformers. One question at a time; others wait for their turn."""

    def __init__(self, resolved: ResolvedModel, *, device: str, dtype: str) -> None:
        self._name = resolved.name
        target = choose_device(device)
        transformers_logging.disable_progress_bar()  # it would run across the answer on a terminal
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(resolved.location)
            self._model = AutoModelForCausalLM.from_pretrained(
                resolved.location, dtype=choose_dtype(dtype, target), attn_implementation="sdpa"
            ).to(target)
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
            raise GenerationFailed(
                f"The language model {resolved.name!r} cannot be loaded: {error}",
                hint="Choose another with answering.model, or `none` to answer in the notes' own sentences.",
            ) from error
        if self._tokenizer.chat_template is None:
            raise GenerationFailed(
                f"The language model {resolved.name!r} has no chat template.",
                hint="Choose an instruction-tuned model.",
            )
        self._model.eval()
        self._prefixes: dict[str, tuple[list[int], DynamicCache]] = {}
        added: dict[str, int] = self._tokenizer.get_added_vocab()
        self._control_tokens = tuple(token for token in added if len(token) > 1 and not token.isalnum())
        # Logits of a whole prompt are its tokens times the vocabulary; only the last tokens' are wanted.
        self._keeps_logits = "logits_to_keep" in inspect.signature(self._model.forward).parameters
        self._turn = threading.Lock()

    @property
    def name(self) -> str:
        """The model's name in the config."""
        return self._name

    def count_tokens(self, text: str) -> int:
        """Tokens of a text."""
        return len(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def write(self, prompt: Prompt, *, max_new_tokens: int, stop: Callable[[], bool]) -> Generator[str, None, None]:
        """Write greedily; a caller that stops listening stops the writing."""
        left = threading.Event()
        streamer = TextIteratorStreamer(self._tokenizer, skip_prompt=True, skip_special_tokens=True)
        failures: list[Exception] = []

        def run() -> None:
            try:
                self._write_in_turn(prompt, streamer, max_new_tokens, lambda: left.is_set() or stop())
            except Exception as error:  # noqa: BLE001 - handed to the caller, who waits on the queue
                failures.append(error)
            finally:
                streamer.on_finalized_text("", stream_end=True)

        writer = threading.Thread(target=run, name="language-model", daemon=True)
        writer.start()
        try:
            yield from _pieces(streamer)
        finally:
            left.set()
            writer.join()
        if failures:
            raise GenerationFailed(
                f"The language model stopped with an error: {failures[0]}",
                hint="The log has the details; answering.model = 'none' answers without it.",
            ) from failures[0]

    def choice_probabilities(
        self, prompts: Sequence[Prompt], choices: Sequence[str], *, stop: Callable[[], bool]
    ) -> np.ndarray:
        """(n, choices) float32: how likely each choice is the next word, among the choices, after the first n prompts.

        A choice counts by its first token. What the prompts begin with in common is read once. ``stop`` is asked
        before every prompt; n is less than all prompts only when it was true. Raises ConfigInvalid for choices that
        begin with the same token, GenerationFailed where the model fails.
        """
        tokens = self._first_tokens(choices)
        logits = self._in_turn(lambda: self._next_token_logits(prompts, stop), stop)
        rows = [row[tokens].float().softmax(dim=-1).cpu().numpy() for row in logits]
        return np.array(rows, dtype=np.float32).reshape(len(rows), len(tokens))

    def log_likelihoods(self, prompts: Sequence[Prompt], continuation: str, *, stop: Callable[[], bool]) -> np.ndarray:
        """(n,) float32: the mean of log P(token | prompt, tokens before it) over the continuation's tokens.

        0 for a continuation without tokens. What the prompts begin with in common is read once. ``stop`` is asked
        before every prompt; n is less than all prompts only when it was true. Raises GenerationFailed where the model
        fails.
        """
        tokens = self._tokenizer(self._as_text(continuation), add_special_tokens=False)["input_ids"]
        means = self._in_turn(lambda: self._mean_log_probabilities(prompts, tokens, stop), stop)
        return np.array(means, dtype=np.float32)

    def _in_turn(self, read: Callable[[], list[_Read]], stop: Callable[[], bool]) -> list[_Read]:
        try:
            with self._own_turn(stop) as wanted:
                return read() if wanted else []
        except Exception as error:
            raise GenerationFailed(
                f"The language model stopped with an error: {error}", hint="The log has the details; try another model."
            ) from error

    def _first_tokens(self, choices: Sequence[str]) -> list[int]:
        encoded = [self._tokenizer(choice, add_special_tokens=False)["input_ids"] for choice in choices]
        tokens = [ids[0] for ids in encoded if ids]
        if len(set(tokens)) < len(choices):
            raise ConfigInvalid(
                f"The language model {self._name!r} cannot tell {', '.join(choices)} apart by their first token.",
                hint="Choose another reranker or another language model.",
            )
        return tokens

    @torch.inference_mode()
    def _next_token_logits(self, prompts: Sequence[Prompt], stop: Callable[[], bool]) -> list[torch.Tensor]:
        return [self._forward(rest, cache)[-1] for rest, cache in self._begun(prompts, stop)]

    @torch.inference_mode()
    def _mean_log_probabilities(
        self, prompts: Sequence[Prompt], tokens: list[int], stop: Callable[[], bool]
    ) -> list[float]:
        expected = torch.tensor(tokens, device=self._model.device)[:, None]
        means = []
        for rest, cache in self._begun(prompts, stop):
            if not tokens:
                means.append(0.0)
                continue
            logits = self._forward(rest + tokens[:-1], cache, keep=len(tokens))
            means.append(float(logits.float().log_softmax(dim=-1).gather(1, expected).mean()))
        return means

    def _begun(self, prompts: Sequence[Prompt], stop: Callable[[], bool]) -> Iterator[tuple[list[int], DynamicCache]]:
        """For each prompt the tokens still to be read, one at least, and the cache of those before them."""
        if not prompts:
            return
        ids = [self._prompt_ids(prompt) for prompt in prompts]
        # The last token is left for each prompt itself: reading it gives the logits.
        shared = _common_beginning([one[:-1] for one in ids])
        cache = self._read(prompts[0].instruction, shared)
        for one in ids:
            if stop():
                return
            yield one[len(shared) :], copy.deepcopy(cache)

    def _read(self, instruction: str, ids: list[int]) -> DynamicCache:
        """Key/value cache of ids, from that of the instruction where they begin with it."""
        prefix, instructed = self._prefix(instruction)
        begins = ids[: len(prefix)] == prefix
        cache = copy.deepcopy(instructed) if begins else DynamicCache(config=self._model.config)
        rest = ids[len(prefix) :] if begins else ids
        if rest:
            self._forward(rest, cache)
        return cache

    def _forward(self, ids: list[int], cache: DynamicCache, *, keep: int = 1) -> torch.Tensor:
        """(keep, vocabulary) logits of the token after each of the last ids; ``cache`` takes all of them in."""
        inputs = torch.tensor([ids], device=self._model.device)
        fewer = {"logits_to_keep": keep} if self._keeps_logits else {}
        logits: torch.Tensor = self._model(inputs, past_key_values=cache, use_cache=True, **fewer).logits
        return logits[0, -keep:]

    def _write_in_turn(
        self, prompt: Prompt, streamer: TextIteratorStreamer, max_new_tokens: int, stop: Callable[[], bool]
    ) -> None:
        with self._own_turn(stop) as wanted:
            if wanted:
                self._generate(prompt, streamer, max_new_tokens, stop)

    @contextmanager
    def _own_turn(self, stop: Callable[[], bool]) -> Iterator[bool]:
        """Wait for the others, no longer than somebody waits for us; who reads slowly keeps nobody waiting."""
        while not self._turn.acquire(timeout=_TURN_POLL_S):
            if stop():
                yield False
                return
        try:
            yield not stop()
        finally:
            self._turn.release()

    @torch.inference_mode()
    def _generate(
        self,
        prompt: Prompt,
        streamer: TextIteratorStreamer,
        max_new_tokens: int,
        stop: Callable[[], bool],
    ) -> None:
        ids = self._prompt_ids(prompt)
        prefix, cache = self._prefix(prompt.instruction)
        reused = copy.deepcopy(cache) if ids[: len(prefix)] == prefix else None
        inputs = torch.tensor([ids], device=self._model.device)
        self._model.generate(
            inputs,
            attention_mask=torch.ones_like(inputs),
            past_key_values=reused,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            streamer=streamer,
            stopping_criteria=StoppingCriteriaList([_StopWhen(stop)]),
            pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
        )

    def _prompt_ids(self, prompt: Prompt) -> list[int]:
        messages = [
            {"role": "system", "content": prompt.instruction},
            {"role": "user", "content": self._as_text(prompt.request)},
        ]
        ids = self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
        return list(ids)

    def _as_text(self, text: str) -> str:
        """Text in which no control token stands: a note with ``<|im_end|>`` in it must not end its own turn."""
        for token in self._control_tokens:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    @torch.inference_mode()
    def _prefix(self, instruction: str) -> tuple[list[int], DynamicCache]:
        """Token ids and key/value cache of what every prompt with this instruction begins with."""
        if instruction not in self._prefixes:
            one, other = (self._prompt_ids(Prompt(instruction, text)) for text in ("0", "A"))
            shared = next(i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
            cache = DynamicCache(config=self._model.config)
            self._model(torch.tensor([one[:shared]], device=self._model.device), past_key_values=cache, use_cache=True)
            self._prefixes[instruction] = one[:shared], cache
        return self._prefixes[instruction]


def _common_beginning(sequences: Sequence[list[int]]) -> list[int]:
    length = 0
    for column in zip(*sequences, strict=False):
        if len(set(column)) > 1:
            break
        length += 1
    return sequences[0][:length]


class _StopWhen(StoppingCriteria):  # type: ignore[misc] # transformers is untyped here
    def __init__(self, stop: Callable[[], bool]) -> None:
        self._stop = stop

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:  # noqa: ARG002
        return torch.full((input_ids.shape[0],), self._stop(), dtype=torch.bool, device=input_ids.device)


def _pieces(streamer: TextIteratorStreamer) -> Iterator[str]:
    for piece in streamer:
        if piece:
            yield piece


def choose_dtype(configured: str, device: str) -> torch.dtype:
    """Resolve ``auto``: half precision on a GPU, on a CPU whichever of bfloat16 and float32 multiplies faster here."""
    if configured != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[configured]
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    # Without AVX512-BF16 or AMX, bfloat16 is emulated and ten times slower; with them it is twice as fast.
    return min((torch.float32, torch.bfloat16), key=_matmul_seconds)


def _matmul_seconds(dtype: torch.dtype) -> float:
    left, right = torch.ones(64, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
    left @ right  # the first call of a kernel pays for its setup
    started = time.perf_counter()
    for _ in range(3):
        left @ right
    return time.perf_counter() - started
