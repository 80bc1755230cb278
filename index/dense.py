"""One vector a chunk, searched by inner product with FAISS.

Any factory string of these families works: ``Flat``, ``SQ…``, ``PQ…``, ``HNSW…``, ``IVF…`` with ``Flat``, ``SQ…`` or
``PQ…`` in it, after a linear transform (``PCA64,…``, ``OPQ16,…``) or before a refine stage (``…,RFlat``,
``…,Refine(SQ8)``) or both.

Too few vectors to train what was asked for would give a bad index, or none. FAISS wants 39 training vectors for a
centroid (``ClusteringParameters::min_points_per_centroid``), so with n vectors, by ``fitted_factory``:

* a product quantiser of b bits (8 unless ``PQ…xb``) or a trained transform of d dimensions is kept from 39 * 2^b
  and 39 * d vectors on; below, the index is ``Flat``, which is exact and fast where there is so little;
* ``IVF…`` gets n / 39 lists at most; where these would be fewer than 16, the index is ``Flat``.

``auto`` is ``Flat``, and from ``_FEWEST_HALVES`` vectors on ``SQfp16``: as exhaustive, in half the memory and three
fifths of the time.

``DenseIndex.built_as`` says what was built.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from index.config import DenseConfig
from index.errors import AsknotesError, ConfigInvalid, IndexCorrupt, IndexIncompatible, StorageFailed

FILE = "dense.faiss"
# The type stubs of faiss describe the C++ constructors; these are the Python ones, which take keywords.
_untyped: Any = faiss
_REBUILD = "Run `asknotes index --full`."
_TRAINING_PER_CENTROID = 39
AUTO = "auto"
_FEWEST_HALVES = 10_000
_FEWEST_LISTS = 16
_NORM_TOLERANCE = 0.02

Vectors = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


class VectorsInvalid(AsknotesError):
    """Vectors that cannot be indexed or searched for: not finite, not of length 1, not a matrix."""

    type = "vectors_invalid"


class DenseIndex:
    """Nearest chunks by inner product. Row ``i`` is the ``i``-th vector.

    Equal vectors and config give an index of equal bytes. Searching changes nothing, so threads share one index.
    """

    def __init__(self, index: Any, config: DenseConfig, built_as: str) -> None:
        self._index = index
        self._config = config
        self._parts = _parts(index)
        self.built_as = built_as
        """The factory string that was really built; see the module's docstring."""

    @classmethod
    def build(cls, vectors: Vectors, config: DenseConfig) -> DenseIndex:
        """Index ``vectors``, float32 of shape (rows, dimension), each of length 1; no rows are allowed.

        On one thread, because HNSW links what several threads insert in the order in which they happen to come.
        Raises VectorsInvalid for other vectors, ConfigInvalid for a factory string that FAISS cannot build from them.
        """
        vectors = _checked(vectors)
        rows, dimension = vectors.shape
        if rows and np.abs(np.linalg.norm(vectors, axis=1) - 1).max() > _NORM_TOLERANCE:
            raise VectorsInvalid("The vectors are not of length 1.", hint="Use an encoder that normalises its vectors.")
        built_as = fitted_factory(config.factory, rows, dimension)
        index = _empty_index(built_as, dimension)
        with single_thread():
            _prepare(index, config)
            try:
                index.train(vectors)
                index.add(vectors)
            except RuntimeError as error:
                raise _unbuildable(config.factory, dimension, error) from error
        return cls(index, config, built_as)

    @property
    def rows(self) -> int:
        """Vectors in the index."""
        return int(self._index.ntotal)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self._index.d)

    def search(
        self, query: Vectors, k: int, allowed: Mask | None = None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Return the rows nearest to ``query`` and their inner products, best first, ties by row.

        ``query`` is float32 of shape (dimension,) or (queries, dimension); the results have shape (found,) or
        (queries, found). ``found`` is ``k``, or all rows where there are fewer; an approximate family may reach
        fewer for some query of a batch, and then every query of it gets that many. ``allowed``, bool of shape
        (rows,), keeps only its true rows; the rarer they are, the more of the index is visited.
        Raises IndexIncompatible for another dimension, VectorsInvalid for what is not finite.
        """
        queries = _checked(np.atleast_2d(query))
        if queries.shape[1] != self.dimension:
            raise IndexIncompatible(
                f"The question's vector has {queries.shape[1]} dimensions, the index {self.dimension}.", hint=_REBUILD
            )
        if allowed is not None and (allowed.dtype != np.bool_ or allowed.shape != (self.rows,)):
            raise VectorsInvalid(
                f"The filter must be bool of shape ({self.rows},).", hint="Filter by the rows indexed."
            )
        reachable = self.rows if allowed is None else int(allowed.sum())
        found = self._nearest(queries, min(max(k, 0), reachable), reachable, allowed)
        if np.ndim(query) == 1:
            return found.rows[0], found.scores[0]
        return found.rows, found.scores

    def vectors(self) -> Vectors:
        """Return every row's vector as it is stored, (rows, dimension) float32.

        Exact where the family or its refine stage keeps whole vectors (``Flat``, ``HNSW32``, ``…,RFlat``); elsewhere
        decoded, and then of length 1 only roughly.
        """
        stored: Vectors = np.asarray(self._index.reconstruct_n(0, self.rows), dtype=np.float32)
        return stored.reshape(self.rows, self.dimension)

    def save(self, folder: Path) -> None:
        """Write ``dense.faiss`` into ``folder`` in FAISS's own format; neither atomic nor synced."""
        try:
            faiss.write_index(self._index, str(folder / FILE))
        except RuntimeError as error:
            raise StorageFailed(
                f"{FILE} could not be written: {error}", hint="Free disk space and try again."
            ) from error

    @classmethod
    def load(cls, folder: Path, config: DenseConfig) -> DenseIndex:
        """Read what ``save`` wrote; ``ef_search``, ``nprobe`` and ``refine_factor`` are those of ``config``.

        Raises IndexCorrupt for an unreadable file, IndexIncompatible where ``config.factory`` builds another index.
        """
        try:
            index = faiss.read_index(str(folder / FILE))
        except (RuntimeError, MemoryError) as error:
            raise IndexCorrupt(f"{FILE} cannot be read: {error}", hint=_REBUILD) from error
        built_as = fitted_factory(config.factory, index.ntotal, index.d)
        if _structure(index) != _structure(_empty_index(built_as, index.d)):
            raise IndexIncompatible(
                f"The dense index was not built as {built_as!r}, which dense.factory asks for.", hint=_REBUILD
            )
        return cls(index, config, built_as)

    def _nearest(self, queries: Vectors, k: int, reachable: int, allowed: Mask | None) -> _Found:
        """Search with ever more effort until every query has ``k`` results and the last tie is complete."""
        if k == 0:
            return _Found(np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32))
        share = reachable / self.rows
        width = min(k + 1, reachable)
        while True:
            found = self._search_once(queries, width, share, allowed)
            short = bool((found.rows < 0).any())
            if short and share > 0:
                share = 0.0
            elif not short and width < reachable and (found.scores[:, k - 1] == found.scores[:, -1]).any():
                width = min(2 * width, reachable)
            else:
                return _best(found, k)

    def _search_once(self, queries: Vectors, width: int, share: float, allowed: Mask | None) -> _Found:
        """Let FAISS search once; a ``share`` of 0 asks for everything that the family can visit."""
        leaf = self._parts[-1]
        if allowed is not None and not isinstance(leaf, _FILTERING):
            refined = isinstance(self._parts[0], faiss.IndexRefine)
            every = _untyped.IndexRefineSearchParameters(k_factor=1.0) if refined else None
            scores, rows = self._index.search(queries, self.rows, params=every)
            return _best(_Found(np.where((rows >= 0) & allowed[rows], rows, -1), scores), width, keep_missing=True)
        scores, rows = self._index.search(queries, width, params=self._parameters(share, allowed, width))
        return _Found(rows, scores)

    def _parameters(self, share: float, allowed: Mask | None, width: int) -> Any:
        """Return FAISS's search parameters, from the innermost part outwards; effort grows as ``share`` falls."""

        def effort(setting: int, most: int) -> int:
            return most if share == 0 else min(most, math.ceil(setting / share))

        selector = None if allowed is None else _untyped.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        *wrappers, leaf = self._parts
        parameters: Any
        if isinstance(leaf, faiss.IndexIVF):
            parameters = _untyped.SearchParametersIVF(sel=selector, nprobe=effort(self._config.nprobe, leaf.nlist))
        elif isinstance(leaf, faiss.IndexHNSW):
            wanted = max(self._config.ef_search, width)
            parameters = _untyped.SearchParametersHNSW(sel=selector, efSearch=effort(wanted, self.rows))
        elif selector is None:
            parameters = None
        else:
            parameters = _untyped.SearchParameters(sel=selector)
        for wrapper in reversed(wrappers):
            if isinstance(wrapper, faiss.IndexRefine):
                parameters = _untyped.IndexRefineSearchParameters(
                    k_factor=self._config.refine_factor, base_index_params=parameters
                )
            elif parameters is not None:
                parameters = _untyped.SearchParametersPreTransform(index_params=parameters)
        return parameters


