"""A deterministic engine over three chunks: it finds by shared characters and answers with what it found."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from index.errors import AsknotesError
from index.schema import Chunk, Hit, Place, Signal, chunk_id
from service.answering.exchange import (
    Answer,
    AnswerEvent,
    AnswerStreamEvent,
    AskRequest,
    Citation,
    RetrievalEvent,
    SearchRequest,
    SearchResult,
    TokenEvent,
)
from service.answering.explanation import Asked, Dropped, Explanation, Rejected


def _chunk(note: str, heading: tuple[str, ...], text: str, lines: tuple[int, int]) -> Chunk:
    return Chunk(id=chunk_id(note, heading, text), note=note, heading=heading, text=text, lines=lines)


_COPY = Place(chunk_id="f" * 16, note="old/tea.md", heading=("茶",), lines=(1, 2), text="绿茶用八十度的水。")
TEA = Chunk(
    id="a" * 16,
    note="tea.md",
    heading=("茶", "冲泡"),
    text="绿茶用八十度的水。\n泡两分钟。",
    lines=(3, 4),
    alternatives=(_COPY,),
)
CHUNKS = (
    TEA,
    _chunk("coffee.md", ("Coffee",), "Grind the beans fresh.", (1, 1)),
    *(_chunk(f"water/{n}.md", ("水",), f"第{n}口井的水。", (n, n)) for n in range(1, 12)),
)


@dataclass
class ToyEngine:
    """What a real engine does, exactly predictable.

    ``error`` is raised by every question; ``hold`` keeps a question waiting until it is set or the question is
    cancelled; ``tokens`` are the draft. ``asked`` and ``searched`` record the requests.
    """

    snapshot: str = "000001"
    error: Exception | None = None
    unready: AsknotesError | None = None
    hold: threading.Event | None = None
    tokens: tuple[str, ...] = ("绿茶", "用水")
    break_after_tokens: Exception | None = None
    asked: list[AskRequest] = field(default_factory=list)
    searched: list[SearchRequest] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)
    working: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    refreshed: int = 0

    def search(self, request: SearchRequest) -> SearchResult:
        self.searched.append(request)
        self._wait(None)
        found = self._found(request.question, request.top_k)
        return _explained(found) if request.explain else found

    def ask(self, request: AskRequest, *, cancelled: threading.Event | None = None) -> Answer:
        self.asked.append(request)
        self._wait(cancelled)
        return self._answer(request)

    def stream(self, request: AskRequest, *, cancelled: threading.Event) -> Iterator[AnswerStreamEvent]:
        self.asked.append(request)
        yield RetrievalEvent(self._found(request.question, request.top_k))
        for token in self.tokens:
            yield TokenEvent(token)
        if self.break_after_tokens is not None:
            raise self.break_after_tokens
        self._wait(cancelled)
        yield AnswerEvent(self._answer(request))

    def status(self) -> dict[str, object]:
        return {"snapshot": self.snapshot, "chunks": len(CHUNKS)}

    def refresh(self) -> None:
        self.refreshed += 1

    def ready(self) -> None:
        if self.unready is not None:
            raise self.unready

    def _wait(self, cancelled: threading.Event | None) -> None:
        self.working.release()
        if self.error is not None:
            raise self.error
        while self.hold is not None and not self.hold.wait(0.01):
            if cancelled is not None and cancelled.is_set():
                self.cancelled.set()
                return

    def _found(self, question: str, top_k: int | None) -> SearchResult:
        scored = [(len(set(question) & set(chunk.text)), chunk) for chunk in CHUNKS]
        ranked = sorted((pair for pair in scored if pair[0]), key=lambda pair: (-pair[0], pair[1].id))
        hits = tuple(
            Hit(chunk, float(score), {"lexical": Signal(rank, float(score))})
            for rank, (score, chunk) in enumerate(ranked, start=1)
        )
        return SearchResult(
            hits[: 10 if top_k is None else top_k], self.snapshot, {"search": 1.5}, ("hyde",) if top_k == 7 else ()
        )

    def _answer(self, request: AskRequest) -> Answer:
        found = self._found(request.question, request.top_k)
        if not found.hits:
            return Answer("笔记里没有写。", True, (), (), self.snapshot, "none", {"search": 1.5})
        chunk = found.hits[0].chunk
        quote = chunk.text.split("\n")[0]
        return Answer(
            text=f"{quote}[1]",
            abstained=False,
            citations=(Citation(1, chunk.id, chunk.note, chunk.heading, chunk.lines, quote),),
            hits=found.hits,
            snapshot=self.snapshot,
            written_by="extract",
            timings={"search": 1.5, "write": 2.5},
            stages_skipped=found.stages_skipped,
        )


def _explained(found: SearchResult) -> SearchResult:
    asked = Asked("question", "绿茶用几度的水？", 1.0, ("绿茶", "几度"), ("绿茶",))
    dropped = Dropped(CHUNKS[1].id, "coffee.md", (1, 1), 0.5, "rank")
    explanation = Explanation("question", (asked,), (Rejected("hyde", "drifted", "红茶"),), (dropped,), 3)
    hits = tuple(replace(hit, matches=tuple(hit.text.splitlines()[:1])) for hit in found.hits)
    return replace(found, hits=hits, explanation=explanation)
