"""Results of answers as tables for a person: the same rows on a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from eval.answers.measures import (
    ABSTENTION_RECALL,
    ANSWER_CHARS,
    CITATION_PRECISION,
    CITATION_RATE,
    CITATION_RECALL,
    KEY_FACT_RECALL,
    KEY_FACT_RECALL_ECHO,
    LANGUAGE_MATCH,
    MEASURES,
    TOKENS_PER_S,
    UNSUPPORTED_NUMBERS,
    WRONGLY_ABSTAINED,
)
from eval.answers.results import Agreement, AnswerFigures, AnswerResults, JudgeResults, RgbResults
from eval.results import ALL, Figure

_TITLES = {
    KEY_FACT_RECALL_ECHO: "… echoing the question",
    ANSWER_CHARS: "answer length, characters",
    TOKENS_PER_S: "tokens/s of the model",
}
_UNITS = frozenset({ANSWER_CHARS, TOKENS_PER_S})
_SAID = {
    KEY_FACT_RECALL: "facts",
    KEY_FACT_RECALL_ECHO: "echo",
    CITATION_PRECISION: "cite P",
    CITATION_RECALL: "cite R",
    CITATION_RATE: "cite rate",
    UNSUPPORTED_NUMBERS: "numbers",
}
_FORM = {
    ABSTENTION_RECALL: "abstained",
    WRONGLY_ABSTAINED: "wrongly",
    LANGUAGE_MATCH: "language",
    ANSWER_CHARS: "chars",
}
_ABSENT = "–"


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of text: the first column is left-aligned, the others right."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def answer_tables(results: AnswerResults) -> Iterator[TextTable]:
    """Every table of an evaluation of answers, the most important first."""
    whole = results.slices[ALL]
    yield TextTable(
        f"{results.gold.name}: {results.gold.answerable} answerable questions, {results.gold.unanswerable} not",
        ("measure", "mean", "95 % interval", "n"),
        tuple(_row(name, whole.measures[name]) for name in MEASURES if name in whole.measures),
    )
    yield _by_slice(results, "What is said and cited, by type and language", _SAID)
    yield _by_slice(results, "When it is said, and in what form, by type and language", _FORM)
    if results.latency_ms or results.written_by:
        yield _way(results)
    if results.judge is not None:
        yield _judge(results.judge)


def rgb_table(results: RgbResults) -> TextTable:
    """RGB's figures by noise ratio."""
    return TextTable(
        f"RGB {results.path}: {results.questions} questions, {results.passages} documents each",
        ("noise", "accuracy", "95 % interval", "abstained", "95 % interval ", "documents"),
        tuple(
            (
                f"{one.noise:g}",
                _ABSENT if one.accuracy is None else f"{one.accuracy.mean:.3f}",
                _ABSENT if one.accuracy is None else _interval(one.accuracy, ".3f"),
                f"{one.rejected.mean:.3f}",
                _interval(one.rejected, ".3f"),
                f"{one.passages_mean:.1f}",
            )
            for one in results.ratios
        ),
    )


def as_markdown(tables: Sequence[TextTable], notices: Sequence[str] = ()) -> str:
    """For a file; a vertical bar in a cell is escaped."""
    blocks = []
    for table in tables:
        rule = ["---", *("---:" for _ in table.columns[1:])]
        lines = [_line(row) for row in (table.columns, rule, *table.rows)]
        blocks.append("\n".join([f"**{table.title}**", "", *lines]))
    blocks += ["\n".join(f"- {notice}" for notice in notices)] if notices else []
    return "\n\n".join(blocks) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _title(measure: str) -> str:
    return _TITLES.get(measure, measure.replace("_", " "))


def _row(measure: str, figure: Figure) -> tuple[str, ...]:
    places = ".1f" if measure in _UNITS else ".3f"
    return _title(measure), format(figure.mean, places), _interval(figure, places), str(figure.n)


def _interval(figure: Figure, places: str) -> str:
    return f"{figure.low:{places}} – {figure.high:{places}}"


def _by_slice(results: AnswerResults, title: str, columns: Mapping[str, str]) -> TextTable:
    names = [name for name in results.slices if name != ALL]
    return TextTable(
        title,
        ("questions", "n", *columns.values()),
        tuple(
            (
                name.partition(":")[2],
                str(results.slices[name].questions),
                *(_cell(results.slices[name], measure) for measure in columns),
            )
            for name in names
        ),
    )


def _cell(figures: AnswerFigures, measure: str) -> str:
    found = figures.measures.get(measure)
    if found is None:
        return _ABSENT
    return f"{found.mean:.0f}" if measure in _UNITS else f"{found.mean:.2f}"


def _way(results: AnswerResults) -> TextTable:
    written = [(f"written by {name}", f"{share:.3f}", "") for name, share in results.written_by.items()]
    times = [
        (f"{name.replace('_', ' ')}, ms", f"{each.p50:.0f}", f"{each.p95:.0f}")
        for name, each in results.latency_ms.items()
    ]
    return TextTable("Who wrote, and how long it took", ("", "share or p50", "p95"), (*written, *times))


def _judge(judge: JudgeResults) -> TextTable:
    figures = [
        (name.replace("_", " "), f"{figure.mean:.3f}", _interval(figure, ".3f"), str(figure.n))
        for name, figure in judge.figures.items()
    ]
    return TextTable(
        f"Judged by {judge.model}: {judge.judged} answers, {len(judge.unjudged)} not judged",
        ("", "mean or share", "interval or agreement", "n"),
        (
            *figures,
            _agreement("agrees with key-fact recall", judge.correctness),
            _agreement("agrees on abstention", judge.abstention),
        ),
    )


def _agreement(name: str, found: Agreement) -> tuple[str, ...]:
    said = [("kappa", found.kappa), ("rank correlation", found.correlation)]
    details = ", ".join(f"{what} {value:.2f}" for what, value in said if value is not None)
    return name, _ABSENT if found.share is None else f"{found.share:.3f}", details or _ABSENT, str(found.n)