def fitted_factory(factory: str, rows: int, dimension: int) -> str:
    """Return what is built of ``rows`` vectors for ``factory``, which may be itself (module docstring)."""
    if factory == AUTO:
        return "Flat" if rows < _FEWEST_HALVES else "SQfp16"
    codebooks = [2 ** int(bits or 8) for bits in re.findall(r"PQ\d*(?:x(\d+))?", factory)]
    transforms = [int(size or dimension) for size in re.findall(r"(?:PCA[RW]*|ITQ)(\d*)", factory)]
    if rows < max([1, *(_TRAINING_PER_CENTROID * size for size in codebooks + transforms)]):
        return "Flat"
    lists = re.search(r"IVF(\d+)([kM]?)", factory)
    most_lists = rows // _TRAINING_PER_CENTROID
    if lists is None or int(lists[1]) * {"": 1, "k": 1024, "M": 1024**2}[lists[2]] <= most_lists:
        return factory
    return factory.replace(lists[0], f"IVF{most_lists}", 1) if most_lists >= _FEWEST_LISTS else "Flat"


_SUPPORTED = (
    faiss.IndexFlat,
    faiss.IndexScalarQuantizer,
    faiss.IndexPQ,
    faiss.IndexPQFastScan,
    faiss.IndexHNSW,
    faiss.IndexIVF,
)
# The others refuse a selector: they are asked for everything, and their results are filtered.
_FILTERING = (faiss.IndexFlat, faiss.IndexScalarQuantizer, faiss.IndexHNSW, faiss.IndexIVF)


