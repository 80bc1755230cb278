"""Which pairs go into a batch together: those of one section, whose passages are one another's hard negatives."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval.tuning.negatives import MinedPair

_SECTIONS_IN_A_BATCH = 3


@dataclass(frozen=True, slots=True)
class Batch:
    """Questions, and all passages that each is compared with; a question's own is among them, each is there once."""

    pairs: tuple[MinedPair, ...]
    passages: tuple[str, ...]


def epoch_batches(
    pairs: Sequence[MinedPair], sections: Mapping[str, str], shuffling: random.Random, *, size: int, negatives: int
) -> list[Batch]:
    """Ask every question once, at most ``size`` a batch and one a passage, with ``negatives`` mined ones each."""
    batches = [
        _batch(chosen, shuffling, negatives)
        for one_a_passage in _rounds(pairs, shuffling)
        for chosen in _grouped(one_a_passage, sections, shuffling, size)
    ]
    shuffling.shuffle(batches)
    return batches


def _rounds(pairs: Sequence[MinedPair], shuffling: random.Random) -> list[list[MinedPair]]:
    """The first question of each passage, then the second of each that has one, and so on, in a random order."""
    asked: dict[str, list[MinedPair]] = {}
    for pair in pairs:
        asked.setdefault(pair.pair.passage, []).append(pair)
    for questions in asked.values():
        shuffling.shuffle(questions)
    longest = max(len(questions) for questions in asked.values())
    return [[one[turn] for one in asked.values() if turn < len(one)] for turn in range(longest)]


def _grouped(
    pairs: Sequence[MinedPair], sections: Mapping[str, str], shuffling: random.Random, size: int
) -> list[list[MinedPair]]:
    """Fill batches with parts of sections, each a third of a batch at most, in a random order."""
    by_section: dict[str, list[MinedPair]] = {}
    for pair in pairs:
        by_section.setdefault(sections[pair.pair.passage], []).append(pair)
    most = max(1, size // _SECTIONS_IN_A_BATCH)
    parts = []
    for together in by_section.values():
        shuffling.shuffle(together)
        parts += [together[start : start + most] for start in range(0, len(together), most)]
    shuffling.shuffle(parts)
    batches: list[list[MinedPair]] = [[]]
    for part in parts:
        if len(batches[-1]) + len(part) > size:
            batches.append([])
        batches[-1] += part
    return batches


def _batch(pairs: Sequence[MinedPair], shuffling: random.Random, negatives: int) -> Batch:
    passages = dict.fromkeys(pair.pair.passage for pair in pairs)
    for pair in pairs:
        others = [passage for passage in pair.negatives if passage not in passages]
        passages |= dict.fromkeys(shuffling.sample(others, min(negatives, len(others))))
    return Batch(tuple(pairs), tuple(passages))
