"""From hits to the sentences that may answer: each sentence of the best chunks with how well it meets the question.

A sentence is scored by late interaction with the token vectors that are in the index already, so nothing is encoded
here: the chunk was read as a whole, and a sentence's tokens know the heading and the sentences around them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from index.encoder import TextEncoder
from index.passages import embedded_text
from index.schema import Chunk, Hit
from index.snapshot import Snapshot
from ingest.sentences import split_sentences
from service.answering.retriever import Query

_HIT_SHARE = 0.5  # of a sentence's score is its chunk's: a good sentence of a good chunk beats one of a poor chunk


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a hit's chunk.

    ``hit`` is the hit's 0-based rank, ``position`` the sentence's place in its chunk; ``score`` grows with how well
    the sentence, under its heading and in its chunk, meets the question.
    """

    hit: int
    position: int
    chunk: Chunk
    text: str
    score: float


def score_sentences(query: Query, hits: Sequence[Hit], snapshot: Snapshot, encoder: TextEncoder) -> list[Sentence]:
    """Every sentence of the hits' chunks, in the hits' and the chunks' own order."""
    return [
        sentence for rank, hit in enumerate(hits) for sentence in _sentences_of(query, rank, hit, snapshot, encoder)
    ]


def _sentences_of(query: Query, rank: int, hit: Hit, snapshot: Snapshot, encoder: TextEncoder) -> list[Sentence]:
    pieces = split_sentences(hit.chunk.text)
    whole, scores = _sentence_scores(query, hit.chunk, pieces, snapshot, encoder)
    return [
        Sentence(
            hit=rank,
            position=position,
            chunk=hit.chunk,
            text=piece,
            score=_HIT_SHARE * whole + (1 - _HIT_SHARE) * score,
        )
        for position, (piece, score) in enumerate(zip(pieces, scores, strict=True))
        if piece.strip()
    ]


def _sentence_scores(
    query: Query, chunk: Chunk, pieces: Sequence[str], snapshot: Snapshot, encoder: TextEncoder
) -> tuple[float, list[float]]:
    """Score of the whole chunk and of each of its pieces, each piece together with the heading."""
    text = embedded_text(chunk)
    spans = encoder.passage_spans(text)
    similarity, weights = token_similarity(query, chunk, snapshot, encoder)
    starts = np.array([start for start, _ in spans])
    body = len(text) - len(chunk.text)
    heading = _best(similarity, starts < body)
    scores: list[float] = []
    begin = body
    for piece in pieces:
        end = begin + len(piece)
        own = _best(similarity, (starts >= begin) & (starts < end))
        scores.append(float(weights @ np.maximum(own, heading)))
        begin = end
    return float(weights @ similarity.max(axis=1, initial=-1.0)), scores


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


def _best(similarity: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    if not tokens.any():
        return np.full(len(similarity), -1.0, dtype=np.float32)
    return np.asarray(similarity[:, tokens].max(axis=1))


def choose_sentences(sentences: Sequence[Sentence], *, budget: int, cost: Callable[[str], int]) -> list[Sentence]:
    """The best sentences that fit ``budget`` by ``cost``, back in reading order; at least the best one, if any.

    A sentence whose neighbours on both sides are chosen comes along where it fits: a gap of one sentence inside of a
    passage reads badly and rarely saves much.
    """
    chosen: list[Sentence] = []
    spent = 0
    for sentence in sorted(sentences, key=lambda s: (-s.score, s.hit, s.position)):
        price = cost(sentence.text)
        if chosen and spent + price > budget:
            continue
        chosen.append(sentence)
        spent += price
    return sorted(chosen, key=lambda s: (s.hit, s.position))
