"""Systems over gold questions: what each finds, how good that is, and how long it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval.gold import Gold, GoldInvalid, Question
from eval.indexes import Indexes, PreparedIndex
from eval.metrics import DEPTH, Values, quote_measures
from eval.quotes import MAX_CHARS, PassageSearch, groups_held
from eval.results import ALL, Figure, Latency, ShownHit, SystemResult
from eval.statistics import figure, mean, percentile
from eval.systems import System, SystemsInvalid
from index.errors import ConfigInvalid
from index.progress import ProgressListener
from index.schema import Hit
from service.answering.answer import search
from service.settings import Settings

SHOWN_HITS = 5
SHOWN_CHARS = 240
QUESTION, TOTAL = "question", "total"


@dataclass(frozen=True, slots=True)
class SystemRun:
    """What one system found for every question, with the milliseconds of its stages, by question id."""

    system: System
    index: PreparedIndex
    hits: Mapping[str, Sequence[Hit]]
    timings: Mapping[str, Mapping[str, float]]


def run_systems(
    systems: Sequence[System],
    questions: Sequence[Question],
    indexes: Indexes,
    base: Settings,
    listener: ProgressListener,
    *,
    top_k: int = DEPTH,
) -> list[SystemRun]:
    """Ask every question of every system; the systems take turns, so that what slows the machine slows all alike.

    Raises SystemsInvalid for a system that leaves out a stage it names, GoldInvalid where an index has fewer chunks
    than the measures look at, and what preparing an index raises.
    """
    prepared = [_prepared(system, indexes, base) for system in systems]
    hits: list[dict[str, Sequence[Hit]]] = [{} for _ in systems]
    timings: list[dict[str, Mapping[str, float]]] = [{} for _ in systems]
    for system, index in zip(systems, prepared, strict=True):
        search_with(system, index, questions[0].text, top_k)  # what is made at first use is made now
    listener.start("asking questions", len(questions) * len(systems))
    for question in questions:
        for position, (system, index) in enumerate(zip(systems, prepared, strict=True)):
            hits[position][question.id], timings[position][question.id] = search_with(
                system, index, question.text, top_k
            )
            listener.advance(1)
    listener.finish()
    return [
        SystemRun(system, index, found, spent)
        for system, index, found, spent in zip(systems, prepared, hits, timings, strict=True)
    ]


def _prepared(system: System, indexes: Indexes, base: Settings) -> PreparedIndex:
    index = indexes.prepare(system.applied_to(base), hyde=system.hyde)
    chunks = len(index.tools.snapshot.chunks)
    if chunks < DEPTH:
        raise GoldInvalid(
            f"The index of {system.name!r} has {chunks} chunks: the best {DEPTH} of them say nothing.",
            hint="Evaluate on more notes.",
        )
    return index


def search_with(
    system: System, index: PreparedIndex, question: str, top_k: int
) -> tuple[Sequence[Hit], Mapping[str, float]]:
    """Return the hits of one question and its milliseconds by stage; raises SystemsInvalid as ``run_systems`` does."""
    try:
        result = search(system.request(question, top_k), index.tools)
    except ConfigInvalid as error:
        raise SystemsInvalid(f"System {system.name!r}: {error.message}", hint=error.hint) from error
    if result.stages_skipped:
        raise SystemsInvalid(
            f"System {system.name!r} left out {', '.join(result.stages_skipped)}, which its name promises.",
            hint="Leave that stage out of the system, or configure what it needs.",
        )
    return result.hits, _with_encoding(result.timings, index.encoder.milliseconds(question))


def _with_encoding(timings: Mapping[str, float], milliseconds: float) -> Mapping[str, float]:
    """Count the encoding of a question that another system's turn already paid for."""
    spent = dict(timings)
    missing = max(0.0, milliseconds - spent[QUESTION])
    return spent | {QUESTION: round(spent[QUESTION] + missing, 3), TOTAL: round(spent[TOTAL] + missing, 3)}


def evaluate_run(run: SystemRun, gold: Gold) -> SystemResult:
    """Measure what a system found against a gold set of quotes, question by question and slice by slice."""
    relevant = relevant_chunks(gold, run)
    return system_result(
        run,
        gold,
        _measured(run, gold, relevant),
        shown={question.id: _shown(run.hits[question.id], question) for question in gold.questions},
        unreachable=[question.id for question in gold.answerable if not relevant[question.id]],
    )


