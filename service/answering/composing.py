"""From checked sentences to the text that is shown: ``[n]`` marks, and the citations they point to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from service.answering.context import Sentence
from service.answering.exchange import Citation
from service.answering.support import without_marks

# Quotes and brackets close a sentence only behind its full stop: those of `f(x)` or `__init__` belong to a word.
_CLOSING = re.compile(r"(?:[。！？；…!?.;：:]+[\"'”’」』）)】》*_]*)?\s*$")
_LIST_MARK = re.compile(r"^\s*(?:[-*+]\s+)+")
_FENCE = "```"
_DISPLAY = "$$"
_CELL_BORDER = "|"
_TABLE_RULE = re.compile(r"\|[-:|\s]*-[-:|\s]*\|")
_GLUE_AFTER = "。！？；…"


@dataclass(frozen=True, slots=True)
class CitedSentence:
    """A sentence of the answer, without mark, and the sentence of the notes that supports it."""

    text: str
    source: Sentence


def compose(sentences: Sequence[CitedSentence]) -> tuple[str, tuple[Citation, ...]]:
    """Text with a mark in every sentence, and the citations numbered by first use.

    One number a chunk; its quote is the first supporting sentence, as it stands in the chunk. Marks that the sentences
    bring along (a paper's reference numbers) are dropped: they would seem to point to a citation of ours.
    """
    citations: dict[str, Citation] = {}
    text = ""
    for sentence in sentences:
        chunk = sentence.source.chunk
        own = without_marks(sentence.text)
        if text and _TABLE_RULE.fullmatch(own.strip()):
            # It says nothing, and would no longer be a rule with a mark in it.
            text = f"{text}\n{own.strip()}"
            continue
        if chunk.id not in citations:
            citations[chunk.id] = Citation(
                n=len(citations) + 1,
                chunk_id=chunk.id,
                note=chunk.note,
                heading=chunk.heading,
                lines=chunk.lines,
                quote=sentence.source.text.strip(),
            )
        text = _joined(text, marked(own, citations[chunk.id].n), breaks=_starts_line(sentence))
    return text, tuple(citations.values())


def marked(sentence: str, n: int) -> str:
    """Put the mark inside of the sentence, before its closing punctuation: it belongs to what it follows.

    What stands on several lines gets one on each, but for code and displayed formulas, which get one behind them.
    """
    sentence = sentence.strip()
    if _FENCE in sentence or sentence.endswith(_DISPLAY):
        return f"{sentence}\n[{n}]"
    if "\n" in sentence and _DISPLAY not in sentence:
        return "\n".join(marked(line, n) if _has_words(line) else line for line in sentence.split("\n"))
    if sentence.startswith(_CELL_BORDER) and sentence.endswith(_CELL_BORDER) and len(sentence) > 1:
        return f"{sentence[:-1].rstrip()} [{n}] |"
    closing = _CLOSING.search(sentence)
    end = closing.start() if closing else len(sentence)
    body = sentence[:end].rstrip()
    space = " " if body and body[-1].isascii() else ""
    return f"{body}{space}[{n}]{sentence[end:].strip()}"


def _has_words(line: str) -> bool:
    return any(character.isalnum() for character in line)


def without_list_mark(sentence: str) -> str:
    """A sentence of the notes as it reads outside of its list."""
    return _LIST_MARK.sub("", sentence).strip()


def _starts_line(sentence: CitedSentence) -> bool:
    source = sentence.source.text
    is_block = sentence.text.lstrip().startswith((_FENCE, _DISPLAY, _CELL_BORDER))
    is_item = bool(_LIST_MARK.match(source)) or source.lstrip()[:1].isdigit()
    return is_block or is_item or _FENCE in source or _CELL_BORDER in source


def _joined(text: str, sentence: str, *, breaks: bool) -> str:
    if not text:
        return sentence
    if breaks or text.endswith(_CELL_BORDER):
        return f"{text}\n{sentence}"
    return f"{text}{'' if text[-1] in _GLUE_AFTER else ' '}{sentence}"
