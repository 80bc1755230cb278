"""Short texts that the language model writes for retrieval, never shown: within a deadline, and remembered."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable

from index.errors import GenerationFailed
from service.answering.generator import LanguageModel, Prompt

_KEPT = 512

_log = logging.getLogger(__name__)


class Drafts:
    """What was written for the latest prompts, by model and prompt; the least recently asked for goes. Thread-safe.

    Writing is greedy, so the same prompt gets the same text again: remembering it changes nothing but the time.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._texts: OrderedDict[tuple[str, Prompt], str] = OrderedDict()
        self._lock = threading.Lock()

    def write(
        self, model: LanguageModel, prompt: Prompt, *, max_new_tokens: int, stop: Callable[[], bool]
    ) -> str | None:
        """Return the text, stripped; None where the model failed, which is logged, or ``stop()`` cut it off.

        What was cut off is thrown away: a search must not depend on how fast the machine happened to be.
        """
        key = (model.name, prompt)
        known = self._remembered(key)
        if known is not None or stop():
            return known
        try:
            text = "".join(model.write(prompt, max_new_tokens=max_new_tokens, stop=stop)).strip()
        except GenerationFailed as error:
            _log.exception("%s %s", error.message, error.hint)
            return None
        if stop():
            return None
        self._remember(key, text)
        return text

    def _remembered(self, key: tuple[str, Prompt]) -> str | None:
        with self._lock:
            if key in self._texts:
                self._texts.move_to_end(key)
            return self._texts.get(key)

    def _remember(self, key: tuple[str, Prompt], text: str) -> None:
        with self._lock:
            self._texts[key] = text
            self._texts.move_to_end(key)
            while len(self._texts) > self._kept:
                self._texts.popitem(last=False)
