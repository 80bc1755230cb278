"""The project's own share of a search: everything besides encoding the question, stage by stage.

A generated collection (generated_collection.py) is published and opened, then asked as the service asks it, one
question at a time in one process, without any model. Beside it stand the raw library calls that no such search can do
without, on the same data: bm25s scoring the same terms, FAISS searching the same file for the same vector, numpy
multiplying the same token vectors. A search of which the stages cannot run at once takes at least as long as the
slowest of them; the ratio says how much more it takes here.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bm25s
import faiss

from eval.bench_collection import BenchCollection, Size, open_collection
from eval.memory import peak_resident_bytes
from eval.results import RESULTS_VERSION, Latency, Provenance
from eval.statistics import percentile
from index.config import DenseConfig, IndexConfig
from index.dense import FILE
from index.progress import ProgressListener
from index.tokenizer import Tokenizer
from ingest.language import language_of
from service.answering.query import Query
from service.answering.rerank import LATE, NO_RERANKER
from service.answering.retriever import retrieve
from service.answering.timings import Timings, milliseconds_since

UNDERSTANDING = "segmenting"
OTHER = "other"
_WARM_UP = 20
_HITS = 10
_STEPS = 3  # of the progress bar, a collection

Samples = dict[str, list[float]]
"""Milliseconds of each question, by stage or call."""


@dataclass(frozen=True, slots=True)
class ModeTimes:
    """One way of searching, milliseconds.

    ``stages`` are the retriever's own, with segmenting the question before them and, as ``other``, what none of them
    measures (making the hits); ``total`` is all of it. ``raw`` are the library calls that this way cannot do without,
    ``ratio`` is the median of the total to that of the slowest of them.
    """

    name: str
    stages: Mapping[str, Latency]
    total: Latency
    raw: Mapping[str, Latency]
    slowest_raw: str
    ratio: float


@dataclass(frozen=True, slots=True)
class CollectionTimes:
    """All ways of searching one collection, and what it takes to build, keep and open.

    ``build_s`` are seconds by part (token vectors: from 500 chunks at most), ``disk_bytes_per_chunk`` those of the
    published files by part, ``opened_bytes`` what the process grew by when it opened them, ``peak_bytes`` the most it
    ever held until then, generating and building included.
    """

    chunks: int
    tokens: int
    dimension: int
    dense_built_as: str
    modes: Sequence[ModeTimes]
    build_s: Mapping[str, float]
    disk_bytes_per_chunk: Mapping[str, float]
    opened_bytes: int
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class BenchResults:
    """Every size of collection, smallest first."""

    questions: int
    candidates: int
    collections: Sequence[CollectionTimes]
    provenance: Provenance
    version: int = RESULTS_VERSION

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON-able values."""
        return dataclasses.asdict(self)


def bench(
    sizes: Sequence[Size],
    config: IndexConfig,
    *,
    questions: int,
    candidates: int,
    provenance: Provenance,
    listener: ProgressListener,
) -> BenchResults:
    """Measure every size, hybrid without reranking and with late interaction of ``candidates`` chunks.

    The smallest comes first, so that the peak of memory is that of each. Needs disk and memory for the largest:
    80 KB a chunk of 200 tokens and 384 dimensions, twice while it is built.
    """
    late = config.late.model_copy(update={"enabled": True, "candidates": candidates, "exhaustive_tokens": 0})
    config = config.model_copy(update={"late": late})
    measured = []
    for size in sorted(sizes, key=lambda each: each.chunks):
        listener.start(f"{size.chunks:,} chunks", _STEPS)
        with tempfile.TemporaryDirectory() as name:
            collection = open_collection(size, config, questions=questions, folder=Path(name))
            listener.advance(1)
            measured.append(_measure(size, collection, config, listener))
            collection.snapshot.close()
        listener.finish()
    return BenchResults(questions=questions, candidates=candidates, collections=measured, provenance=provenance)


def _measure(
    size: Size, collection: BenchCollection, config: IndexConfig, listener: ProgressListener
) -> CollectionTimes:
    snapshot, figures = collection.snapshot, collection.figures
    raw = _raw_calls(collection, config)
    listener.advance(1)
    modes = [
        _mode("hybrid", _ask_all(collection, config, NO_RERANKER), {name: raw[name] for name in ("bm25s", "faiss")}),
        _mode(f"hybrid, late interaction of {config.late.candidates}", _ask_all(collection, config, LATE), raw),
    ]
    listener.advance(1)
    return CollectionTimes(
        chunks=size.chunks,
        tokens=snapshot.late.tokens if snapshot.late is not None else 0,
        dimension=size.dimension,
        dense_built_as=snapshot.dense.built_as,
        modes=modes,
        build_s=dict(figures.seconds),
        disk_bytes_per_chunk={part: total / size.chunks for part, total in figures.disk_bytes.items()},
        opened_bytes=figures.opened_bytes,
        peak_bytes=peak_resident_bytes(),
    )


