"""Measures of a ranking, question by question.

Where a measure is a standard one, ir-measures computes it (with trec_eval's code). The measures over evidence groups
are the reference scorer's own: there, a second passage that holds what an earlier one held earns nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ir_measures
from ir_measures import AP, RR, P, R, Success, nDCG

DEPTH = 10
HIT_DEPTHS = (1, 3, 5, 10)
RECALL_DEPTHS = (5, 10)
DOCUMENT_RECALL_DEPTHS = (5, 10, 100)

Values = dict[str, float]
"""A question's value of each measure, by name."""

_OF_CHUNKS: Mapping[str, Any] = {
    **{f"hit@{k}": Success @ k for k in HIT_DEPTHS},
    **{f"precision@{k}": P @ k for k in RECALL_DEPTHS},
    f"mrr@{DEPTH}": RR @ DEPTH,
    f"map@{DEPTH}": AP @ DEPTH,
}
_OF_DOCUMENTS: Mapping[str, Any] = {
    **_OF_CHUNKS,
    **{f"recall@{k}": R @ k for k in DOCUMENT_RECALL_DEPTHS},
    f"ndcg@{DEPTH}": nDCG @ DEPTH,
}

DOCUMENT_MEASURES = tuple(_OF_DOCUMENTS)
"""Names of what ``document_measures`` gives."""

QUOTE_MEASURES = (
    *_OF_CHUNKS,
    *(f"recall@{k}" for k in RECALL_DEPTHS),
    f"all@{DEPTH}",
    f"ndcg@{DEPTH}",
)
"""Names of what ``quote_measures`` gives."""


def quote_measures(
    rankings: Mapping[str, Sequence[str]],
    held: Mapping[str, Sequence[frozenset[int]]],
    group_counts: Mapping[str, int],
    relevant: Mapping[str, Iterable[str]],
) -> dict[str, Values]:
    """Measure rankings of chunks against evidence groups.

    For each question: ``rankings`` are chunk ids, best first; ``held`` the groups that each of the first ten holds;
    ``group_counts`` how many groups there are (at least 1); ``relevant`` all chunks of the index that hold any, which
    average precision is measured against. hit@k, mrr@10, precision@k and map@10 count a chunk that holds anything;
    recall@k is the share of groups held; all@10 is 1 where all are; ndcg@10 has the number of newly held groups as gain
    and is 1 at most.
    """
    measured = document_values(
        rankings, {question: dict.fromkeys(chunks, 1) for question, chunks in relevant.items()}, _OF_CHUNKS
    )
    return {
        question: values | group_values(held[question][:DEPTH], group_counts[question])
        for question, values in measured.items()
    }


def document_measures(
    rankings: Mapping[str, Sequence[str]], relevant: Mapping[str, Mapping[str, int]]
) -> dict[str, Values]:
    """Measure rankings of documents against graded judgements; gains of nDCG are the grades (trec_eval's)."""
    return document_values(rankings, relevant, _OF_DOCUMENTS)


def document_values(
    rankings: Mapping[str, Sequence[str]], relevant: Mapping[str, Mapping[str, int]], measures: Mapping[str, Any]
) -> dict[str, Values]:
    """Values of ir-measures' measures under our names; a question that found nothing has 0 in each."""
    values = {question: dict.fromkeys(measures, 0.0) for question in rankings}
    names = {measure: name for name, measure in measures.items()}
    judgements = [
        ir_measures.Qrel(question, document, grade)
        for question in rankings
        for document, grade in relevant.get(question, {}).items()
    ]
    ranked = [
        # Scores that fall by rank keep our order whatever the library does with ties.
        ir_measures.ScoredDoc(question, document, float(len(documents) - rank))
        for question, documents in rankings.items()
        for rank, document in enumerate(documents)
    ]
    if judgements and ranked:
        for metric in ir_measures.iter_calc(list(names), judgements, ranked):
            values[metric.query_id][names[metric.measure]] = float(metric.value)
    return values


def group_values(held: Sequence[frozenset[int]], groups: int) -> Values:
    """Measures over evidence groups from the groups that each ranked chunk holds, best first."""
    first_rank: dict[int, int] = {}
    gained = 0.0
    for rank, found in enumerate(held, start=1):
        new = found - first_rank.keys()
        first_rank.update(dict.fromkeys(new, rank))
        gained += len(new) / math.log2(rank + 1)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, groups + 1))

    def covered(depth: int) -> int:
        return sum(rank <= depth for rank in first_rank.values())

    return {
        **{f"recall@{k}": covered(k) / groups for k in RECALL_DEPTHS},
        f"all@{DEPTH}": float(covered(DEPTH) == groups),
        f"ndcg@{DEPTH}": min(1.0, gained / ideal),
    }
