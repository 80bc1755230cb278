"""What of a chunk each part of the index sees."""

from __future__ import annotations

from index.glossary import NO_GLOSSARY, Glossary, expansion_terms
from index.postings import LexicalDocument
from index.schema import Chunk
from index.tokenizer import Tokenizer

PASSAGES_VERSION = 1


def embedded_text(chunk: Chunk) -> str:
    """What the encoder reads: the heading path, then the body.

    In study notes the heading is the question and the body its answer; neither is understood without the other.
    """
    return "\n".join([*heading_lines(chunk), chunk.text])


def lexical_document(chunk: Chunk, tokenizer: Tokenizer, glossary: Glossary = NO_GLOSSARY) -> LexicalDocument:
    """What BM25 counts, by field: heading path, body, and what the glossary calls their names elsewhere."""
    return LexicalDocument(
        heading=tokenizer.terms("\n".join(heading_lines(chunk))),
        body=tokenizer.terms(chunk.text),
        expansion=expansion_terms(embedded_text(chunk), glossary, tokenizer) if glossary.pairs else (),
    )


def heading_lines(chunk: Chunk) -> list[str]:
    """The heading path as one line, or none; the note's title leads where the path does not name it."""
    path = list(chunk.heading)
    if chunk.title and chunk.title not in path:
        path.insert(0, chunk.title)
    return [" > ".join(path)] if path else []
