"""What goes into the question pipeline and what comes out of it: requests, answers, citations, events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from index.schema import Hit
from service.answering.explanation import Explanation

SearchMode = Literal["lexical", "dense", "hybrid"]
Role = Literal["user", "assistant"]
Stage = Literal["spelling", "parts", "glossary", "concepts", "keywords", "rewording", "translation"]
"""A stage of understanding that a request can switch on or off (understanding.py)."""
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True, slots=True)
class ChunkFilter:
    """Which chunks may be found; every given condition must hold.

    ``path`` is a prefix of the note's path, ``tags`` must all be among the note's, ``language`` is the chunk's
    (``zh``, ``zh-Hant``, ``en``), ``date_from``/``date_to`` bound the note's ISO date, inclusive: a note
    without a date fails either bound.
    """

    path: str | None = None
    tags: tuple[str, ...] = ()
    language: str | None = None
    date_from: str | None = None
    date_to: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier message of the conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search. ``None`` means: what the settings say. ``rerank`` is a reranker's name or ``none``.

    ``stages`` switches stages of understanding on or off; one that is not named is as configured. ``explain`` has
    the result say how it came about.
    """

    question: str
    top_k: int | None = None
    mode: SearchMode = "hybrid"
    filter: ChunkFilter | None = None
    hyde: bool | None = None
    rerank: str | None = None
    stages: Mapping[Stage, bool] = field(default_factory=dict)
    explain: bool = False


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first; ``timings`` are milliseconds by stage, ``stages_skipped`` what was asked for but not done.

    A stage that was done and found nothing of use, as a hypothetical answer that was rejected, is not skipped: it has
    its time, and no hit has its signal.
    """

    hits: tuple[Hit, ...]
    snapshot: str
    timings: Mapping[str, float] = field(default_factory=dict)
    stages_skipped: tuple[str, ...] = ()
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True)
class AskRequest:
    """One question to be answered. ``deadline_s`` bounds the whole way, seconds.

    ``history`` are the earlier messages, oldest first: a follow-up is searched and answered as a question that stands
    alone (question.py).
    """

    question: str
    history: tuple[Turn, ...] = ()
    top_k: int | None = None
    filter: ChunkFilter | None = None
    hyde: bool | None = None
    rerank: str | None = None
    stages: Mapping[Stage, bool] = field(default_factory=dict)
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage that the answer rests on: ``n`` is the number in the answer's ``[n]`` marks.

    ``quote`` is the supporting passage as it stands in the chunk; ``lines`` are the chunk's lines in the note.
    """

    n: int
    chunk_id: str
    note: str
    heading: tuple[str, ...]
    lines: tuple[int, int]
    quote: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question.

    ``text`` carries ``[n]`` marks at the end of each sentence. ``written_by`` says where it comes from:
    ``model`` (every sentence passed the support check), ``extract`` (the supporting sentences themselves,
    because the model's text failed the check or no model is configured) or ``none`` (abstained).
    """

    text: str
    abstained: bool
    citations: tuple[Citation, ...]
    hits: tuple[Hit, ...]
    snapshot: str
    written_by: Literal["model", "extract", "none"]
    timings: Mapping[str, float] = field(default_factory=dict)
    stages_skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RetrievalEvent:
    """First event of a stream: what was found."""

    result: SearchResult


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """A piece of the model's draft, as it is written; the checked answer comes with the AnswerEvent."""

    text: str


@dataclass(frozen=True, slots=True)
class AnswerEvent:
    """Last event of a stream: the checked answer, which replaces the draft."""

    answer: Answer


AnswerStreamEvent = RetrievalEvent | TokenEvent | AnswerEvent
