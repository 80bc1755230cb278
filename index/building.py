"""From chunks to everything that searches them: encode what is new, then dense, lexical and late index, concepts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from index.calibration_questions import CALIBRATION_QUESTIONS
from index.concept_index import ConceptIndex
from index.concepts import Concept, NamedConcept, concepts_of, named_concepts
from index.config import IndexConfig
from index.dense import DenseIndex
from index.embedding_cache import CachedEncoder, EmbeddingCache
from index.encoder import Encoding, TextEncoder
from index.glossary import NO_GLOSSARY, Glossary
from index.late import LateIndex, TokenVectors, mean_token_vector
from index.lexical import LexicalIndex
from index.passages import embedded_text, lexical_document
from index.progress import ProgressListener
from index.schema import Chunk
from index.tokenizer import Tokenizer

_WRITTEN_SALIENCE = 1.0  # a chunk is about nothing more than about what was asked of it


@dataclass(frozen=True, slots=True)
class IndexParts:
    """What searches a list of chunks: row r of every part is chunk r."""

    dense: DenseIndex
    lexical: LexicalIndex
    late: LateIndex | None
    concepts: ConceptIndex | None = None


def build_parts(
    chunks: Sequence[Chunk],
    cache: EmbeddingCache,
    config: IndexConfig,
    *,
    encoder: TextEncoder,
    tokenizer: Tokenizer,
    full: bool,
    listener: ProgressListener,
    glossary: Glossary = NO_GLOSSARY,
    written: Mapping[int, Sequence[str]] | None = None,
) -> tuple[IndexParts, int]:
    """Build every part from what the cache holds, after encoding what it lacks (everything when ``full``).

    ``written`` are questions that chunks answer, by row; each chunk is found through its own as through a concept.

    Returns the parts and how many passages were encoded. Raises StorageFailed where the cache cannot be used,
    ConfigInvalid for a file of concepts that cannot be read, and what DenseIndex.build raises.
    """
    texts = [embedded_text(chunk) for chunk in chunks]
    named = [*_concepts(chunks, config), *_asked_about(chunks, written or {}, config)]
    embedded = _encode(cache, encoder, texts, full=full, listener=listener, what="encoding chunks")
    described = _QuestionEncoder(encoder)
    descriptions = [text for each in named for text in each.concept.descriptions]
    if descriptions:
        _encode(cache, described, descriptions, full=full, listener=listener, what="encoding concepts")
    listener.start("building the index", 1)
    encodings = [cache.get(encoder, text) for text in texts]
    questions = _cached_questions(cache, encoder) if config.late.enabled else {}
    parts = parts_of(
        chunks,
        encodings,
        config,
        questions=questions,
        tokenizer=tokenizer,
        dimension=encoder.dimension,
        glossary=glossary,
        named=named,
        descriptions=[cache.get(described, text) for text in descriptions],
    )
    listener.advance(1)
    listener.finish()
    return parts, embedded


def parts_of(
    chunks: Sequence[Chunk],
    encodings: Sequence[Encoding],
    config: IndexConfig,
    *,
    questions: Mapping[str, Sequence[Encoding]],
    tokenizer: Tokenizer,
    dimension: int,
    glossary: Glossary = NO_GLOSSARY,
    named: Sequence[NamedConcept] = (),
    descriptions: Sequence[Encoding] = (),
) -> IndexParts:
    """Build every part from the encodings of the chunks' embedded texts, row by row.

    ``questions`` are those that late interaction is calibrated with, by language (calibration_encodings); none will do.
    ``glossary`` fills BM25's expansion field where that has a weight: it takes a millisecond a chunk.
    ``named`` are concepts that the chunks name, ``descriptions`` the encodings, as questions, of theirs in order;
    without ``questions`` they are left out.
    """
    names = glossary if config.lexical.expansion_weight > 0 else NO_GLOSSARY
    vectors = np.stack([encoding.vector for encoding in encodings]) if encodings else np.zeros((0, dimension))
    documents = [lexical_document(chunk, tokenizer, names) for chunk in chunks]
    tokens = [TokenVectors.of(encoding) for encoding in encodings]
    return IndexParts(
        dense=DenseIndex.build(vectors.astype(np.float32), config.dense),
        lexical=LexicalIndex.build(documents, config.lexical),
        late=_late(tokens, questions, config) if config.late.enabled else None,
        concepts=ConceptIndex.build(named, descriptions, config.late, questions=questions, chunks=len(chunks))
        if named and questions
        else None,
    )


def _concepts(chunks: Sequence[Chunk], config: IndexConfig) -> list[NamedConcept]:
    """The concepts that the chunks name, if they are of the concepts' field; it takes token vectors to use them."""
    named = named_concepts(chunks, concepts_of(config.concepts)) if config.late.enabled else []
    return named if sum(len(each.rows) for each in named) >= config.concepts.least_named * len(chunks) else []


def _asked_about(
    chunks: Sequence[Chunk], written: Mapping[int, Sequence[str]], config: IndexConfig
) -> list[NamedConcept]:
    """Each chunk as a concept of its own, named by its heading, that the questions written for it describe."""
    rows = [row for row in sorted(written) if written[row]] if config.late.enabled else []
    return [
        NamedConcept(
            Concept((_name(chunks[row]),), tuple(written[row])),
            rows=np.array([row], dtype=np.int64),
            salience=np.array([_WRITTEN_SALIENCE], dtype=np.float32),
        )
        for row in rows
    ]


def _name(chunk: Chunk) -> str:
    return next((title for title in (*chunk.heading[::-1], chunk.title) if title), chunk.note)


def _late(
    tokens: Sequence[TokenVectors], questions: Mapping[str, Sequence[Encoding]], config: IndexConfig
) -> LateIndex:
    asked = {language: [TokenVectors.of(one, language) for one in texts] for language, texts in questions.items()}
    means = {language: mean_token_vector(texts) for language, texts in asked.items()}
    built = LateIndex.build(tokens, config.late, means)
    return built.calibrated([one for texts in asked.values() for one in texts])


class _QuestionEncoder:
    """An encoder that reads everything as a question, so that the cache keeps questions too."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self.fingerprint = f"{encoder.fingerprint}-question"

    def encode_passages(self, texts: Sequence[str]) -> Iterator[Encoding]:
        """Encode questions, in order."""
        return self._encoder.encode_queries(texts)


def calibration_encodings(encode: Callable[[str], Encoding]) -> dict[str, list[Encoding]]:
    """Return the calibration questions of each language, encoded as ``encode`` encodes a question."""
    return {language: [encode(text) for text in texts] for language, texts in CALIBRATION_QUESTIONS.items()}


def _cached_questions(cache: EmbeddingCache, encoder: TextEncoder) -> dict[str, list[Encoding]]:
    questions = _QuestionEncoder(encoder)
    for _ in cache.encode(questions, list(itertools.chain.from_iterable(CALIBRATION_QUESTIONS.values()))):
        pass
    return calibration_encodings(lambda text: cache.get(questions, text))


def _encode(
    cache: EmbeddingCache,
    encoder: CachedEncoder,
    texts: Sequence[str],
    *,
    full: bool,
    listener: ProgressListener,
    what: str,
) -> int:
    wanted = dict.fromkeys(texts) if full else cache.missing(encoder, texts)
    listener.start(what, len(wanted))
    embedded = 0
    for _ in cache.encode(encoder, texts, anew=full):
        embedded += 1
        listener.advance(1)
    listener.finish()
    return embedded
