"""Whether a passage says what a sentence says, and which one: citations are tied here, after the writing.

The model's word is not taken for anything. A sentence is supported by the passage whose tokens meet its tokens best
(late interaction, the sentence read as a passage), if they do so well enough and if no number and no name in it is
missing from the passages and the question: a number that stands nowhere is the surest sign of invention.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from index.encoder import TextEncoder
from index.late import TokenVectors
from index.normalise import normalise
from index.snapshot import Snapshot
from index.tokenizer import Tokenizer
from service.answering.context import Sentence

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_LATIN_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-.][A-Za-z0-9]+)*")
_HAN = re.compile(r"[\u3400-\u9fff]")
_SINGLE_DIGIT = 1
_MARK = re.compile(r"\s*\[\d+\]")


@dataclass(frozen=True, slots=True)
class Support:
    """What backs a written sentence: the passage it is tied to, how well, and the details that stand nowhere."""

    sentence: str
    passage: Sentence | None
    similarity: float
    invented: tuple[str, ...]


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
    """Tie one written sentence to the best of the passages that were shown, or to none."""
    text = without_marks(sentence)
    sources = " ".join([question, *(passage.text for passage in passages), *_headings(passages)])
    invented = invented_details(text, sources, tokenizer)
    best, similarity = _closest(text, passages, snapshot, encoder)
    supported = best is not None and similarity >= minimum and not invented
    return Support(sentence=text, passage=best if supported else None, similarity=similarity, invented=invented)


def quoted_sentence(sentence: str, passage: Sentence, shown: Sequence[Sentence], tokenizer: Tokenizer) -> Sentence:
    """The shown sentence of the supporting chunk with most of a written one's terms: what its citation quotes."""
    terms = set(tokenizer.terms(sentence))
    own = [candidate for candidate in shown if candidate.chunk.id == passage.chunk.id]
    return max(own, key=lambda candidate: (len(terms & set(tokenizer.terms(candidate.text))), candidate.score))


def without_marks(text: str) -> str:
    """Text without ``[n]`` marks: the model's own are never believed."""
    return _MARK.sub("", text)


def invented_details(sentence: str, sources: str, tokenizer: Tokenizer) -> tuple[str, ...]:
    """Numbers and names of a sentence that stand in no source, in the order of the sentence.

    In a Chinese sentence every Latin word is a name; in an English one those with a capital letter or a digit after
    the first word. A single digit is no detail: it counts steps and items.
    """
    known = normalise(sources)
    terms = set(tokenizer.terms(sources))
    invented = [number for number in _NUMBER.findall(normalise(sentence)) if _is_detail(number) and number not in known]
    invented += [
        name for name in _names(sentence) if normalise(name) not in known and not set(tokenizer.terms(name)) <= terms
    ]
    return tuple(invented)


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


def _closest(
    text: str, passages: Sequence[Sentence], snapshot: Snapshot, encoder: TextEncoder
) -> tuple[Sentence | None, float]:
    if not passages or not text.strip():
        return None, -1.0
    read = next(iter(encoder.encode_passages([text])))
    tokens = TokenVectors(read.token_vectors, read.token_ids)
    by_chunk = {passage.chunk.id: passage for passage in reversed(passages)}
    scored = [(_similarity(tokens, passage, snapshot, encoder), passage) for passage in by_chunk.values()]
    similarity, best = max(scored, key=lambda pair: (pair[0], -pair[1].hit))
    return best, similarity


def _similarity(tokens: TokenVectors, passage: Sentence, snapshot: Snapshot, encoder: TextEncoder) -> float:
    if snapshot.late is not None:
        row = snapshot.rows_by_id[passage.chunk.id]
        return float(snapshot.late.token_weights(tokens) @ snapshot.late.match(tokens, row).max(axis=1, initial=-1.0))
    other = next(iter(encoder.encode_passages([passage.chunk.text])))
    return float((tokens.vectors @ other.token_vectors.T).max(axis=1).mean())
