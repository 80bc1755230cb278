"""Approximate search against exact search: how much of the truth each FAISS family finds, how fast, how small.

Every family is built and searched as the project does it, through ``DenseIndex``: what is reported holds its tie
handling and its checks. Queries are asked one at a time in one thread of FAISS, as a service with one question has it;
the first pass warms up and is not counted, of the others the median counts.

Recall is that of ann-benchmarks (Aumüller, Bernhardsson & Faithfull, "ANN-Benchmarks", Information Systems 87, 2020):
the share of what was found that is at least as near as the k-th nearest, so that of equally near vectors any will do.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np

from eval.generated_collection import clustered_vectors, perturbed_members
from eval.gold import Gold
from eval.pareto import front
from eval.results import AnnPoint, AnnResults, Provenance
from index.config import DenseConfig
from index.dense import FILE, DenseIndex, Vectors, fitted_factory, single_thread
from index.encoder import TextEncoder
from index.errors import AsknotesError, ConfigInvalid
from index.progress import ProgressListener
from index.snapshot import Snapshot
from index.vectors import unit

_REPEATS = 3
_LEAST_S = 0.2  # seconds that a measurement takes at least: a small index is through its queries in a few ms
EF_SEARCH = (16, 32, 64, 128, 256, 512)
NPROBE = (1, 2, 4, 8, 16, 32, 64)
REFINE_FACTOR = (1, 4, 16)
_SEED = 2020
_ROUNDING = 1e-6  # of an inner product of two vectors of length 1 in 32 bits
_COMPONENTS_A_CODE = 8


class MeasurementInvalid(AsknotesError):
    """A measurement that would say nothing: no vectors, no queries, or more neighbours asked for than there are."""

    type = "measurement_invalid"


@dataclass(frozen=True, slots=True)
class SearchTask:
    """Vectors (rows, d) to be searched for the nearest of queries (queries, d), all float32 of length 1."""

    source: str
    vectors: Vectors
    queries: Vectors


def generated_task(rows: int, dimension: int, queries: int) -> SearchTask:
    """Generate clustered vectors, and queries from them."""
    vectors = clustered_vectors(rows, dimension, seed=_SEED)
    source = f"{rows:,} generated vectors (clustered, as an encoder's); queries: members moved towards others"
    return SearchTask(source, vectors, perturbed_members(vectors, queries, seed=_SEED + 1))


def published_task(snapshot: Snapshot, queries: int) -> SearchTask:
    """Take a snapshot's own vectors, and queries from them. Raises MeasurementInvalid for an empty snapshot."""
    vectors = _own_vectors(snapshot)
    source = f"{_own(snapshot)}; queries: members moved towards others"
    return SearchTask(source, vectors, perturbed_members(vectors, queries, seed=_SEED + 1))


def asked_task(snapshot: Snapshot, gold: Gold, encoder: TextEncoder, queries: int) -> SearchTask:
    """Take a snapshot's own vectors and the first ``queries`` questions of a gold set as its encoder encodes them.

    Raises MeasurementInvalid for an empty snapshot.
    """
    vectors = _own_vectors(snapshot)
    asked = gold.questions[:queries]
    source = f"{_own(snapshot)}; queries: {len(asked)} questions of {gold.path.name}"
    return SearchTask(source, vectors, np.stack([encoder.encode_query(question.text).vector for question in asked]))