@dataclass(frozen=True)
class _Found:
    """Rows (int64, -1 for none) and scores (float32) of the same shape (queries, width)."""

    rows: npt.NDArray[np.int64]
    scores: Vectors


def _best(found: _Found, k: int, *, keep_missing: bool = False) -> _Found:
    """Sort by score and row, missing results last, and cut to ``k``, or to what every query has."""
    scores = np.where(found.rows < 0, np.float32(-np.inf), found.scores)
    order = np.lexsort((found.rows, -scores), axis=-1)[:, :k]
    rows = np.take_along_axis(found.rows, order, axis=1)
    scores = np.take_along_axis(scores, order, axis=1)
    width = rows.shape[1] if keep_missing else int((rows >= 0).sum(axis=1).min(initial=k))
    return _Found(rows[:, :width], scores[:, :width])


def _checked(vectors: Vectors) -> Vectors:
    checked = np.ascontiguousarray(vectors, dtype=np.float32)
    if checked.ndim != 2 or checked.shape[1] == 0:  # noqa: PLR2004 - a matrix has two axes
        raise VectorsInvalid(f"Vectors of shape {checked.shape} are no matrix.", hint="Pass (rows, dimension).")
    if not np.isfinite(checked).all():
        raise VectorsInvalid(
            "A vector holds values that are not finite.", hint="Check the encoder and its weights (`asknotes doctor`)."
        )
    return checked


def _empty_index(factory: str, dimension: int) -> Any:
    try:
        index = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise _unbuildable(factory, dimension, error) from error
    leaf = _parts(index)[-1]
    if not isinstance(leaf, _SUPPORTED):
        raise _unbuildable(factory, dimension, f"{type(leaf).__name__} is not supported")
    return index


def _unbuildable(factory: str, dimension: int, reason: object) -> ConfigInvalid:
    return ConfigInvalid(
        f"dense.factory = {factory!r} cannot be built for {dimension} dimensions: {reason}",
        hint="Use for instance Flat, HNSW32, or IVF256,PQ48,RFlat (the number after PQ must divide the dimension).",
    )


def _parts(index: Any) -> list[Any]:
    """Return the index and what it wraps, outermost first, each as its own class."""
    part = faiss.downcast_index(index)
    if isinstance(part, faiss.IndexRefine):
        return [part, *_parts(part.base_index)]
    if isinstance(part, faiss.IndexPreTransform):
        return [part, *_parts(part.index)]
    return [part]


def _prepare(index: Any, config: DenseConfig) -> None:
    """Set what decides how the index is built: every seed, and HNSW's candidates."""
    leaf = _parts(index)[-1]
    if isinstance(leaf, faiss.IndexHNSW):
        leaf.hnsw.efConstruction = config.ef_construction
        leaf = faiss.downcast_index(leaf.storage)
    if isinstance(leaf, faiss.IndexIVF):
        leaf.cp.seed = config.seed
        quantizer = faiss.downcast_index(leaf.quantizer)
        if isinstance(quantizer, faiss.IndexHNSW):
            quantizer.hnsw.efConstruction = config.ef_construction
            quantizer.hnsw.efSearch = config.ef_search
    if hasattr(leaf, "pq"):
        leaf.pq.cp.seed = config.seed
    if hasattr(leaf, "do_polysemous_training"):
        # Reorders codes for Hamming prefilters, which are not used here, and takes nine tenths of the training time.
        leaf.do_polysemous_training = False


def _structure(index: Any) -> list[tuple[object, ...]]:
    """Return what two indexes have in common that one factory string built, whatever they hold."""
    structure: list[tuple[object, ...]] = []
    for part in _parts(index):
        inner = [
            faiss.downcast_index(getattr(part, name)) for name in ("storage", "refine_index") if hasattr(part, name)
        ]
        structure += [
            (
                "IndexFlat" if isinstance(each, faiss.IndexFlat) else type(each).__name__,
                each.d,
                each.metric_type,
                getattr(each, "nlist", None),
                getattr(each, "code_size", None),
                each.hnsw.nb_neighbors(0) if hasattr(each, "hnsw") else None,
                each.sq.qtype if hasattr(each, "sq") else None,
                (each.pq.M, each.pq.nbits) if hasattr(each, "pq") else None,
            )
            for each in [part, *inner]
        ]
    return structure


@contextmanager
def single_thread() -> Iterator[None]:
    """FAISS on one thread while the block runs, as before after it."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