def _mode(name: str, stages: Samples, raw: Samples) -> ModeTimes:
    total = _latency([sum(parts) for parts in zip(*stages.values(), strict=True)])
    calls = {call: _latency(values) for call, values in raw.items()}
    slowest = max(calls, key=lambda call: calls[call].p50)
    return ModeTimes(
        name=name,
        stages={stage: _latency(values) for stage, values in stages.items()},
        total=total,
        raw=calls,
        slowest_raw=slowest,
        ratio=total.p50 / calls[slowest].p50,
    )


def _ask_all(collection: BenchCollection, config: IndexConfig, reranker: str) -> Samples:
    """Ask every question once, after some to warm up; every stage has as many values as there are questions."""
    tokenizer = Tokenizer()
    for question in collection.questions[:_WARM_UP]:
        _ask(question, collection, config, reranker, tokenizer)
    asked = [_ask(question, collection, config, reranker, tokenizer) for question in collection.questions]
    return {stage: [times[stage] for times in asked] for stage in asked[0]}


def _ask(
    question: Query, collection: BenchCollection, config: IndexConfig, reranker: str, tokenizer: Tokenizer
) -> dict[str, float]:
    """Search once; returns milliseconds by stage."""
    started = time.perf_counter()
    tokenizer.terms(question.text)
    language_of(question.text)
    segmenting = milliseconds_since(started)
    timings = Timings()
    started = time.perf_counter()
    retrieve(
        question,
        collection.snapshot,
        config,
        mode="hybrid",
        reranker=reranker,
        top_k=_HITS,
        chunk_filter=None,
        timings=timings,
    )
    searching = milliseconds_since(started)
    other = max(0.0, searching - sum(timings.stages.values()))
    return {UNDERSTANDING: segmenting, **timings.stages, OTHER: other}


def _raw_calls(collection: BenchCollection, config: IndexConfig) -> Samples:
    scorer, vectors = _bm25s(collection, config), _faiss(collection, config.dense)
    depth = config.fusion.depth
    samples: Samples = {"bm25s": [], "faiss": [], "numpy": []}
    questions = collection.questions
    for question in [*questions[:_WARM_UP], *questions]:
        terms = list(question.terms)
        query = question.encoding.vector[None, :]
        samples["bm25s"].append(_milliseconds(lambda: scorer.get_scores(terms)))  # noqa: B023 - called at once
        samples["faiss"].append(_milliseconds(lambda: vectors.search(query, depth)))  # noqa: B023 - called at once
    for question in [*questions[:_WARM_UP], *questions]:
        candidates = collection.token_vectors(_candidates(question, collection, config))
        tokens = question.encoding.token_vectors
        samples["numpy"].append(_milliseconds(lambda: tokens @ candidates.T))  # noqa: B023 - called at once
    return {call: values[-len(questions) :] for call, values in samples.items()}


def _candidates(question: Query, collection: BenchCollection, config: IndexConfig) -> list[int]:
    found = retrieve(
        question,
        collection.snapshot,
        config,
        mode="hybrid",
        reranker=NO_RERANKER,
        top_k=config.late.candidates,
        chunk_filter=None,
        timings=Timings(),
    )
    return [collection.snapshot.rows_by_id[hit.chunk.id] for hit in found.hits]


def _bm25s(collection: BenchCollection, config: IndexConfig) -> Any:
    """Index the same terms by the library's own road."""
    scorer = bm25s.BM25(k1=config.lexical.k1, b=config.lexical.b, method="lucene")
    scorer.index([list(document) for document in collection.documents], show_progress=False)
    return scorer


def _faiss(collection: BenchCollection, config: DenseConfig) -> Any:
    """Open the snapshot's own file, with the configured search settings where the family has them."""
    index = faiss.read_index(str(collection.folder / FILE))
    space = faiss.ParameterSpace()
    space.initialize(index)
    known = {space.parameter_ranges.at(i).name for i in range(space.parameter_ranges.size())}
    for name, value in {
        "efSearch": config.ef_search,
        "nprobe": config.nprobe,
        "k_factor_rf": config.refine_factor,
    }.items():
        if name in known:
            space.set_index_parameter(index, name, value)
    return index


def _milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return milliseconds_since(started)


def _latency(values: Sequence[float]) -> Latency:
    return Latency(p50=percentile(values, 0.5), p95=percentile(values, 0.95))
