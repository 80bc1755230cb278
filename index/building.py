"""From chunks to everything that searches them: encode what is new, then dense, lexical and late index."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from index.calibration_questions import CALIBRATION_QUESTIONS
from index.config import IndexConfig
from index.dense import DenseIndex
from index.embedding_cache import EmbeddingCache
from index.encoder import Encoding, TextEncoder
from index.glossary import NO_GLOSSARY, Glossary
from index.late import LateIndex, TokenVectors, mean_token_vector
from index.lexical import LexicalIndex
from index.passages import embedded_text, lexical_document
from index.progress import ProgressListener
from index.schema import Chunk
from index.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class IndexParts:
    """What searches a list of chunks: row r of every part is chunk r."""

    dense: DenseIndex
    lexical: LexicalIndex
    late: LateIndex | None


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
) -> tuple[IndexParts, int]:
    """Build every part from what the cache holds, after encoding what it lacks (everything when ``full``).

    Returns the parts and how many passages were encoded. Raises StorageFailed where the cache cannot be used, and what
    DenseIndex.build raises.
    """
    texts = [embedded_text(chunk) for chunk in chunks]
    embedded = _encode(cache, encoder, texts, full=full, listener=listener)
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
    )
    listener.advance(1)
    listener.finish()
    return parts, embedded


def parts_of(
    chunks: Sequence[Chunk],
    encodings: Sequence[Encoding],
    config: IndexConfig,
    *,
    questions: Mapping[str, Sequence[TokenVectors]],
    tokenizer: Tokenizer,
    dimension: int,
    glossary: Glossary = NO_GLOSSARY,
) -> IndexParts:
    """Build every part from the encodings of the chunks' embedded texts, row by row.

    ``questions`` are those that late interaction is calibrated with, by language (calibration_vectors); none will do.
    ``glossary`` fills BM25's expansion field where that has a weight: it takes a millisecond a chunk.
    """
    names = glossary if config.lexical.expansion_weight > 0 else NO_GLOSSARY
    vectors = np.stack([encoding.vector for encoding in encodings]) if encodings else np.zeros((0, dimension))
    documents = [lexical_document(chunk, tokenizer, names) for chunk in chunks]
    tokens = [TokenVectors(encoding.token_vectors, encoding.token_ids) for encoding in encodings]
    return IndexParts(
        dense=DenseIndex.build(vectors.astype(np.float32), config.dense),
        lexical=LexicalIndex.build(documents, config.lexical),
        late=_late(tokens, questions, config) if config.late.enabled else None,
    )


def _late(
    tokens: Sequence[TokenVectors], questions: Mapping[str, Sequence[TokenVectors]], config: IndexConfig
) -> LateIndex:
    means = {language: mean_token_vector(asked) for language, asked in questions.items()}
    built = LateIndex.build(tokens, config.late, means)
    return built.calibrated([one for asked in questions.values() for one in asked])


class _QuestionEncoder:
    """An encoder that reads everything as a question, so that the cache keeps questions too."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self.fingerprint = f"{encoder.fingerprint}-question"

    def encode_passages(self, texts: Sequence[str]) -> Iterator[Encoding]:
        """Encode questions, in order."""
        return (self._encoder.encode_query(text) for text in texts)


def calibration_vectors(encode: Callable[[str], Encoding]) -> dict[str, list[TokenVectors]]:
    """Return the token vectors of the calibration questions of each language; ``encode`` encodes a question."""
    return {
        language: [TokenVectors(e.token_vectors, e.token_ids, language) for e in map(encode, texts)]
        for language, texts in CALIBRATION_QUESTIONS.items()
    }


def _cached_questions(cache: EmbeddingCache, encoder: TextEncoder) -> dict[str, list[TokenVectors]]:
    questions = _QuestionEncoder(encoder)
    for _ in cache.encode(questions, list(itertools.chain.from_iterable(CALIBRATION_QUESTIONS.values()))):
        pass
    return calibration_vectors(lambda text: cache.get(questions, text))


def _encode(
    cache: EmbeddingCache, encoder: TextEncoder, texts: Sequence[str], *, full: bool, listener: ProgressListener
) -> int:
    wanted = dict.fromkeys(texts) if full else cache.missing(encoder, texts)
    listener.start("encoding chunks", len(wanted))
    embedded = 0
    for _ in cache.encode(encoder, texts, anew=full):
        embedded += 1
        listener.advance(1)
    listener.finish()
    return embedded
