"""Hits and answers for people."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from index.schema import Hit
from service.answering.exchange import Answer, SearchResult
from service.commands.console import printable

_SNIPPET_CHARS = 200
_CLOSEST = 3


def hit_list(result: SearchResult) -> RenderableType:
    """Show each hit's place, heading and beginning."""
    if not result.hits:
        return Text("Nothing was found.")
    return Group(*(_hit(number, hit) for number, hit in enumerate(result.hits, start=1)))


def signal_table(result: SearchResult) -> Table:
    """Show every stage's rank and score for every hit; a dash where the stage did not name the chunk."""
    stages = sorted({name for hit in result.hits for name in hit.signals})
    table = Table(title=f"snapshot {result.snapshot}", title_justify="left")
    table.add_column("", justify="right")
    table.add_column("passage", overflow="fold")
    for stage in ["score", *stages]:
        table.add_column(stage, justify="right", no_wrap=True)
    for number, hit in enumerate(result.hits, start=1):
        opinions = [hit.signals.get(stage) for stage in stages]
        cells = ["–" if opinion is None else f"{opinion.rank}. {opinion.score:.4f}" for opinion in opinions]
        table.add_row(str(number), _place(hit.chunk.note, hit.lines), f"{hit.score:.4f}", *cells)
    return table


def answer_page(answer: Answer) -> RenderableType:
    """Show the checked answer, where it comes from, and its sources."""
    if answer.abstained:
        return Group(Text(printable(answer.text)), Text(), *_closest(answer))
    lines: list[RenderableType] = [Text(printable(answer.text)), Text()]
    if answer.written_by == "extract":
        lines += [Text("(The notes' own sentences: nothing here was written by a model.)", style="italic"), Text()]
    lines += [Text("Sources", style="bold")]
    for citation in answer.citations:
        mark = Text(f"[{citation.n}] ", style="bold")
        lines.append(mark + _source(citation.note, citation.lines, citation.heading))
    return Group(*lines)


def _closest(answer: Answer) -> list[RenderableType]:
    lines: list[RenderableType] = [Text("The notes do not say.", style="bold")]
    if answer.hits:
        lines.append(Text("Closest passages:"))
    chunks = [hit.chunk for hit in answer.hits[:_CLOSEST]]
    return lines + [Text("  ") + _source(chunk.note, chunk.lines, chunk.heading) for chunk in chunks]


def _hit(number: int, hit: Hit) -> RenderableType:
    head = Text(f"{number}. ", style="bold") + _source(hit.chunk.note, hit.lines, hit.chunk.heading)
    head.append(f"  {hit.score:.3f}", style="dim")
    snippet = " ".join(printable(hit.chunk.text).split())
    if len(snippet) > _SNIPPET_CHARS:
        snippet = f"{snippet[:_SNIPPET_CHARS]}…"
    lines: list[RenderableType] = [head, Padding(Text(snippet), (0, 0, 0, 3))]
    if hit.chunk.alternatives:
        places = ", ".join(_place(place.note, place.lines) for place in hit.chunk.alternatives)
        lines.append(Padding(Text(f"also in {places}", style="dim"), (0, 0, 0, 3)))
    return Group(*lines)


def _source(note: str, lines: tuple[int, int], heading: tuple[str, ...]) -> Text:
    return Text.assemble((_place(note, lines), "cyan"), "  ", printable(" › ".join(heading)))


def _place(note: str, lines: tuple[int, int]) -> str:
    return f"{printable(note)}:{lines[0]}-{lines[1]}"
