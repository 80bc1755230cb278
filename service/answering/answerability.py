"""How likely it is that the passages found answer the question: a logistic model over a few features of retrieval."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from index.encoder import TextEncoder
from index.normalise import normalise
from index.passages import embedded_text
from index.schema import Chunk, Hit
from index.snapshot import Snapshot
from index.tokenizer import Tokenizer
from service.answering.context import token_similarity
from service.answering.query import Query

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_.][A-Za-z0-9]+)*|\d+(?:\.\d+)?")
_WEAKEST_SHARE = 0.2  # of a question's token weight
# Logistic regressions on the shipped sample notes alone: their gold questions, answerable, unanswerable, and answerable
# with every passage that holds their evidence taken away. The second was fitted to the everyday questions too, and to
# 120 questions of CMRC and 20 of small talk as unanswerable. docs/benchmarks.md has how they do on other notes.
_PLAIN = np.array([3.15, 2.15, 2.08, 5.54, 0.0, 0.0])
_PLAIN_INTERCEPT = -7.62
_INFORMED = np.array([1.75, 3.01, 5.43, 3.23, 3.99, 1.59])  # where it was looked for what the question describes
_INFORMED_INTERCEPT = -6.98
_COVERED_ACROSS_LANGUAGES = 0.6


@dataclass(frozen=True, slots=True)
class AnswerFeatures:
    """What retrieval says about answerability, each feature in [0, 1] or close to it but the last.

    ``match``: late-interaction score of the best passage. ``weakest``: how well the best passage meets the fifth of
    the question (by token weight) that it meets worst. ``covered``: idf-weighted share of the question's terms that
    stand in the best passage, a constant where question and passage are in different languages and share no words
    anyway. ``names``: share of the question's names (Latin words, numbers) that stand in any of
    the passages, 1 where it has none. ``described``: how much the best passage is about what the question describes,
    and ``field``: whether the question is of the concepts' field at all (ConceptIndex.relevance, likeness_to_field);
    both 0 where that was not looked for.
    """

    match: float
    weakest: float
    covered: float
    names: float
    described: float
    field: float


def answerable_probability(
    query: Query, hits: Sequence[Hit], snapshot: Snapshot, encoder: TextEncoder, tokenizer: Tokenizer
) -> float:
    """Estimate the probability that the hits, best first, answer the question; 0 without hits."""
    if not hits:
        return 0.0
    features = answer_features(query, hits, snapshot, encoder, tokenizer)
    informed = query.described is not None
    weights, intercept = (_INFORMED, _INFORMED_INTERCEPT) if informed else (_PLAIN, _PLAIN_INTERCEPT)
    logit = float(weights @ np.array(astuple(features))) + intercept
    return 1.0 / (1.0 + math.exp(-logit))


def answer_features(
    query: Query, hits: Sequence[Hit], snapshot: Snapshot, encoder: TextEncoder, tokenizer: Tokenizer
) -> AnswerFeatures:
    """Measure the features of a question with its hits, best first."""
    similarity, weights = token_similarity(query, hits[0].chunk, snapshot, encoder)
    best = similarity.max(axis=1, initial=-1.0)
    texts = [embedded_text(hit.chunk) for hit in hits]
    return AnswerFeatures(
        match=float(weights @ best),
        weakest=_weakest(best, weights),
        covered=_covered(query, hits[0].chunk, snapshot, tokenizer),
        names=_named(query, " ".join(texts)),
        **_of_concepts(query, hits[0].chunk, snapshot),
    )


def _of_concepts(query: Query, chunk: Chunk, snapshot: Snapshot) -> dict[str, float]:
    concepts = snapshot.concepts
    if query.described is None or concepts is None:
        return {"described": 0.0, "field": 0.0}
    relevance = concepts.relevance(query.described.matches)
    return {
        "described": float(relevance[snapshot.rows_by_id[chunk.id]]),
        "field": concepts.likeness_to_field(query.encoding.vector),
    }


def _weakest(best: np.ndarray, weights: np.ndarray) -> float:
    """Weighted mean of the lowest matches, up to ``_WEAKEST_SHARE`` of the weight."""
    order = np.argsort(best)
    reached = np.minimum(np.cumsum(weights[order]), _WEAKEST_SHARE)
    counted = np.diff(reached, prepend=0.0)
    return float(best[order] @ counted / max(float(counted.sum()), 1e-9))


def _covered(query: Query, chunk: Chunk, snapshot: Snapshot, tokenizer: Tokenizer) -> float:
    if (query.language == "en") != (chunk.language == "en"):
        return _COVERED_ACROSS_LANGUAGES
    terms = list(dict.fromkeys(query.terms))
    idf = snapshot.lexical.idf(terms)
    present = set(tokenizer.terms(embedded_text(chunk)))
    found = np.array([term in present for term in terms], dtype=bool)
    return float(idf[found].sum() / max(float(idf.sum()), 1e-9))


def _named(query: Query, text: str) -> float:
    names = [name.group() for name in _NAME.finditer(query.text) if _is_name(name, query)]
    source = normalise(text)
    return sum(normalise(name) in source for name in names) / len(names) if names else 1.0


def _is_name(word: re.Match[str], query: Query) -> bool:
    """Any Latin word of a Chinese question; of an English one, words with a digit or capitals where none must be."""
    if query.language != "en":
        return True
    text = word.group()
    capitals = sum(character.isupper() for character in text)
    return any(character.isdigit() for character in text) or capitals > 1 or (word.start() > 0 and capitals > 0)
