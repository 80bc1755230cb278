"""Hits and answers for people."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from index.schema import Chunk, Hit, Place
from service.answering.exchange import Answer, SearchResult
from service.answering.explanation import Dropped, Explanation
from service.commands.console import printable

_SNIPPET_CHARS = 200
_CLOSEST = 3
_NOTHING = "Nothing was found."


def hit_list(result: SearchResult) -> RenderableType:
    """Show each hit's place, heading and beginning."""
    if not result.hits:
        return Text(_NOTHING)
    return Group(*(_hit(number, hit) for number, hit in enumerate(result.hits, start=1)))


def explained_search(result: SearchResult) -> RenderableType:
    """Show how the question was understood, every stage's opinion of every hit, and what was left out and why."""
    if result.explanation is None:
        return hit_list(result)
    lines: list[RenderableType] = [*_asked(result.explanation)]
    lines += [Text(f"  skipped {stage}", style="yellow") for stage in result.stages_skipped]
    for number, hit in enumerate(result.hits, start=1):
        lines += [Text(), *_opinions(number, hit)]
    if not result.hits:
        lines += [Text(), Text(_NOTHING)]
    if result.explanation.filtered_out:
        lines += [Text(), Text(f"{result.explanation.filtered_out} passages are outside of the filter.")]
    if result.explanation.dropped:
        lines += [Text(), Text("Left out", style="bold")]
    lines += [_left_out(dropped) for dropped in result.explanation.dropped]
    timings = ", ".join(f"{stage} {time:.1f}" for stage, time in result.timings.items())
    return Group(*lines, Text(), Text(f"snapshot {result.snapshot}; ms: {timings}", style="dim"))


def _asked(explanation: Explanation) -> Iterator[Text]:
    yield Text.assemble(("Asked", "bold"), f" (by its form: {explanation.route})")
    if explanation.written:
        yield Text.assemble(("  written ", "yellow"), printable(explanation.written))
    for asked in explanation.asked:
        said = Text.assemble((f"  {asked.stage} ", "cyan"), printable(asked.text), (f"  × {asked.weight:.2g}", "dim"))
        unknown = [printable(term) for term in asked.terms if term not in asked.known]
        if unknown:
            said.append(f"  not in the notes: {' '.join(unknown)}", style="dim")
        yield said
    for one in explanation.rejected:
        yield Text.assemble(("  not used ", "yellow"), f"{one.stage} {one.reason}: ", printable(one.text))


def _opinions(number: int, hit: Hit) -> Iterator[RenderableType]:
    """A hit's place, every stage's rank and score, and the lines that match."""
    head = Text(f"{number}. ", style="bold") + _source(hit.chunk.note, hit.lines, hit.chunk.heading)
    yield head.append(f"  {hit.score:.4f}", style="dim")
    opinions = (f"{stage} {signal.rank}. ({signal.score:.4f})" for stage, signal in hit.signals.items())
    yield Padding(Text("  ".join(opinions), style="cyan"), (0, 0, 0, 3))
    for line in hit.matches:
        yield Padding(Text(printable(" ".join(line.split()))[:_SNIPPET_CHARS]), (0, 0, 0, 3))
    places: list[Place | Chunk] = [*hit.chunk.alternatives, *hit.alike]
    for place in places:
        yield Padding(Text(f"also in {_place(place.note, place.lines)}", style="dim"), (0, 0, 0, 3))


def _left_out(dropped: Dropped) -> Text:
    why = {
        "neighbour": f"comes with hit {dropped.hit}",
        "alike": f"says the same as hit {dropped.hit}",
        "rank": "stands below the last hit",
    }[dropped.reason]
    return Text.assemble("  ", (_place(dropped.note, dropped.lines), "cyan"), f"  {dropped.score:.4f}  {why}")


def answer_page(answer: Answer) -> RenderableType:
    """Show the checked answer, where it comes from, and its sources."""
    if answer.abstained:
        return Group(Text(printable(answer.text)), *(_closest(answer) if answer.hits else []))
    lines: list[RenderableType] = [Text(printable(answer.text)), Text()]
    if answer.written_by == "extract":
        lines += [Text("(The notes' own sentences: nothing here was written by a model.)", style="italic"), Text()]
    lines += [Text("Sources", style="bold")]
    for citation in answer.citations:
        mark = Text(f"[{citation.n}] ", style="bold")
        lines.append(mark + _source(citation.note, citation.lines, citation.heading))
    return Group(*lines)


def _closest(answer: Answer) -> list[RenderableType]:
    chunks = [hit.chunk for hit in answer.hits[:_CLOSEST]]
    found = [Text("  ") + _source(chunk.note, chunk.lines, chunk.heading) for chunk in chunks]
    return [Text(), Text("The notes do not say.", style="bold"), Text("Closest passages:"), *found]


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