def default_factories(dimension: int) -> tuple[str, ...]:
    """Every family that the project has, with product quantisers that fit the dimension: 8 components a byte if so."""
    codes = next(size for size in range(max(1, dimension // _COMPONENTS_A_CODE), 0, -1) if dimension % size == 0)
    reduced = max(1, dimension // 4)
    return (
        "Flat",
        "SQ8",
        "HNSW32",
        "HNSW32_SQ8",
        "IVF256,Flat",
        "IVF256,SQ8",
        f"PQ{codes}",
        f"PQ{codes},RFlat",
        f"PQ{codes}x4fs,RFlat",
        f"IVF256,PQ{codes}",
        f"IVF256,PQ{codes},RFlat",
        f"PCA{reduced},Flat,RFlat",
        f"PCA{reduced},HNSW32,RFlat",
        f"OPQ{codes},IVF256,PQ{codes},RFlat",
    )


def compare_families(
    task: SearchTask,
    factories: Sequence[str],
    config: DenseConfig,
    *,
    k: int,
    provenance: Provenance,
    listener: ProgressListener,
) -> AnnResults:
    """Measure every family at every rung of its search settings, and mark the front of recall and queries/s.

    What several factories come down to (too few vectors give ``Flat``: index/dense.py) is built and measured once.
    Raises ConfigInvalid for a factory that cannot be built, MeasurementInvalid for a ``k`` beyond the vectors.
    """
    rows, dimension = task.vectors.shape
    if not 1 <= k <= rows or not len(task.queries):
        raise MeasurementInvalid(
            f"The {k} nearest of {rows} vectors for {len(task.queries)} queries cannot be measured.",
            hint="Ask for as many neighbours as there are vectors at most, and for one query at least.",
        )
    _check_factories(factories, dimension)
    exact, _ = DenseIndex.build(task.vectors, DenseConfig()).search(task.queries, k)
    measured: dict[str, list[AnnPoint]] = {}
    listener.start("building and searching", len(factories))
    for factory in factories:
        built_as = fitted_factory(factory, rows, dimension)
        if built_as not in measured:
            measured[built_as] = _measure_family(task, config.model_copy(update={"factory": factory}), exact)
        listener.advance(1)
    listener.finish()
    points = [
        dataclasses.replace(point, factory=factory)
        for factory in factories
        for point in measured[fitted_factory(factory, rows, dimension)]
    ]
    on_front = front(points, higher=[lambda point: point.recall, lambda point: point.queries_per_s])
    return AnnResults(
        source=task.source,
        vectors=rows,
        dimension=dimension,
        queries=len(task.queries),
        k=k,
        points=[dataclasses.replace(point, on_front=on) for point, on in zip(points, on_front, strict=True)],
        provenance=provenance,
    )


def search_ladder(built_as: str, config: DenseConfig, *, rows: int, k: int) -> list[dict[str, int]]:
    """Return the search settings that a family is measured at, the configured ones among them.

    ``ef_search`` for HNSW, more than ``k`` and no more than there are rows; ``nprobe`` for IVF, up to its lists;
    ``refine_factor`` for a refine stage, which then stands beside every second value of the others; one rung without
    any setting for a family that has none.
    """
    axes: dict[str, list[int]] = {}
    refines = "RFlat" in built_as or "Refine" in built_as
    step = 2 if refines else 1
    lists = re.search(r"IVF(\d+)(k?)", built_as)
    if lists is not None:
        most = int(lists[1]) * (1024 if lists[2] else 1)
        axes["nprobe"] = sorted({min(most, each) for each in (*NPROBE[::step], config.nprobe)})
    elif "HNSW" in built_as:
        axes["ef_search"] = sorted({min(rows, max(k + 1, each)) for each in (*EF_SEARCH[::step], config.ef_search)})
    if refines:
        axes["refine_factor"] = sorted({*REFINE_FACTOR, config.refine_factor})
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def recall(task: SearchTask, exact: np.ndarray, found: Sequence[np.ndarray]) -> float:
    """Mean share of the k nearest that was found, 0 to 1; ``exact`` holds their rows, (queries, k)."""
    shares = []
    for query, nearest, rows in zip(task.queries, exact, found, strict=True):
        farthest = (task.vectors[nearest] @ query).min()
        near = task.vectors[rows] @ query >= farthest - _ROUNDING
        shares.append(near.sum() / len(nearest))
    return float(np.mean(shares))


def _measure_family(task: SearchTask, config: DenseConfig, exact: np.ndarray) -> list[AnnPoint]:
    rows, k = len(task.vectors), exact.shape[1]
    started = time.perf_counter()
    built = DenseIndex.build(task.vectors, config)
    build_s = time.perf_counter() - started
    points = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        built.save(folder)
        size = (folder / FILE).stat().st_size
        for search in search_ladder(built.built_as, config, rows=rows, k=k):
            index = DenseIndex.load(folder, config.model_copy(update=search))
            found, queries_per_s = _searched(index, task.queries, k)
            points.append(
                AnnPoint(
                    factory=config.factory,
                    built_as=built.built_as,
                    search=search,
                    recall=recall(task, exact, found),
                    queries_per_s=queries_per_s,
                    build_s=build_s,
                    bytes_per_vector=size / rows,
                )
            )
    return points


def _searched(index: DenseIndex, queries: Vectors, k: int) -> tuple[list[np.ndarray], float]:
    """Return the rows that each query finds, and queries a second."""
    with single_thread():
        found = [index.search(query, k)[0] for query in queries]
        seconds: list[float] = []
        while len(seconds) < _REPEATS or sum(seconds) < _LEAST_S:
            started = time.perf_counter()
            for query in queries:
                index.search(query, k)
            seconds.append(time.perf_counter() - started)
    return found, len(queries) / statistics.median(seconds)


def _check_factories(factories: Sequence[str], dimension: int) -> None:
    """Refuse a misspelt factory before minutes are spent on the others."""
    if not factories:
        raise ConfigInvalid("No factory is given.", hint="Name FAISS factories, for instance Flat;HNSW32.")
    for factory in factories:
        try:
            faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
        except RuntimeError as error:
            raise ConfigInvalid(
                f"The factory {factory!r} cannot be built for {dimension} dimensions.",
                hint="Separate factories by semicolons; the number after PQ must divide the dimension.",
            ) from error


def _own_vectors(snapshot: Snapshot) -> Vectors:
    vectors = snapshot.dense.vectors()
    if not len(vectors):
        raise MeasurementInvalid(
            f"Snapshot {snapshot.name} holds no vectors.", hint="Index notes first, or give --vectors and --dimension."
        )
    # What a quantiser kept is of length 1 only roughly.
    return unit(vectors)


def _own(snapshot: Snapshot) -> str:
    return f"the {snapshot.dense.rows:,} vectors of snapshot {snapshot.name}, stored as {snapshot.dense.built_as}"


def settings_text(search: Mapping[str, int]) -> str:
    """Write search settings as ``nprobe=8 refine_factor=4``; a dash for none."""
    return " ".join(f"{name}={value}" for name, value in search.items()) or "–"
