"""From hits to the sentences that may answer: each sentence of the best chunks with how well it meets the question.

A sentence is scored by late interaction with the token vectors that are in the index already, so nothing is encoded
here: the chunk was read as a whole, and a sentence's tokens know the heading and the sentences around them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from index.encoder import TextEncoder
from index.passages import embedded_text
from index.schema import Chunk, Hit
from index.snapshot import Snapshot
from ingest.sentences import split_sentences
from service.answering.query import Query

# Chosen by key-fact recall against length on the sample notes and the development questions (docs/benchmarks.md).
_HIT_SHARE = 0.5  # of a sentence's score is its chunk's: a good sentence of a good chunk beats one of a poor chunk
_RANK_DISCOUNT = 0.04  # of a chunk's share for each rank: retrieval knows more than this score
_SCORE_SPREAD = 0.1


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a hit's chunk.

    ``hit`` is the hit's 0-based rank, ``position`` the sentence's place in its chunk; ``score`` grows with how well
    the sentence, under its heading and in its chunk, meets the question. ``tokens`` are the first of its chunk's
    token vectors that is its own and the first after it.
    """

    hit: int
    position: int
    chunk: Chunk
    text: str
    score: float
    tokens: tuple[int, int] = (0, 0)


def score_sentences(query: Query, hits: Sequence[Hit], snapshot: Snapshot, encoder: TextEncoder) -> list[Sentence]:
    """Every sentence of the hits' chunks, in the hits' and the chunks' own order."""
    return [
        sentence for rank, hit in enumerate(hits) for sentence in _sentences_of(query, rank, hit, snapshot, encoder)
    ]


def _sentences_of(query: Query, rank: int, hit: Hit, snapshot: Snapshot, encoder: TextEncoder) -> list[Sentence]:
    chunk = hit.chunk
    similarity, weights = token_similarity(query, chunk, snapshot, encoder)
    text = embedded_text(chunk)
    starts = [start for start, _ in encoder.passage_spans(text)]
    begin = len(text) - len(chunk.text)
    heading = _best(similarity, 0, bisect_left(starts, begin))
    whole = float(weights @ similarity.max(axis=1, initial=-1.0)) - _RANK_DISCOUNT * rank
    sentences: list[Sentence] = []
    for position, piece in enumerate(split_sentences(chunk.text)):
        tokens = bisect_left(starts, begin), bisect_left(starts, begin + len(piece))
        begin += len(piece)
        if piece.strip():
            own = float(weights @ np.maximum(_best(similarity, *tokens), heading))
            score = _HIT_SHARE * whole + (1 - _HIT_SHARE) * own
            sentences.append(Sentence(rank, position, chunk, piece, score, tokens))
    return sentences


def token_similarity(
    query: Query, chunk: Chunk, snapshot: Snapshot, encoder: TextEncoder
) -> tuple[np.ndarray, np.ndarray]:
    """(q, t) similarities of question and chunk tokens, and the question tokens' weights (q,)."""
    if snapshot.late is not None:
        late = snapshot.late
        return late.match(query.tokens, snapshot.rows_by_id[chunk.id]), late.token_weights(query.tokens)
    passage = next(iter(encoder.encode_passages([embedded_text(chunk)])))
    similarity = query.encoding.token_vectors @ passage.token_vectors.T
    return similarity, np.full(len(similarity), 1.0 / max(1, len(similarity)), dtype=np.float32)


def _best(similarity: np.ndarray, first: int, after: int) -> np.ndarray:
    return np.asarray(similarity[:, first:after].max(axis=1, initial=-1.0))


def question_coverage(query: Query, sentences: Sequence[Sentence], snapshot: Snapshot, encoder: TextEncoder) -> float:
    """How well the question is met by some sentences together, headings aside: in [-1, 1], -1 for none."""
    covered = np.full(len(query.encoding.token_ids), -1.0, dtype=np.float32)
    weights = np.full(len(covered), 1.0 / max(1, len(covered)), dtype=np.float32)
    for sentence in sentences:
        similarity, weights = token_similarity(query, sentence.chunk, snapshot, encoder)
        covered = np.maximum(covered, _best(similarity, *sentence.tokens))
    return float(weights @ covered)


def choose_sentences(sentences: Sequence[Sentence], *, budget: int, cost: Callable[[str], int]) -> list[Sentence]:
    """The best sentences that fit ``budget`` by ``cost``, back in reading order; at least the best one, if any.

    What scores far below the best one is left out even where there is room: padding is no answer.
    """
    chosen: list[Sentence] = []
    spent = 0
    ranked = sorted(sentences, key=lambda s: (-s.score, s.hit, s.position))
    for sentence in ranked:
        price = cost(sentence.text)
        too_weak = sentence.score < ranked[0].score - _SCORE_SPREAD
        if too_weak or (chosen and spent + price > budget):
            continue
        chosen.append(sentence)
        spent += price
    return sorted(chosen, key=lambda s: (s.hit, s.position))
