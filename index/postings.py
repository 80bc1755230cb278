"""What BM25 counts, by term and field: made from documents, kept in files, weighed into one count a term and row.

The fields are kept apart, so that their weights are settings of the search. They are added up before BM25 saturates,
after S. Robertson, H. Zaragoza & M. Taylor, "Simple BM25 extension to multiple weighted fields" (CIKM 2004): a term
counts as if the document held each field as often as its weight says, and the document is that much longer.
Adding up one BM25 score a field instead would saturate, and count the rarity of a term, once a field.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from index.errors import IndexCorrupt

POSTINGS_VERSION = 2
"""Raise it with every change to the files or to what is counted: snapshots of another version are built anew."""

_VOCABULARY_FILE = "lexical_vocabulary.json"
_ARRAY_TYPES: dict[str, tuple[type[np.generic], int]] = {  # dtype, dimensions
    "starts": (np.int64, 1),
    "rows": (np.int32, 1),
    "counts": (np.unsignedinteger, 2),
    "lengths": (np.int32, 2),
}
_REBUILD = "Run `asknotes index --full` on your notes, or `asknotes rollback` to the snapshot before."


@dataclass(frozen=True, slots=True)
class LexicalDocument:
    """The terms of a document by field, with repetitions; ``expansion`` are further ones that shall find it."""

    heading: Sequence[str] = ()
    body: Sequence[str] = ()
    expansion: Sequence[str] = ()


FIELDS = tuple(field.name for field in dataclasses.fields(LexicalDocument))


@dataclass(frozen=True)
class Postings:
    """Term counts by term and field, the one thing that is stored: engines, k1, b and weights all start from it.

    ``vocabulary`` is sorted. Term ``t`` occurs ``counts[f, i]`` times in field ``f`` (of FIELDS) of row ``rows[i]``
    for ``i`` from ``starts[t]`` up to ``starts[t + 1]``, rows ascending; ``lengths[f, row]`` are the terms of a
    field. Shapes: starts (terms + 1,), rows (postings,), counts (fields, postings), lengths (fields, rows); starts
    are int64, rows and lengths int32, counts of the smallest unsigned type that holds them: a byte as a rule.
    """

    vocabulary: tuple[str, ...]
    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]
    counts: npt.NDArray[np.unsignedinteger[Any]]
    lengths: npt.NDArray[np.int32]

    @property
    def documents(self) -> int:
        """How many documents were counted, empty ones included."""
        return int(self.lengths.shape[1])


@dataclass(frozen=True)
class WeightedPostings:
    """Postings of which the fields are added up by weight; what only fields without weight hold is left out.

    ``term_ids`` number the terms that are left, in the order of ``starts`` (terms + 1,). ``rows`` int64 and
    ``counts`` float64 are (postings,), ``lengths`` float64 is (rows,), for all documents.
    """

    term_ids: Mapping[str, int]
    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    counts: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.float64]

    @property
    def document_frequency(self) -> npt.NDArray[np.int64]:
        """In how many documents each term occurs, (terms,)."""
        return np.diff(self.starts)


def count_postings(documents: Sequence[LexicalDocument]) -> Postings:
    """Count the terms of ``documents``; row ``i`` is the ``i``-th of them."""
    fields = [[getattr(document, field) for document in documents] for field in FIELDS]
    vocabulary = sorted(set().union(*itertools.chain.from_iterable(fields)))
    term_ids = {term: i for i, term in enumerate(vocabulary)}
    counted = [_counted(texts, term_ids) for texts in fields]
    places, own = np.unique(np.concatenate([keys for keys, _ in counted]), return_inverse=True)
    counts = np.zeros((len(FIELDS), len(places)), dtype=np.int32)
    ends = np.cumsum([len(keys) for keys, _ in counted])
    for field, (positions, (_, found)) in enumerate(zip(np.split(own, ends[:-1]), counted, strict=True)):
        counts[field, positions] = found
    terms, rows = np.divmod(places, max(1, len(documents)))
    return Postings(
        vocabulary=tuple(vocabulary),
        starts=_starts(np.bincount(terms, minlength=len(vocabulary))),
        rows=rows.astype(np.int32),
        counts=counts.astype(np.min_scalar_type(int(counts.max(initial=0)))),
        lengths=np.array([[len(terms) for terms in texts] for texts in fields], dtype=np.int32),
    )


def _counted(
    texts: Sequence[Sequence[str]], term_ids: Mapping[str, int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return each term and row as one key, ascending by term and then row when sorted, and how often it occurs."""
    found = [Counter(terms) for terms in texts]
    keys = [term_ids[term] * len(texts) + row for row, counter in enumerate(found) for term in counter]
    counts = [count for counter in found for count in counter.values()]
    return np.array(keys, dtype=np.int64), np.array(counts, dtype=np.int32)


def _starts(document_frequency: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(document_frequency)]).astype(np.int64)


