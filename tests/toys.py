"""Deterministic stand-ins for models: exact, offline, and fast. Nothing in the packages knows them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from index.encoder import Encoding

# A Chinese character, a run of letters and digits, or any other visible character.
_TOKEN = re.compile(r"[\u4e00-\u9fff]|[A-Za-z0-9]+|[^\sA-Za-z0-9\u4e00-\u9fff]")


@dataclass
class ToyEncoder:
    """An encoder without a model: every word has a fixed random vector, so equal words match and others do not.

    A sentence vector is the mean of its tokens' vectors. ``encoded`` holds every passage that was ever encoded, in
    order. ``version`` stands for the weights: another one gives other vectors and another fingerprint.
    """

    version: int = 0
    size: int = 32
    max_tokens: int = 512
    encoded: list[str] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        return f"toy-{self.version}-{self.size}-{self.max_tokens}"

    @property
    def dimension(self) -> int:
        return self.size

    def count_tokens(self, text: str) -> int:
        return len(_TOKEN.findall(text))

    def encode_passages(self, texts: Sequence[str]) -> Iterator[Encoding]:
        for text in texts:
            self.encoded.append(text)
            yield self._encode(text)

    def encode_query(self, text: str) -> Encoding:
        return self._encode(text)

    def encode_queries(self, texts: Sequence[str]) -> Iterator[Encoding]:
        return (self.encode_query(text) for text in texts)

    def passage_spans(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in _TOKEN.finditer(text)][: self.max_tokens]

    def take_encoded(self) -> list[str]:
        """Return what was encoded since the last time, sorted."""
        taken, self.encoded = sorted(self.encoded), []
        return taken

    def _encode(self, text: str) -> Encoding:
        words = [text[start:end].lower() for start, end in self.passage_spans(text)]
        vectors = np.array([self._word_vector(word) for word in words], dtype=np.float32).reshape(-1, self.size)
        mean = vectors.mean(axis=0) if words else self._word_vector("")
        return Encoding(
            vector=(mean / np.linalg.norm(mean)).astype(np.float32),
            token_vectors=vectors,
            token_ids=np.array([_word_id(word) for word in words], dtype=np.int32),
        )

    def _word_vector(self, word: str) -> np.ndarray:
        seed = hashlib.sha256(f"{self.version} {word}".encode()).digest()[:8]
        vector = np.random.default_rng(int.from_bytes(seed, "little")).normal(size=self.size)
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


@dataclass
class AskedEncoder(ToyEncoder):
    """Keeps every question that it encoded."""

    asked: list[str] = field(default_factory=list)

    def encode_query(self, text: str) -> Encoding:
        self.asked.append(text)
        return super().encode_query(text)


def _word_id(word: str) -> int:
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:3], "little")
