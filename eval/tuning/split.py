"""Which pairs are trained on and which are held out: whole sections, chosen by hash, so that nothing leaks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from eval.gold import Gold
from eval.quotes import PassageSearch
from eval.tuning.pairs import Collection, Pair, TuningRefused
from index.schema import Chunk

FEWEST_TRAINING, FEWEST_HELD_OUT = 50, 10
_REMEDY = "Write more pairs (--pairs FILE), have some drafted (--generate N; `asknotes eval make-gold` drafts gold), "


@dataclass(frozen=True, slots=True)
class Split:
    """Pairs to train on, and those held out; the latter are none where a gold set measures instead.

    ``hidden`` are the passages of all sections that are held out: training reads none of them, not as negatives either.
    """

    training: tuple[Pair, ...]
    held_out: tuple[Pair, ...]
    hidden: frozenset[str]


def split_by_section(collection: Collection, *, share: float, seed: int) -> Split:
    """Hold out whole sections with at least ``share`` of the pairs; raises TuningRefused where too few are left."""
    _enough(Split(collection.pairs, (), frozenset()), fewest_held_out=0)
    sizes: dict[str, int] = {}
    for pair in collection.pairs:
        sizes[collection.section(pair)] = sizes.get(collection.section(pair), 0) + 1
    held_out: set[str] = set()
    held = 0
    for section in sorted(sizes, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest()):
        if held >= share * len(collection.pairs):
            break
        held_out.add(section)
        held += sizes[section]
    hidden = _passages_of(collection, held_out)
    asked = tuple(pair for pair in collection.pairs if pair.passage in hidden)
    return _enough(Split(_trainable(collection, hidden), asked, hidden), fewest_held_out=FEWEST_HELD_OUT)


def split_by_gold(collection: Collection, chunks: Sequence[Chunk], gold: Gold) -> Split:
    """Leave out of training every section that holds evidence of a gold question, and that the file names.

    ``chunks`` are the notes' own. Raises TuningRefused where too few pairs are left.
    """
    texts = {passage.id: passage.text for passage in collection.passages} | {chunk.id: chunk.text for chunk in chunks}
    ids, search = list(texts), PassageSearch(list(texts.values()))
    rows = set().union(*(search.holding(one.quote) for question in gold.questions for one in question.evidence))
    hidden = _passages_of(
        collection, {collection.sections[ids[row]] for row in rows if ids[row] in collection.sections}
    )
    return _enough(Split(_trainable(collection, hidden), (), hidden), fewest_held_out=0)


def _passages_of(collection: Collection, sections: AbstractSet[str]) -> frozenset[str]:
    return frozenset(passage for passage, section in collection.sections.items() if section in sections)


def _trainable(collection: Collection, hidden: frozenset[str]) -> tuple[Pair, ...]:
    """The pairs whose question no hidden passage answers."""
    return tuple(pair for pair in collection.pairs if not pair.answers & hidden)


def _enough(split: Split, *, fewest_held_out: int) -> Split:
    if len(split.training) < FEWEST_TRAINING:
        raise TuningRefused(
            f"There are {len(split.training)} pairs of question and passage to train on; {FEWEST_TRAINING} are needed.",
            hint=f"{_REMEDY}or index more notes.",
        )
    if len(split.held_out) < fewest_held_out:
        raise TuningRefused(
            f"{len(split.held_out)} questions are held out; {fewest_held_out} are needed to tell whether it helped.",
            hint=f"{_REMEDY}or measure with a gold set (--gold).",
        )
    return split
