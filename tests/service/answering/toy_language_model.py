"""A language model that writes what it was told to: exact, offline, and as slow or as broken as a test wants it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from index.errors import GenerationFailed
from service.answering.generator import Prompt


@dataclass
class ToyLanguageModel:
    """Writes ``pieces``, one a token, each after ``seconds``; fails after ``fails_after`` of them.

    A character is a token. ``prompts`` are those it was asked with, ``given`` the pieces that were taken, and
    ``closed`` says that whoever asked let it go.
    """

    pieces: Sequence[str] = ()
    seconds: float = 0.0
    fails_after: int | None = None
    prompts: list[Prompt] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    closed: bool = False

    @property
    def name(self) -> str:
        return "toy"

    def count_tokens(self, text: str) -> int:
        return len(text)

    def write(self, prompt: Prompt, *, max_new_tokens: int, stop: Callable[[], bool]) -> Generator[str, None, None]:
        self.prompts.append(prompt)
        try:
            for number, piece in enumerate(self.pieces[:max_new_tokens]):
                if number == self.fails_after:
                    raise GenerationFailed("The toy broke.", hint="Mend it.")
                time.sleep(self.seconds)
                if stop():
                    return
                self.given.append(piece)
                yield piece
        finally:
            self.closed = True