def weighted_postings(postings: Postings, weights: Mapping[str, float]) -> WeightedPostings:
    """Add the fields up, each times its weight (at least 0); a field without one in ``weights`` is a KeyError."""
    counts, lengths = (_weighted_sum(fields, weights) for fields in (postings.counts, postings.lengths))
    kept = counts > 0
    frequency = np.add.reduceat(kept, postings.starts[:-1], dtype=np.int64)
    known = np.flatnonzero(frequency)
    return WeightedPostings(
        term_ids={postings.vocabulary[term]: i for i, term in enumerate(known)},
        starts=_starts(frequency[known]),
        rows=postings.rows[kept].astype(np.int64),
        counts=counts[kept],
        lengths=lengths,
    )


def _weighted_sum(fields: npt.NDArray[np.integer[Any]], weights: Mapping[str, float]) -> npt.NDArray[np.float64]:
    # Field after field, not as a product of matrices: equal counts must give equal sums, bit for bit.
    total = np.zeros(fields.shape[1])
    for name, values in zip(FIELDS, fields, strict=True):
        if weights[name] > 0:
            total += weights[name] * values
    return total


def save_postings(postings: Postings, folder: Path) -> None:
    """Write ``postings`` into ``folder``, which exists: four .npy files and a JSON vocabulary.

    Equal postings give equal bytes. Neither atomic nor synced: whoever publishes the folder does that.
    """
    for name in _ARRAY_TYPES:
        np.save(_array_file(folder, name), getattr(postings, name), allow_pickle=False)
    vocabulary = {"format": POSTINGS_VERSION, "fields": FIELDS, "terms": postings.vocabulary}
    (folder / _VOCABULARY_FILE).write_text(json.dumps(vocabulary), encoding="utf-8")


def load_postings(folder: Path) -> Postings:
    """Read what ``save_postings`` wrote.

    Raises IndexCorrupt, with the file's name, for a file that is missing, truncated or does not fit the others.
    """
    vocabulary = _load_vocabulary(folder / _VOCABULARY_FILE)
    postings = Postings(vocabulary, *(_load_array(folder, name) for name in _ARRAY_TYPES))
    _check(postings, folder)
    return postings


def _array_file(folder: Path, name: str) -> Path:
    return folder / f"lexical_{name}.npy"


def _load_array(folder: Path, name: str) -> npt.NDArray[Any]:
    file, (dtype, dimensions) = _array_file(folder, name), _ARRAY_TYPES[name]
    try:
        array = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise IndexCorrupt(f"{file.name} cannot be read: {error}", hint=_REBUILD) from error
    if not isinstance(array, np.ndarray) or array.ndim != dimensions or not np.issubdtype(array.dtype, dtype):
        raise IndexCorrupt(f"{file.name} is no {dimensions}-dimensional array of {dtype.__name__}.", hint=_REBUILD)
    if dimensions > 1 and len(array) != len(FIELDS):
        raise IndexCorrupt(f"{file.name} holds {len(array)} fields, not {len(FIELDS)}.", hint=_REBUILD)
    return array


def _load_vocabulary(file: Path) -> tuple[str, ...]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IndexCorrupt(f"{file.name} cannot be read: {error}", hint=_REBUILD) from error
    if not isinstance(content, dict) or content.get("format") != POSTINGS_VERSION:
        raise IndexCorrupt(f"{file.name} is not a vocabulary of format {POSTINGS_VERSION}.", hint=_REBUILD)
    terms = content.get("terms")
    if content.get("fields") != list(FIELDS) or not isinstance(terms, list):
        raise IndexCorrupt(f"{file.name} is not a vocabulary of the fields {', '.join(FIELDS)}.", hint=_REBUILD)
    if not all(isinstance(term, str) for term in terms):
        raise IndexCorrupt(f"{file.name} holds a term that is no text.", hint=_REBUILD)
    if any(left >= right for left, right in itertools.pairwise(terms)):
        raise IndexCorrupt(f"{file.name} is not sorted or names a term twice.", hint=_REBUILD)
    return tuple(terms)


def _check(postings: Postings, folder: Path) -> None:
    """Refuse arrays that ``count_postings`` could not have made, naming the file that does not fit."""
    starts, rows, counts, documents = postings.starts, postings.rows, postings.counts, postings.documents
    faults = {
        "starts": len(starts) != len(postings.vocabulary) + 1 or starts[0] != 0 or np.any(np.diff(starts) < 1),
        "rows": len(rows) != (starts[-1] if len(starts) else 0)
        or np.any((rows < 0) | (rows >= documents))
        or not _ascending_within_terms(rows, starts),
        "counts": counts.shape[1] != len(rows) or not counts.any(axis=0).all(),
    }
    faulty = next((name for name, fault in faults.items() if fault), None)
    if faulty is None and not np.array_equal(_lengths(rows, counts, documents), postings.lengths):
        faulty = "lengths"
    if faulty is not None:
        raise IndexCorrupt(f"{_array_file(folder, faulty).name} does not fit the rest of the index.", hint=_REBUILD)


def _ascending_within_terms(rows: npt.NDArray[np.int32], starts: npt.NDArray[np.int64]) -> bool:
    falls = np.flatnonzero(np.diff(rows) <= 0) + 1
    return bool(np.isin(falls, starts).all())


def _lengths(
    rows: npt.NDArray[np.int32], counts: npt.NDArray[np.unsignedinteger[Any]], documents: int
) -> npt.NDArray[np.float64]:
    return np.stack([np.bincount(rows, weights=field, minlength=documents) for field in counts])
