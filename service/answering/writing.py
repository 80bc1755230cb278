"""Writing and checking in one: each sentence is checked as soon as it is written, and the first bad one ends it.

A small model that has left the passages does not come back to them, and on a CPU its next sentence takes seconds;
so a draft is believed as a whole or not at all.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from index.encoder import TextEncoder
from index.snapshot import Snapshot
from index.tokenizer import Tokenizer
from ingest.language import language_of
from ingest.sentences import split_sentences
from service.answering.composing import CitedSentence, without_list_mark
from service.answering.context import Sentence
from service.answering.exchange import TokenEvent
from service.answering.generator import LanguageModel
from service.answering.prompts import build_prompt, is_refusal
from service.answering.query import Query
from service.answering.support import find_support, without_marks
from service.answering.timings import Timings, milliseconds_since

WRITING = "writing"
CHECK = "check"
_SENTENCE_ENDS = "。！？!?.…；;」』”\"')）`"
_LEAD_IN_ENDS = "：:"
_EMPHASIS = re.compile(r"\*\*|__")


@dataclass(frozen=True, slots=True)
class Checker:
    """What a written sentence is held against."""

    query: Query
    shown: Sequence[Sentence]
    snapshot: Snapshot
    encoder: TextEncoder
    tokenizer: Tokenizer
    min_support: float

    def support(self, sentence: str) -> Sentence | None:
        """The sentence of the notes that supports a written one, None for none and for one in another language."""
        if (language_of(sentence) == "en") != (self.query.language == "en"):
            return None
        return find_support(
            sentence,
            question=self.query.text,
            passages=self.shown,
            snapshot=self.snapshot,
            encoder=self.encoder,
            tokenizer=self.tokenizer,
            minimum=self.min_support,
        ).source

    def says_nothing_new(self, sentence: str, kept: Sequence[CitedSentence]) -> bool:
        """Whether a sentence is a lead-in, or says only what the question or an earlier sentence said."""
        terms = set(self.tokenizer.terms(sentence))
        earlier = (set(self.tokenizer.terms(other.text)) for other in kept)
        return sentence[-1] in _LEAD_IN_ENDS or terms <= set(self.query.terms) or any(terms <= said for said in earlier)


def write_checked(
    model: LanguageModel, checker: Checker, *, max_new_tokens: int, stop: Callable[[], bool], timings: Timings
) -> Generator[TokenEvent, None, list[CitedSentence]]:
    """Have the model write, passing its words on; returns the supported sentences, none for a rejected draft.

    Raises GenerationFailed.
    """
    prompt = build_prompt(checker.query.text, checker.shown, checker.query.language)
    kept: list[CitedSentence] = []
    pending = ""
    started = time.perf_counter()
    writing = model.write(prompt, max_new_tokens=max_new_tokens, stop=stop)
    try:
        for piece in writing:
            timings.stages.setdefault("first_token", milliseconds_since(started))
            yield TokenEvent(piece)
            *complete, pending = split_sentences(pending + piece) or [""]
            with timings.measure(CHECK):
                if not all(_keep(sentence, kept, checker) for sentence in complete):
                    return []
    finally:
        writing.close()
        timings.stages[WRITING] = milliseconds_since(started)
    with timings.measure(CHECK):
        # What the token limit or the deadline cut off is dropped, unless it is all there is.
        is_whole = pending.strip()[-1:] in _SENTENCE_ENDS or not kept
        return kept if not is_whole or _keep(pending, kept, checker) else []


def _keep(sentence: str, kept: list[CitedSentence], checker: Checker) -> bool:
    """Add a sentence to the kept ones if it says something; False if what it says is supported by nothing."""
    text = without_list_mark(_EMPHASIS.sub("", without_marks(sentence)))
    if not any(character.isalnum() for character in text) or checker.says_nothing_new(text, kept):
        return True
    if is_refusal(text, checker.query.language):
        return False
    source = checker.support(text)
    if source is None:
        return False
    kept.append(CitedSentence(text, source))
    return True
