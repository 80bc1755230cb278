"""Results of answers as tables, for the page and for Markdown."""

from __future__ import annotations

from eval.answers.results import Agreement, AnswerResults
from eval.report import formats
from eval.report.readings import few_questions
from eval.report.tables import Cell, Table, pairs
from eval.results import Figure

_QUANTITIES = ("answer_chars", "tokens_per_s")


def answers_table(results: AnswerResults) -> Table:
    """Measures × slices; below each figure its interval and over how many questions it is."""
    measures = list(dict.fromkeys(measure for figures in results.slices.values() for measure in figures.measures))
    return Table(
        caption="Means over the questions that have the measure (n), with 95 % intervals",
        head=["measure", *(name.partition(":")[2] or name for name in results.slices)],
        rows=[
            [Cell(measure), *(_answer_cell(measure, part.measures.get(measure)) for part in results.slices.values())]
            for measure in measures
        ],
    )


def answers_about_table(results: AnswerResults) -> Table:
    """Who wrote the answers, how long they took, and what the judge thought where there is one."""
    about = {f"written by {who}": f"{share:.1%}" for who, share in results.written_by.items()}
    about |= {
        f"{name}, ms": f"p50 {formats.milliseconds(latency.p50)}, p95 {formats.milliseconds(latency.p95)}"
        for name, latency in results.latency_ms.items()
    }
    if results.judge:
        about |= {"judge": f"{results.judge.model}; {results.judge.judged} judged, {len(results.judge.unjudged)} not"}
        about |= {name: _mean_text(name, figure) for name, figure in results.judge.figures.items()}
        about |= {
            "agreement on correctness": _agreement(results.judge.correctness),
            "agreement on abstention": _agreement(results.judge.abstention),
        }
    return pairs("About the answers", about)


def _answer_cell(measure: str, figure: Figure | None) -> Cell:
    if figure is None:
        return Cell(formats.ABSENT, faint=True)
    note = few_questions(figure.n) if measure not in _QUANTITIES else ""
    return Cell(
        _answer_value(measure, figure.mean),
        note=f"{_answer_value(measure, figure.low)}–{_answer_value(measure, figure.high)}, n = {figure.n}",
        faint=bool(note),
    )


def _mean_text(measure: str, figure: Figure) -> str:
    low, high = _answer_value(measure, figure.low), _answer_value(measure, figure.high)
    return f"{_answer_value(measure, figure.mean)} ({low}–{high}), n = {figure.n}"


def _answer_value(measure: str, value: float) -> str:
    return f"{value:,.1f}" if measure in _QUANTITIES else formats.measure(value)


def _agreement(agreement: Agreement) -> str:
    said = {"share": agreement.share, "kappa": agreement.kappa, "correlation": agreement.correlation}
    known = [f"{name} {formats.measure(value)}" for name, value in said.items() if value is not None]
    return ", ".join([*known, f"n = {agreement.n}"])
