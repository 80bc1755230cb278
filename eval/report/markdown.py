"""The report as Markdown: the same tables and readings, for a repository or a chat."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from eval.answers.results import AnswerResults
from eval.report import answer_tables, formats, readings, tables
from eval.report.changes import Case, changed_pairs, missed_by_all, unreachable_questions
from eval.report.tables import Cell, Table
from eval.results import AnnResults, Provenance, RetrievalResults, SweepResults

_SPECIAL = re.compile(r"[\\`*_{}\[\]<>#|~&!$]|^[-+](?=[\s-]|$)")
_NUMBERED = re.compile(r"^(\d{1,9})([.)])(?=\s|$)")
_SLICED = "hit@5"


def markdown_page(
    *,
    retrieval: RetrievalResults | None,
    sweep: SweepResults | None,
    ann: AnnResults | None,
    answers: AnswerResults | None,
    command: str | None = None,
) -> str:
    """Return the report, in which texts of notes and questions show as they are.

    ``command`` is the command line that made the results; without it, one that would is shown.
    """
    blocks = ["# Evaluation"]
    if retrieval:
        blocks += _retrieval(retrieval, command)
    if answers:
        blocks += _answers(answers, command)
    if sweep:
        blocks += _sweep(sweep, command)
    if ann:
        blocks += _ann(ann, command)
    return "\n\n".join(blocks) + "\n"


def table(shown: Table) -> str:
    """A table in GitHub's Markdown: numbers to the right, the best in bold, intervals in parentheses."""
    rule = [":---" if position in shown.texts else "---:" for position in range(len(shown.head))]
    lines = [_line([escaped(name) for name in shown.head]), _line(rule)]
    lines += [_line([_cell(cell) for cell in row]) for row in shown.rows]
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Any text so that Markdown shows it as it is, in one line."""
    special = _SPECIAL.sub(lambda found: f"\\{found[0]}", " ".join(text.split()))
    return _NUMBERED.sub(r"\1\\\2", special)


def _retrieval(results: RetrievalResults, command: str | None) -> Iterator[str]:
    gold = results.gold
    yield "## Retrieval"
    yield (
        f"{gold.answerable} answerable questions of {escaped(gold.name)} ({gold.unanswerable} others are not counted), "
        f"{_made(results.provenance)}."
    )
    notices = [*results.notices, readings.length_notice(results)]
    yield from (f"> {escaped(notice)}" for notice in notices if notice)
    yield from _bullets(f"**{escaped(one.system)}** {escaped(one.sentence)}" for one in readings.verdicts(results))
    yield table(tables.systems_table(results))
    if tables.slices_of(results) and _SLICED in tables.measures_of(results):
        yield from _titled(tables.slices_table(results, _SLICED))
    for measure in dict.fromkeys(comparison.measure for comparison in results.comparisons):
        yield from _titled(tables.comparisons_table(results.comparisons, measure))
    yield from _changed(results)
    yield from _lost(results)
    if tables.stages_of(results):
        yield from _titled(tables.latency_table(results))
    yield from _command(command or readings.retrieval_command(results))


def _changed(results: RetrievalResults) -> Iterator[str]:
    for pair in changed_pairs(results):
        if not (pair.gained_count or pair.lost_count):
            continue
        yield f"### {escaped(pair.base)} → {escaped(pair.other)}: questions that changed sides at rank 5"
        for word, cases, count in (
            ("Gained", pair.gained, pair.gained_count),
            ("Lost", pair.lost, pair.lost_count),
        ):
            if cases:
                yield f"{word} ({count}{f', the first {len(cases)} shown' if count > len(cases) else ''}):"
                yield from _bullets(_question(case) for case in cases)


def _lost(results: RetrievalResults) -> Iterator[str]:
    missed, unreachable = missed_by_all(results), unreachable_questions(results)
    if missed:
        yield f"### Found by no system at rank 5 ({len(missed)})"
        yield from _bullets(_question(case) for case in missed)
    if unreachable:
        yield f"### Unreachable ({len(unreachable)}): no chunk of the index holds the evidence"
        yield from _bullets(f"{_question(one.case)} ({escaped(', '.join(one.systems))})" for one in unreachable)


def _answers(results: AnswerResults, command: str | None) -> Iterator[str]:
    yield "## Answers"
    yield f"{escaped(results.source)}; {escaped(results.gold.name)}, {_made(results.provenance)}."
    yield from (f"> {escaped(notice)}" for notice in results.notices)
    yield table(answer_tables.answers_table(results))
    yield from _titled(answer_tables.answers_about_table(results))
    yield from _command(command or readings.answers_command(results))


def _sweep(results: SweepResults, command: str | None) -> Iterator[str]:
    yield "## Sweep"
    yield f"{escaped(results.system)} on {escaped(results.gold.name)}, {_made(results.provenance)}."
    yield escaped(readings.sweep_verdict(results))
    yield table(tables.sweep_table(results))
    yield from _command(command or readings.sweep_command(results))


def _ann(results: AnnResults, command: str | None) -> Iterator[str]:
    yield "## Approximate search"
    yield f"{escaped(readings.ann_about(results))} {_made(results.provenance)}."
    yield escaped(readings.ann_verdict(results))
    yield table(tables.ann_table(results))
    yield from _command(command or readings.ann_command())


def _made(provenance: Provenance | None) -> str:
    if provenance is None:
        return "made elsewhere"
    machine = provenance.machine
    return escaped(
        f"{formats.moment(provenance.created)}, {machine.get('processor', '')}, {machine.get('cores', '?')} cores"
    )


def _command(command: str) -> Iterator[str]:
    # Indented, not fenced: nothing that a name holds can end it.
    yield "To repeat it:"
    yield "\n".join(f"    {line}" for line in command.splitlines())


def _titled(shown: Table) -> Iterator[str]:
    if shown.rows:
        yield f"### {escaped(shown.caption)}"
        yield table(shown)


def _bullets(texts: Iterator[str]) -> Iterator[str]:
    lines = [f"- {text}" for text in texts]
    if lines:
        yield "\n".join(lines)


def _question(case: Case) -> str:
    about = ", ".join(part for part in (case.type, case.language) if part)
    return f"{escaped(case.id)} ({escaped(about)}): {escaped(case.text)}" if about else escaped(case.id)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    text = escaped(cell.text)
    if cell.best and text:
        text = f"**{text}**"
    return f"{text} ({escaped(cell.note)})" if cell.note else text
