"""Results as JSON: the same objects over HTTP, from ``--json`` and in run files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from index.schema import Hit
from service.answering.exchange import Answer, Citation, SearchResult


class Reply(BaseModel):
    """Base of everything that is sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SignalReply(Reply):
    """One stage's opinion of a chunk."""

    rank: int = Field(description="Rank in that stage, from 1.")
    score: float = Field(description="The stage's own score.")


class HitReply(Reply):
    """A found chunk."""

    chunk_id: str
    note: str = Field(description="Path of the note under the notes folder.")
    heading: list[str] = Field(description="The titles above the chunk, outermost first.")
    lines: tuple[int, int] = Field(description="First and last line in the note, from 1, inclusive.")
    text: str = Field(description="The chunk; in a search with the neighbours of its section that come with it.")
    score: float
    signals: dict[str, SignalReply] = Field(description="What each stage thought of it: lexical, dense, late, …")

    @classmethod
    def of(cls, hit: Hit) -> Self:
        """Build from a hit."""
        chunk = hit.chunk
        return cls(
            chunk_id=chunk.id,
            note=chunk.note,
            heading=list(chunk.heading),
            lines=hit.lines,
            text=hit.text,
            score=hit.score,
            signals={name: SignalReply(rank=signal.rank, score=signal.score) for name, signal in hit.signals.items()},
        )


def run_line(hits: Sequence[Hit]) -> dict[str, object]:
    """What a run file says of one question's hits: their texts for scorers, and everything else."""
    replies = [HitReply.of(hit) for hit in hits]
    return {
        "chunks": [reply.text for reply in replies],
        "hits": [reply.model_dump(mode="json", exclude={"text"}) for reply in replies],
    }


class CitationReply(Reply):
    """A passage that the answer rests on."""

    n: int = Field(description="The number in the answer's [n] marks.")
    chunk_id: str
    note: str
    heading: list[str]
    lines: tuple[int, int]
    quote: str = Field(description="The supporting passage, as it stands in the chunk.")

    @classmethod
    def of(cls, citation: Citation) -> Self:
        """Build from a citation."""
        return cls(
            n=citation.n,
            chunk_id=citation.chunk_id,
            note=citation.note,
            heading=list(citation.heading),
            lines=citation.lines,
            quote=citation.quote,
        )


class SearchReply(Reply):
    """What a search found, best first."""

    hits: list[HitReply]
    timings: dict[str, float] = Field(description="Milliseconds by stage.")
    stages_skipped: list[str] = Field(description="Stages that were asked for but not done, for want of time.")
    snapshot: str = Field(description="The snapshot of the index that was searched.")

    @classmethod
    def of(cls, result: SearchResult, **more: str) -> Self:
        """Build from a search result; ``more`` are fields of a subclass."""
        return cls(
            hits=[HitReply.of(hit) for hit in result.hits],
            timings=dict(result.timings),
            stages_skipped=list(result.stages_skipped),
            snapshot=result.snapshot,
            **more,
        )


class AnswerReply(Reply):
    """The checked answer to one question."""

    answer: str = Field(description="The answer, with [n] marks.")
    abstained: bool = Field(description="Whether the notes do not say.")
    written_by: Literal["model", "extract", "none"] = Field(
        description="`model`: written, every sentence supported by a passage; `extract`: the notes' own sentences; "
        "`none`: abstained."
    )
    citations: list[CitationReply]
    hits: list[HitReply]
    timings: dict[str, float] = Field(description="Milliseconds by stage.")
    stages_skipped: list[str] = Field(description="Stages that were asked for but not done, for want of time.")
    snapshot: str = Field(description="The snapshot of the index that was searched.")

    @classmethod
    def of(cls, answer: Answer, **more: str) -> Self:
        """Build from an answer; ``more`` are fields of a subclass."""
        return cls(
            answer=answer.text,
            abstained=answer.abstained,
            written_by=answer.written_by,
            citations=[CitationReply.of(citation) for citation in answer.citations],
            hits=[HitReply.of(hit) for hit in answer.hits],
            timings=dict(answer.timings),
            stages_skipped=list(answer.stages_skipped),
            snapshot=answer.snapshot,
            **more,
        )
