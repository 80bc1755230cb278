"""From checked sentences to the text that is shown: ``[n]`` marks, and the citations they point to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from service.answering.context import Sentence
from service.answering.exchange import Citation

_CLOSING = re.compile(r"[。！？；…!?.;：:]*[\"'”’」』）)】》*_]*\s*$")
_LIST_MARK = re.compile(r"^\s*(?:[-*+]\s+)+")
_FENCE = "```"
_GLUE_AFTER = "。！？；…"


@dataclass(frozen=True, slots=True)
class CitedSentence:
    """A sentence of the answer, without mark, and the sentence of the notes that supports it."""

    text: str
    source: Sentence


def compose(sentences: Sequence[CitedSentence]) -> tuple[str, tuple[Citation, ...]]:
    """Text with a mark in every sentence, and the citations numbered by first use.

    One number a chunk; its quote is the first supporting sentence, as it stands in the chunk.
    """
    citations: dict[str, Citation] = {}
    text = ""
    for sentence in sentences:
        chunk = sentence.source.chunk
        if chunk.id not in citations:
            citations[chunk.id] = Citation(
                n=len(citations) + 1,
                chunk_id=chunk.id,
                note=chunk.note,
                heading=chunk.heading,
                lines=chunk.lines,
                quote=sentence.source.text.strip(),
            )
        text = _joined(text, marked(sentence.text, citations[chunk.id].n), breaks=_starts_line(sentence))
    return text, tuple(citations.values())


def marked(sentence: str, n: int) -> str:
    """Put the mark inside of the sentence, before its closing punctuation: it belongs to what it follows."""
    sentence = sentence.strip()
    if sentence.startswith(_FENCE):
        return f"{sentence}\n[{n}]"
    closing = _CLOSING.search(sentence)
    end = closing.start() if closing else len(sentence)
    body = sentence[:end].rstrip()
    space = " " if body[-1:].isascii() else ""
    return f"{body}{space}[{n}]{sentence[end:].strip()}"


def without_list_mark(sentence: str) -> str:
    """A sentence of the notes as it reads outside of its list."""
    return _LIST_MARK.sub("", sentence).strip()


def _starts_line(sentence: CitedSentence) -> bool:
    source = sentence.source.text
    return bool(_LIST_MARK.match(source)) or source.lstrip()[:1].isdigit() or _FENCE in source or "|" in source


def _joined(text: str, sentence: str, *, breaks: bool) -> str:
    if not text:
        return sentence
    if breaks or text.endswith("\n"):
        return f"{text}\n{sentence}"
    return f"{text}{'' if text[-1] in _GLUE_AFTER else ' '}{sentence}"
