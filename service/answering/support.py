"""Whether a passage says what a sentence says, and which one: citations are tied here, after the writing.

The model's word is not taken for anything. A sentence is supported by the sentences of the notes whose tokens meet
its tokens best (late interaction, the sentence read as a passage), if they do so well enough and if no number and no
name in it is missing from the passages and the question: a number that stands nowhere is the surest sign of
invention.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from index.encoder import TextEncoder
from index.late import TokenVectors
from index.normalise import normalise
from index.snapshot import Snapshot
from index.tokenizer import Tokenizer
from ingest.sentences import verbatim_spans
from service.answering.context import Sentence

_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|\d+(?:\.\d+)*")
_LATIN_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-.][A-Za-z0-9]+)*")
_HAN = re.compile(r"[\u3400-\u9fff]")
_SINGLE_DIGIT = 1
# Set on drafts of the bundled 0.5B model read by hand: what was wrong had less of one or of the other.
_LEAST_COPIED = 0.5
_MOSTLY_COPIED = 0.8
_VERBATIM_RELIEF = 0.15  # of similarity for what is copied nearly word for word
_MARK = re.compile(r"\s*\[\d+\]")


@dataclass(frozen=True, slots=True)
class Support:
    """What backs a written sentence: the sentence of the notes it is tied to, None for nothing, and why.

    ``similarity`` and ``copied`` are those of the best window of the passages, ``invented`` the details that stand
    nowhere.
    """

    source: Sentence | None
    similarity: float
    copied: float
    invented: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Window:
    """One sentence of the notes, or two that follow each other, with what a written sentence has in common with it."""

    source: Sentence
    similarity: float
    copied: float
    same_script: bool

    def agreement(self) -> float:
        """By what the best window is chosen."""
        return self.similarity + self.copied


def find_support(
    sentence: str,
    *,
    question: str,
    passages: Sequence[Sentence],
    snapshot: Snapshot,
    encoder: TextEncoder,
    tokenizer: Tokenizer,
    minimum: float,
) -> Support:
    """Tie one written sentence to the one or two neighbouring sentences of the passages that say the same.

    A whole passage would not do: a small model joins the name of one sentence to the property of another, and both
    stand in the passage. Where notes and sentence are in one language, most of the sentence's character trigrams must
    be theirs as well (those of the question aside): what says the same in few words of its own.
    """
    text = without_marks(sentence)
    sources = " ".join([question, *(passage.text for passage in passages), *_headings(passages)])
    invented = invented_details(text, sources, tokenizer)
    windows = _windows(text, question, passages, snapshot, encoder)
    if not windows:
        return Support(None, -1.0, 0.0, invented)
    best = max(windows, key=_Window.agreement)
    paraphrased = best.similarity >= minimum and best.copied >= _LEAST_COPIED
    verbatim = best.similarity >= minimum - _VERBATIM_RELIEF and best.copied >= _MOSTLY_COPIED
    enough = paraphrased or (verbatim and best.same_script)
    return Support(best.source if enough and not invented else None, best.similarity, best.copied, invented)


def _windows(
    text: str, question: str, passages: Sequence[Sentence], snapshot: Snapshot, encoder: TextEncoder
) -> list[_Window]:
    read = next(iter(encoder.encode_passages([text])), None)
    if read is None or not text.strip():
        return []
    tokens = TokenVectors.of(read)

    def measure(*parts: Sentence) -> _Window:
        similarity = _similarity(tokens, parts, snapshot, encoder)
        source = "".join(part.text for part in parts)
        copied = copied_share(text, source, question, parts[0].chunk.heading)
        return _Window(parts[0], similarity, copied, _same_script(text, source))

    windows = [measure(passage) for passage in passages]
    for first, second in pairwise(list(windows)):
        if _follow_each_other([first.source, second.source]):
            # The one that says more of it is what a citation quotes.
            source = max(first, second, key=_Window.agreement).source
            windows.append(replace(measure(first.source, second.source), source=source))
    return windows


def _follow_each_other(window: Sequence[Sentence]) -> bool:
    first, last = window[0], window[-1]
    return first.chunk.id == last.chunk.id and last.position - first.position == len(window) - 1


def copied_share(text: str, source: str, question: str, heading: Sequence[str]) -> float:
    """Share of a sentence's character trigrams that stand in the source or its heading, the question's left out.

    1 where nothing but the question's is left, and where sentence and source are in different scripts: then only
    the vectors can tell.
    """
    if not _same_script(text, source):
        return 1.0
    own = _trigrams(text) - _trigrams(question)
    theirs = _trigrams(source) | _trigrams(" ".join(heading))
    return len(own & theirs) / len(own) if own else 1.0


def _same_script(text: str, source: str) -> bool:
    return bool(_HAN.search(text)) == bool(_HAN.search(source))


def _trigrams(text: str) -> set[str]:
    letters = "".join(character for character in normalise(text) if character.isalnum())
    return {letters[i : i + 3] for i in range(len(letters) - 2)}


def without_marks(text: str) -> str:
    """Text without ``[n]`` marks outside of code and formulas: the model's own are never believed."""
    verbatim = verbatim_spans(text)
    return _MARK.sub(lambda mark: mark.group() if _overlaps(mark.span(), verbatim) else "", text)


def _overlaps(span: tuple[int, int], others: Sequence[tuple[int, int]]) -> bool:
    return any(start < span[1] and span[0] < end for start, end in others)


def invented_details(sentence: str, sources: str, tokenizer: Tokenizer) -> tuple[str, ...]:
    """Numbers and names of a sentence that stand in no source, in the order of the sentence.

    In a Chinese sentence every Latin word is a name; in an English one those with a capital letter or a digit after
    the first word. A single digit is no detail: it counts steps and items.
    """
    known = normalise(sources)
    terms = set(tokenizer.terms(sources))
    numbers = set(_numbers(known))
    invented = [number for number in _numbers(normalise(sentence)) if _is_detail(number) and number not in numbers]
    invented += [
        name for name in _names(sentence) if normalise(name) not in known and not set(tokenizer.terms(name)) <= terms
    ]
    return tuple(invented)


def _numbers(text: str) -> list[str]:
    """Whole numbers, so that 20 does not stand in 2017, without the commas of thousands."""
    return [number.replace(",", "") for number in _NUMBER.findall(text)]


def _is_detail(number: str) -> bool:
    return len(number) > _SINGLE_DIGIT


def _names(sentence: str) -> list[str]:
    words = [match for match in _LATIN_WORD.finditer(sentence) if len(match.group()) > 1]
    if _HAN.search(sentence):
        return [match.group() for match in words]
    return [
        match.group()
        for match in words
        if match.start() > 0
        and any(c.isupper() or c.isdigit() for c in match.group())
        and sentence[: match.start()].rstrip()[-1:] not in {".", "!", "?", ":"}
    ]


def _headings(passages: Sequence[Sentence]) -> list[str]:
    return list(dict.fromkeys(" ".join((passage.chunk.title, *passage.chunk.heading)) for passage in passages))


def _similarity(tokens: TokenVectors, window: Sequence[Sentence], snapshot: Snapshot, encoder: TextEncoder) -> float:
    if snapshot.late is not None:
        match = snapshot.late.match(tokens, snapshot.rows_by_id[window[0].chunk.id])
        own = match[:, window[0].tokens[0] : window[-1].tokens[1]]
        return float(snapshot.late.token_weights(tokens) @ own.max(axis=1, initial=-1.0))
    other = next(iter(encoder.encode_passages(["".join(part.text for part in window)])))
    return float((tokens.vectors @ other.token_vectors.T).max(axis=1, initial=-1.0).mean())
