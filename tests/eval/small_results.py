"""Small results of every kind, written by hand, for the tests of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from eval.answers.results import Agreement, AnswerFigures, AnswerResults, JudgeResults
from eval.results import (
    ALL,
    AnnPoint,
    AnnResults,
    Comparison,
    Figure,
    GoldSummary,
    Latency,
    Provenance,
    RetrievalResults,
    ShownHit,
    SweepPoint,
    SweepResults,
    SystemResult,
)

QUESTIONS = {
    "Q1": {"text": "为什么要除以根号 $d_k$？", "language": "zh", "type": "colloquial"},
    "Q2": {"text": "what does <script>alert(1)</script> | print?", "language": "en", "type": "crosslingual"},
    "Q3": {"text": "RRF 的 k", "language": "zh", "type": "keyword"},
    "Q4": {"text": "无处可寻的一句", "language": "zh", "type": "colloquial"},
    "Q5": {"text": "没有答案", "language": "zh", "type": "unanswerable"},
}
PROVENANCE = Provenance(
    created="2026-01-02T03:04:05+00:00",
    machine={"processor": "Toy & Sons <8>", "cores": "2", "system": "Linux", "python": "3.11"},
    versions={"numpy": "2.4"},
    settings={"index": {"encoder": {"model": "toy"}, "empty": {}}, "notes": None},
)
GOLD = GoldSummary(
    name="toy", path="gold/a b.jsonl", sha256="ab" * 32, answerable=4, unanswerable=1, questions=QUESTIONS
)


def hit(rank: int, *, holds: tuple[int, ...] = (), note: str = '"quoted" & <b>.md') -> ShownHit:
    """A hit of a note whose name and text are hostile."""
    return ShownHit(
        rank=rank,
        chunk_id=f"{rank:016x}",
        note=note,
        heading=("第一章", "<i>二</i>"),
        lines=(3, 9),
        score=0.5,
        text="正文 <img src=x onerror=alert(2)> & more",
        holds=holds,
    )


def system(name: str, ranks: Mapping[str, int | None], *, chars: float = 250.0) -> SystemResult:
    """A system whose first evidence for each question is at this rank, or nowhere."""
    values = {
        question: {
            "hit@1": float(rank == 1),
            "hit@5": float(rank is not None and rank <= 5),
            "mrr@10": 1 / rank if rank else 0.0,
            "ndcg@10": 1 / rank if rank else 0.0,
        }
        for question, rank in ranks.items()
    }
    return SystemResult(
        name=name,
        settings={"mode": "hybrid", "index.fusion.lexical_weight": 0.5},
        snapshot="000001",
        fingerprints={"encoder": "abc"},
        chunks=12,
        index_bytes=4096,
        mean_chunk_chars=chars,
        figures={
            ALL: _means(values, list(values)),
            "type:colloquial": _means(values, ["Q1", "Q4"]),
            "type:keyword": _means(values, ["Q3"]),
            "language:zh": _means(values, ["Q1", "Q3", "Q4"]),
        },
        latency_ms={"question": Latency(5.0, 9.0), "lexical": Latency(1.0, 2.0), "total": Latency(6.5, 10.0)},
        per_question=values,
        hits={
            question: [hit(place, holds=(0,) if place == rank else ()) for place in (1, 2, 3, 4)]
            for question, rank in ranks.items()
        },
        unreachable=("Q4",),
    )


def retrieval() -> RetrievalResults:
    """Two systems on four questions: Q1 is gained, Q2 lost, Q3 found by none, Q4 unreachable."""
    return RetrievalResults(
        gold=GOLD,
        systems=[
            system("plain", {"Q1": None, "Q2": 1, "Q3": 7, "Q4": None}),
            system("混合@x=$1$ <b>", {"Q1": 2, "Q2": 6, "Q3": None, "Q4": None}),
        ],
        comparisons=[
            comparison("plain", "混合@x=$1$ <b>", p_corrected=0.5),
            replace(comparison("plain", "混合@x=$1$ <b>", p_corrected=0.01), measure="hit@5"),
        ],
        provenance=PROVENANCE,
        notices=["half of the <notes> were new"],
    )


def comparison(base: str, other: str, *, p_corrected: float, difference: float = 0.25) -> Comparison:
    """A comparison on mrr@10."""
    return Comparison(
        base=base,
        other=other,
        measure="mrr@10",
        difference=difference,
        low=difference - 0.3,
        high=difference + 0.3,
        p=p_corrected / 2,
        p_corrected=p_corrected,
        wins=1,
        losses=1,
        ties=2,
        gained=("Q1",),
        lost=("Q2",),
    )


def sweep(axes: Mapping[str, Sequence[object]] | None = None) -> SweepResults:
    """A grid of chunk sizes and overlaps, one corner of it not run."""
    axes = axes or {"ingest.chunker.max_chars": (200, 400, 800), "ingest.chunker.overlap_chars": (0, 50)}
    settings: list[dict[str, object]] = [{}]
    for key, values in axes.items():
        settings = [{**one, key: value} for one in settings for value in values]
    points = [
        SweepPoint(
            settings=one,
            figures={"mrr@10": Figure(0.5 + 0.01 * number, 0.4, 0.7, 30)},
            mean_chunk_chars=200.0 + number,
            chunks=40,
            latency_ms=10.0 + number,
            index_bytes=1000 * (number + 1),
            build_s=2.0,
            on_front=number == 0,
        )
        for number, one in enumerate(settings)
    ]
    if len(points) > 1:
        points = points[:-1]
    return SweepResults(gold=GOLD, system="hybrid", axes=axes, measure="mrr@10", points=points, provenance=PROVENANCE)


def ann() -> AnnResults:
    """Two families, one of them not built as asked."""
    return AnnResults(
        source="generated",
        vectors=1000,
        dimension=8,
        queries=10,
        k=10,
        points=[
            AnnPoint("Flat", "Flat", {}, 1.0, 900.0, 0.01, 32.0, on_front=True),
            AnnPoint("HNSW32", "HNSW16", {"ef_search": 64}, 0.97, 4000.0, 0.2, 160.0, on_front=True),
            AnnPoint("HNSW32", "HNSW16", {"ef_search": 16}, 0.80, 3000.0, 0.2, 160.0),
        ],
        provenance=PROVENANCE,
    )


def answers() -> AnswerResults:
    """Answers that a judge looked at."""
    return AnswerResults(
        gold=GOLD,
        source="bundled:toy <model>",
        snapshot=None,
        slices={ALL: AnswerFigures(5, {"key_fact_recall": Figure(0.5, 0.2, 0.8, 4), "answer_chars": figure(120.0)})},
        written_by={"model": 0.5, "extract": 0.25, "none": 0.25},
        latency_ms={"total": Latency(900.0, 1500.0)},
        per_question={"Q1": {"key_fact_recall": 1.0}},
        provenance=None,
        judge=JudgeResults(
            model="judge",
            url="http://127.0.0.1:1/v1",
            judged=4,
            unjudged={"Q5": "no answer"},
            figures={"judged_correct": figure(0.75)},
            correctness=Agreement(4, 0.75, None),
            abstention=Agreement(5, 1.0, 1.0, 1.0),
            verdicts={},
        ),
    )


def figure(mean: float) -> Figure:
    """A figure without spread over 30 questions."""
    return Figure(mean, mean, mean, 30)


def _means(values: Mapping[str, Mapping[str, float]], questions: Sequence[str]) -> dict[str, Figure]:
    asked = [values[question] for question in questions if question in values]
    return {
        measure: Figure(sum(one[measure] for one in asked) / len(asked), 0.0, 1.0, len(asked)) for measure in asked[0]
    }
