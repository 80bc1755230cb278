"""Results as JSON: the same objects over HTTP, from ``--json`` and in run files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from index.schema import Chunk, Hit, Place
from service.answering.exchange import Answer, Citation, SearchResult
from service.answering.explanation import DropReason, Explanation


def _is_empty(value: object) -> bool:
    return not value


class Reply(BaseModel):
    """Base of everything that is sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SignalReply(Reply):
    """One stage's opinion of a chunk."""

    rank: int = Field(description="Rank in that stage, from 1.")
    score: float = Field(description="The stage's own score.")


class PlaceReply(Reply):
    """A place in the notes."""

    note: str
    heading: list[str]
    lines: tuple[int, int]


class HitReply(Reply):
    """A found chunk."""

    chunk_id: str
    note: str = Field(description="Path of the note under the notes folder.")
    heading: list[str] = Field(description="The titles above the chunk, outermost first.")
    lines: tuple[int, int] = Field(description="First and last line in the note, from 1, inclusive.")
    text: str = Field(description="The chunk; in a search with the neighbours of its section that come with it.")
    score: float
    signals: dict[str, SignalReply] = Field(
        description="What each stage thought of it: lexical, dense, late, …; `late:translation` is what late "
        "interaction thought of it for the translated question."
    )
    matches: list[str] = Field(
        default=[], exclude_if=_is_empty, description="Lines of the text with the question's words; with `explain`."
    )
    also_in: list[PlaceReply] = Field(
        default=[], exclude_if=_is_empty, description="Where else the notes say the same; with `explain`."
    )

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

    @classmethod
    def explained(cls, hit: Hit) -> Self:
        """Build from a hit, with its matching lines and the places of what says the same."""
        places: list[Place | Chunk] = [*hit.chunk.alternatives, *hit.alike]
        also_in = [PlaceReply(note=place.note, heading=list(place.heading), lines=place.lines) for place in places]
        return cls.of(hit).model_copy(update={"matches": list(hit.matches), "also_in": also_in})


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


class AskedReply(Reply):
    """One text that was searched with."""

    stage: str = Field(description="What made it: `question` itself, `part`, `hyde`, `keywords`, …")
    text: str
    weight: float = Field(description="What it counts beside the question's own 1.")
    terms: list[str] = Field(description="Its terms, as BM25 sees them.")
    known: list[str] = Field(description="Those of them that the notes have.")


class RejectedReply(Reply):
    """What a stage wrote and was not searched with."""

    stage: str
    reason: str
    text: str


class DroppedReply(Reply):
    """A chunk that a stage named and that is no hit of its own."""

    chunk_id: str
    note: str
    lines: tuple[int, int]
    score: float
    reason: DropReason = Field(
        description="`neighbour`: it comes with a better hit; `alike`: it says the same as one; `rank`: it stands "
        "below the last."
    )
    hit: int | None = Field(description="The number of the hit that has it, from 1.")


class ExplanationReply(Reply):
    """How a search came about, beside the signals of its hits."""

    route: str = Field(
        description="The kind of question by its form: `question`, `term`, `parts`, `broad`, `small-talk`."
    )
    asked: list[AskedReply]
    rejected: list[RejectedReply]
    dropped: list[DroppedReply]
    filtered_out: int = Field(description="Chunks that the filter kept from every stage.")
    written: str = Field(
        default="", exclude_if=_is_empty, description="The question as written, where its spelling was repaired."
    )

    @classmethod
    def of(cls, explanation: Explanation) -> Self:
        """Build from an explanation."""
        return cls.model_validate(asdict(explanation))


class SearchReply(Reply):
    """What a search found, best first."""

    hits: list[HitReply]
    timings: dict[str, float] = Field(description="Milliseconds by stage.")
    stages_skipped: list[str] = Field(description="Stages that were asked for but not done, for want of time.")
    snapshot: str = Field(description="The snapshot of the index that was searched.")
    explanation: ExplanationReply | None = Field(
        default=None, exclude_if=_is_empty, description="How it came about; with `explain`."
    )

    @classmethod
    def of(cls, result: SearchResult, **more: str) -> Self:
        """Build from a search result; ``more`` are fields of a subclass."""
        return cls(
            hits=[HitReply.of(hit) if result.explanation is None else HitReply.explained(hit) for hit in result.hits],
            timings=dict(result.timings),
            stages_skipped=list(result.stages_skipped),
            snapshot=result.snapshot,
            explanation=None if result.explanation is None else ExplanationReply.of(result.explanation),
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