def system_result(
    run: SystemRun,
    gold: Gold,
    per_question: Mapping[str, Values],
    *,
    shown: Mapping[str, Sequence[ShownHit]],
    unreachable: Sequence[str] = (),
) -> SystemResult:
    """Put together what is known of a run whose questions were measured."""
    snapshot = run.index.tools.snapshot
    lengths = [len(_judged(hit)) for question in gold.questions for hit in run.hits[question.id][:DEPTH]]
    return SystemResult(
        name=run.system.name,
        settings=run.system.described(),
        snapshot=snapshot.name,
        fingerprints=dict(snapshot.manifest.fingerprints),
        chunks=len(snapshot.chunks),
        index_bytes=run.index.opened.bytes,
        mean_chunk_chars=mean(lengths) if lengths else 0.0,
        figures=figures_by_slice(gold, per_question),
        latency_ms=latencies(run.timings),
        per_question=per_question,
        hits=shown,
        unreachable=tuple(unreachable),
    )


def relevant_chunks(gold: Gold, run: SystemRun) -> dict[str, list[str]]:
    """Ids of what is relevant to each answerable question in the run's index.

    A hit is known by its chunk and judged by its whole passage: those that hold some quote, and every chunk of the
    index that holds one and is in no hit's passage.
    """
    chunks = run.index.tools.snapshot.chunks
    passages = PassageSearch([chunk.text for chunk in chunks])
    relevant: dict[str, list[str]] = {}
    for question in gold.answerable:
        hits = run.hits[question.id]
        found = [hit.chunk.id for hit, held in zip(hits, _held(hits, question), strict=False) if held]
        shown = {chunk.id for hit in hits for chunk in (hit.span or (hit.chunk,))}
        rows = sorted(set().union(*(passages.holding(evidence.quote) for evidence in question.evidence)))
        relevant[question.id] = found + [chunks[row].id for row in rows if chunks[row].id not in shown]
    return relevant


def _measured(run: SystemRun, gold: Gold, relevant: Mapping[str, Sequence[str]]) -> dict[str, Values]:
    asked = gold.answerable
    return quote_measures(
        {question.id: [hit.chunk.id for hit in run.hits[question.id]] for question in asked},
        {question.id: _held(run.hits[question.id], question) for question in asked},
        {question.id: len(question.groups) for question in asked},
        relevant,
    )


def _held(hits: Sequence[Hit], question: Question) -> list[frozenset[int]]:
    return groups_held([_judged(hit) for hit in hits[:DEPTH]], list(question.groups.values()))


def _judged(hit: Hit) -> str:
    return hit.text[:MAX_CHARS]


def figures_by_slice(gold: Gold, per_question: Mapping[str, Values]) -> dict[str, dict[str, Figure]]:
    """Mean and interval of every measure over all questions, each type and each language."""
    slices: dict[str, list[Values]] = {}
    for question in gold.answerable:
        for name in (ALL, f"type:{question.type}", f"language:{question.language}"):
            slices.setdefault(name, []).append(per_question[question.id])
    return {
        name: {measure: figure([value[measure] for value in values]) for measure in values[0]}
        for name, values in slices.items()
    }


def latencies(timings: Mapping[str, Mapping[str, float]]) -> dict[str, Latency]:
    """Percentiles over questions of each stage's milliseconds."""
    stages: dict[str, list[float]] = {}
    for spent in timings.values():
        for stage, milliseconds in spent.items():
            stages.setdefault(stage, []).append(milliseconds)
    return {stage: Latency(p50=percentile(spent, 0.5), p95=percentile(spent, 0.95)) for stage, spent in stages.items()}


def _shown(hits: Sequence[Hit], question: Question) -> list[ShownHit]:
    held = _held(hits, question)
    return [
        ShownHit(
            rank=rank,
            chunk_id=hit.chunk.id,
            note=hit.chunk.note,
            heading=hit.chunk.heading,
            lines=hit.lines,
            score=hit.score,
            text=hit.text[:SHOWN_CHARS],
            holds=tuple(sorted(found)),
        )
        for rank, (hit, found) in enumerate(zip(hits[:SHOWN_HITS], held, strict=False), start=1)
    ]
