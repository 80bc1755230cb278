"""A whole evaluation of retrieval: check the gold, run the systems, measure, compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from eval.compare import TESTED, compare_systems
from eval.gold import Gold, GoldInvalid, check_quotes
from eval.indexes import Indexes, NotesSource
from eval.provenance import provenance
from eval.results import GoldSummary, RetrievalResults
from eval.run import SystemRun, evaluate_run, run_systems
from eval.systems import System
from index.progress import ProgressListener
from service.settings import Settings


def evaluate_retrieval(
    gold: Gold,
    systems: Sequence[System],
    settings: Settings,
    *,
    notes: Sequence[Path],
    listener: ProgressListener,
    tested: Sequence[str] = TESTED,
) -> tuple[RetrievalResults, list[SystemRun]]:
    """Run systems over a gold set of quotes; returns what was found out and the runs it rests on.

    ``notes`` are folders and files, empty for those of the published snapshot. Raises GoldInvalid, SystemsInvalid,
    IndexMissing, NotesMissing and what indexing raises.
    """
    if not gold.answerable:
        raise GoldInvalid(f"{gold.path}: no question is answerable.", hint="Retrieval is measured on answerable ones.")
    source = NotesSource(settings, notes)
    check_quotes(gold, source.notes)
    with Indexes(source, settings, listener) as indexes:
        runs = run_systems(systems, gold.questions, indexes, settings, listener)
        results = [evaluate_run(run, gold) for run in runs]
        return (
            RetrievalResults(
                gold=summary_of(gold),
                systems=results,
                comparisons=compare_systems(results, tested),
                provenance=provenance(settings),
                notices=_notices(gold, runs),
            ),
            runs,
        )


def summary_of(gold: Gold) -> GoldSummary:
    """Describe which questions were asked."""
    return GoldSummary(
        name=gold.name,
        path=str(gold.path),
        sha256=gold.sha256,
        answerable=len(gold.answerable),
        unanswerable=len(gold.questions) - len(gold.answerable),
        questions={
            question.id: {"text": question.text, "language": question.language, "type": question.type}
            for question in gold.questions
        },
    )


def _notices(gold: Gold, runs: Sequence[SystemRun]) -> list[str]:
    """Say where the questions are in another language than the notes: the figures are then about crossing over."""
    asked = Counter(question.language.split("-")[0] for question in gold.answerable)
    written = Counter(chunk.language.split("-")[0] for chunk in runs[0].index.tools.snapshot.chunks)
    (most_asked, count), (most_written, _) = asked.most_common(1)[0], written.most_common(1)[0]
    if most_asked == most_written:
        return []
    said = (
        f"{count} of {len(gold.answerable)} questions are in {most_asked!r} and most of the notes in {most_written!r}"
    )
    return [f"{said}: this measures searching across languages."]
