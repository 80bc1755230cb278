"""What an evaluation found, as plain frozen data: written as JSON, rendered as HTML and Markdown, read by the gate.

Measures are named as everywhere in the field: ``hit@5``, ``recall@10``, ``mrr@10``, ``ndcg@10``. A *slice* is a part
of the questions: ``all``, ``type:colloquial``, ``language:en``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

RESULTS_VERSION = 1
ALL = "all"


@dataclass(frozen=True, slots=True)
class Figure:
    """The mean of a measure over ``n`` questions, with a 95 % bootstrap interval."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of one stage over all questions."""

    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class ShownHit:
    """One of a question's best hits, as a person reads it. ``holds`` are the evidence groups found in it."""

    rank: int
    chunk_id: str
    note: str
    heading: tuple[str, ...]
    lines: tuple[int, int]
    score: float
    text: str
    holds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SystemResult:
    """One system over one gold set.

    ``settings`` are what sets it apart, ``figures`` maps slice -> measure -> figure, ``per_question`` maps question id
    -> measure -> value, ``hits`` question id -> best hits, ``unreachable`` lists the answerable questions whose
    evidence no chunk of the whole index holds, which no ranking can find.
    """

    name: str
    settings: Mapping[str, Any]
    snapshot: str
    fingerprints: Mapping[str, str]
    chunks: int
    index_bytes: int
    mean_chunk_chars: float
    figures: Mapping[str, Mapping[str, Figure]]
    latency_ms: Mapping[str, Latency]
    per_question: Mapping[str, Mapping[str, float]]
    hits: Mapping[str, Sequence[ShownHit]] = field(default_factory=dict)
    unreachable: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two systems on the same questions, ``other`` minus ``base``.

    ``p`` is two-sided from a paired randomisation test, ``p_corrected`` after Holm's correction over all comparisons
    of the same measure; ``low`` and ``high`` bound the difference (95 %, paired bootstrap). ``gained`` and ``lost`` are
    the questions that changed sides at rank 5.
    """

    base: str
    other: str
    measure: str
    difference: float
    low: float
    high: float
    p: float
    p_corrected: float
    wins: int
    losses: int
    ties: int
    gained: Sequence[str] = ()
    lost: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class GoldSummary:
    """Which questions were asked; ``questions`` maps id -> text, language, type."""

    name: str
    path: str
    sha256: str
    answerable: int
    unanswerable: int
    questions: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Everything needed to repeat a run: when, where, with which versions and settings."""

    created: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RetrievalResults:
    """Every system over one gold set, and how they compare."""

    gold: GoldSummary
    systems: Sequence[SystemResult]
    comparisons: Sequence[Comparison]
    provenance: Provenance
    notices: Sequence[str] = ()
    version: int = RESULTS_VERSION

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON-able values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One setting of a sweep: what was set, what came of it. ``on_front`` is set where no other is better in all."""

    settings: Mapping[str, Any]
    figures: Mapping[str, Figure]
    mean_chunk_chars: float
    chunks: int
    latency_ms: float
    index_bytes: int
    build_s: float
    on_front: bool = False


@dataclass(frozen=True, slots=True)
class SweepResults:
    """A grid of settings over one gold set; ``axes`` maps each setting's dotted key to its values in order."""

    gold: GoldSummary
    system: str
    axes: Mapping[str, Sequence[Any]]
    measure: str
    points: Sequence[SweepPoint]
    provenance: Provenance
    version: int = RESULTS_VERSION

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON-able values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class AnnPoint:
    """One FAISS family with one search setting against exact search on the same vectors.

    ``recall`` is the share of the exact 10 nearest that it found, ``queries_per_s`` is one query at a time in one
    thread, ``bytes_per_vector`` that of the whole serialised index, ``built_as`` what was really built.
    """

    factory: str
    built_as: str
    search: Mapping[str, int]
    recall: float
    queries_per_s: float
    build_s: float
    bytes_per_vector: float
    on_front: bool = False


@dataclass(frozen=True, slots=True)
class AnnResults:
    """Families of approximate search over one set of vectors."""

    source: str
    vectors: int
    dimension: int
    queries: int
    k: int
    points: Sequence[AnnPoint]
    provenance: Provenance
    version: int = RESULTS_VERSION

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON-able values."""
        return dataclasses.asdict(self)
