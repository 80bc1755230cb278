"""What goes over HTTP beside the shared replies: request bodies, stream events, jobs, health, the error shape."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from service.answering.exchange import AskRequest, ChunkFilter, SearchMode, SearchRequest, Stage, Turn
from service.replies import AnswerReply, CitationReply, Reply, SearchReply

IsoDate = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]

EXAMPLE_QUESTION = "BM25 里的 k1 控制什么？"


class Body(BaseModel):
    """Base of every request body: unknown fields and wrong types are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FilterBody(Body):
    """Which chunks may be found; every given condition must hold."""

    path: str | None = Field(default=None, description="Prefix of the note's path.")
    tags: list[str] = Field(default=[], max_length=100, description="Tags that the note must all have.")
    language: str | None = Field(default=None, description="The chunk's language: `zh`, `zh-Hant`, `en`.")
    date_from: IsoDate | None = Field(default=None, description="Earliest date of the note, inclusive.")
    date_to: IsoDate | None = Field(default=None, description="Latest date of the note, inclusive.")

    def to_filter(self) -> ChunkFilter:
        """Return the pipeline's form."""
        return ChunkFilter(
            path=self.path,
            tags=tuple(self.tags),
            language=self.language,
            date_from=self.date_from,
            date_to=self.date_to,
        )


class TurnBody(Body):
    """One earlier message of the conversation."""

    role: Literal["user", "assistant"]
    content: str


class QuestionBody(Body):
    """What a search and a question to be answered have in common."""

    question: str = Field(description="The question; its length is bounded by `server.max_question_chars`.")
    top_k: int | None = Field(default=None, ge=1, description="How many hits; at most `server.max_top_k`.")
    filter: FilterBody | None = None
    hyde: bool | None = Field(default=None, description="Search with a hypothetical answer too; unset: as configured.")
    rerank: str | None = Field(
        default=None, min_length=1, description="A reranker's name, or `none`; unset: as configured."
    )
    stages: dict[Stage, bool] = Field(
        default={}, description="Switches stages that work on the question on or off; one not named is as configured."
    )


class SearchBody(QuestionBody):
    """A search."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"question": EXAMPLE_QUESTION, "top_k": 5}]})

    mode: SearchMode = Field(default="hybrid", description="Which first stages are used.")
    explain: bool = Field(default=False, description="Say in `explanation` how the result came about.")

    def to_request(self, question: str) -> SearchRequest:
        """Return the pipeline's form, with the checked question."""
        return SearchRequest(
            question=question,
            top_k=self.top_k,
            mode=self.mode,
            filter=None if self.filter is None else self.filter.to_filter(),
            hyde=self.hyde,
            rerank=self.rerank,
            stages=dict(self.stages),
            explain=self.explain,
        )


class AskBody(QuestionBody):
    """A question to be answered."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"question": EXAMPLE_QUESTION},
                {
                    "question": "那 b 呢？",
                    "history": [{"role": "user", "content": EXAMPLE_QUESTION}],
                    "filter": {"path": "retrieval/", "tags": ["检索"]},
                    "stream": True,
                    "deadline_s": 30,
                },
            ]
        }
    )

    history: list[TurnBody] = Field(default=[], description="Earlier messages, oldest first.")
    stream: bool = Field(default=False, description="Answer with server-sent events.")
    deadline_s: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="Seconds for the whole way, waiting included."
    )

    def to_request(self, question: str) -> AskRequest:
        """Return the pipeline's form, with the checked question."""
        return AskRequest(
            question=question,
            history=tuple(Turn(role=turn.role, content=turn.content) for turn in self.history),
            top_k=self.top_k,
            filter=None if self.filter is None else self.filter.to_filter(),
            hyde=self.hyde,
            rerank=self.rerank,
            stages=dict(self.stages),
            deadline_s=self.deadline_s,
        )


class IndexBody(Body):
    """An index run over the configured notes."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"full": False}]})

    full: bool = Field(default=False, description="Read and encode everything again, not only what changed.")


class SearchResponse(SearchReply):
    """A search's reply; also the data of a stream's `retrieval` event."""

    request_id: str


class AskResponse(AnswerReply):
    """An answer's reply."""

    request_id: str


class TokenData(Reply):
    """Data of a `token` event: a piece of the draft."""

    text: str


class CitationsData(Reply):
    """Data of the `citations` event: the checked answer, which replaces the draft."""

    answer: str
    abstained: bool
    written_by: Literal["model", "extract", "none"]
    citations: list[CitationReply]


class DoneData(Reply):
    """Data of the `done` event, the last of a stream that went well."""

    timings: dict[str, float]
    snapshot: str
    stages_skipped: list[str]
    request_id: str


class ErrorDetail(Reply):
    """What was refused or failed, and what to do about it."""

    type: str = Field(description="Stable name in snake case.")
    message: str
    hint: str
    request_id: str


class ErrorBody(Reply):
    """The shape of every error."""

    error: ErrorDetail


class ProgressReply(Reply):
    """How far a job has come in its current stage."""

    stage: str
    done: int
    total: int


class JobReply(Reply):
    """An index run in the background."""

    id: str
    kind: Literal["index"] = "index"
    full: bool
    state: Literal["running", "succeeded", "failed"]
    progress: ProgressReply | None = Field(description="Null before the first stage and after the last.")
    created_at: datetime
    finished_at: datetime | None
    summary: dict[str, JsonValue] | None = Field(
        description="What `asknotes index --json` prints; null unless succeeded."
    )
    error: ErrorDetail | None = Field(description="Null unless failed.")


class IndexReply(Reply):
    """What is served, and the latest index job of this process."""

    index: dict[str, JsonValue] = Field(description="The published snapshot: its name, counts, encoder, …")
    job: JobReply | None


class HealthReply(Reply):
    """The process lives."""

    status: Literal["ok"] = "ok"


class ReadyReply(Reply):
    """Questions can be asked."""

    status: Literal["ready"] = "ready"
