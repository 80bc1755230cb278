"""Misspelt Latin words of a question: the closest word of the notes, where little else can be meant.

A word that neither the notes nor a word list know may be a slip or a name. Names are made of words by another beginning
or end (GPyTorch, NetworkX, AdamW), and by a letter more or another one (QLoRA, Mixtral), seldom by letters swapped or
doubled. So the kind of slip decides how long a word must be, or else the notes must have the repaired word beside the
same neighbour.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Literal

from service.answering.spelling.ordinary_words import english_count
from service.answering.spelling.vocabulary import HAN, Candidate, Vocabulary

_Slip = Literal["swapped", "doubled", "dropped", "added", "replaced", "two"]

_TOKEN = re.compile(r"[!-~]+")
_WORD = re.compile(r"[a-z]+")
# A number, an address, a path, code: spelt as it is on purpose.
_IDENTIFIER = re.compile(r"[\d_@\\=$`#<>{}\[\]|~^*+&%]|//|[.:]\w|\w\(|^-|--")
_FUNCTION_WORDS_LIST = """
    with what from that this does have when will into than then them they which where there these those about would
    should could between their being while after before
"""
_FUNCTION_WORDS = frozenset(_FUNCTION_WORDS_LIST.split())
_SHORTEST = 4
_SHORTEST_PART = 3
_SHORTEST_NEIGHBOUR = 4
_HAN_NEIGHBOURS = 2
_COMMON = 100  # counts of the word list from which a word is no mere name
_ORDINARY = 2_000  # about one word in a million
_CLEARLY_MORE = 3.0  # times as many chunks
_LONG_FOR_TWO = 9
_LONG_FOR_CAPITALS = 7
_LONG_WITHOUT_BEGINNING = 8
_ENDING = 3  # letters
# Letters of what is written, from which a slip is believed without a context.
_IF_A_NAME: dict[_Slip, int] = {"swapped": 5, "doubled": 5, "dropped": 6, "added": 8, "replaced": 9, "two": 11}
_IF_COMMON: dict[_Slip, int] = _IF_A_NAME | {"replaced": 7, "two": 9}
_IF_ORDINARY: dict[_Slip, int] = _IF_COMMON | {"dropped": 5, "added": 7, "replaced": 5}


def latin_candidates(text: str, capitals: Sequence[bool], vocabulary: Vocabulary) -> Iterator[Candidate]:
    """Yield the repairs of folded text that are believed; ``capitals`` says which of its characters were such."""
    for token in _TOKEN.finditer(text):
        if _IDENTIFIER.search(token.group()) or _is_cut(text, token.start(), token.end()):
            continue
        for word in _WORD.finditer(text, token.start(), token.end()):
            term = _meant(word, capitals[word.start() : word.end()], vocabulary)
            if term:
                yield Candidate(word.start(), word.end(), term, "edit", float(len(term)))


def _is_cut(text: str, start: int, end: int) -> bool:
    """Whether a letter of another alphabet or an accent goes on where the ASCII letters end."""
    beside = text[max(0, start - 1) : start] + text[end : end + 1]
    return any(unicodedata.category(one)[0] in "LM" and not re.match(f"[{HAN}]", one) for one in beside)


def _meant(word: re.Match[str], capitals: Sequence[bool], vocabulary: Vocabulary) -> str | None:
    """The word of the notes that a misspelt one stands for; None where it is right or nobody can tell."""
    written = word.group()
    if len(written) < _SHORTEST or all(capitals) or _is_right(written, vocabulary):
        return None
    believed = [
        (edits, term)
        for term, edits in vocabulary.close_to(written, 1 if len(written) < _LONG_FOR_TWO else 2)
        if _is_believed(word, term, edits, named=any(capitals), vocabulary=vocabulary)
    ]
    if not believed:
        return None
    fewest = min(edits for edits, _ in believed)
    ranked = sorted((-vocabulary.latin.get(term, 0), term) for edits, term in believed if edits == fewest)
    if len(ranked) > 1 and not _same_word(ranked[0][1], ranked[1][1]) and ranked[0][0] >= _CLEARLY_MORE * ranked[1][0]:
        return None
    return ranked[0][1]


def _is_right(written: str, vocabulary: Vocabulary) -> bool:
    """Whether the notes or the English language have the word, or both parts of what may be two without a space."""
    if vocabulary.knows(written) or english_count(written):
        return True

    def known(part: str) -> bool:
        return part in vocabulary.latin or english_count(part) >= _ORDINARY

    cuts = range(_SHORTEST_PART, len(written) - _SHORTEST_PART + 1)
    return any(known(written[:cut]) and known(written[cut:]) for cut in cuts)


def _is_believed(word: re.Match[str], term: str, edits: int, *, named: bool, vocabulary: Vocabulary) -> bool:
    written = word.group()
    slip = _slip(written, term, edits)
    if _looks_like_a_name(written, term, slip) or (named and (slip == "two" or len(written) < _LONG_FOR_CAPITALS)):
        return False
    count = english_count(term)
    ordinary = count >= _ORDINARY and term in vocabulary.latin
    long_enough = _IF_ORDINARY if ordinary else _IF_COMMON if count >= _COMMON else _IF_A_NAME
    return len(written) >= long_enough[slip] or _in_context(word, term, vocabulary)


def _looks_like_a_name(written: str, term: str, slip: _Slip) -> bool:
    """Whether a word got another beginning or end, as names are made of words: GPyTorch, NetworkX, AdamW."""
    if written[0] != term[0]:
        return slip != "swapped" and (slip != "dropped" or len(written) < _LONG_WITHOUT_BEGINNING)
    if slip == "doubled":
        return written[0] == written[1] and len(written) < _LONG_WITHOUT_BEGINNING
    if slip == "two":
        return written.startswith(term[: len(term) - _ENDING])
    return slip in {"added", "replaced"} and written[:-1] in {term, term[:-1]}


def _slip(written: str, term: str, edits: int) -> _Slip:
    if edits > 1:
        return "two"
    if len(written) == len(term):
        return "swapped" if sorted(written) == sorted(term) else "replaced"
    longer, shorter = sorted((written, term), key=len, reverse=True)
    undoubled = {longer[:i] + longer[i + 1 :] for i in range(1, len(longer)) if longer[i] == longer[i - 1]}
    if shorter in undoubled:
        return "doubled"
    return "dropped" if len(written) < len(term) else "added"


def _same_word(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _in_context(word: re.Match[str], term: str, vocabulary: Vocabulary) -> bool:
    """Whether the notes have ``term`` before or after the same neighbour."""
    before = re.search(rf"([a-z]+|[{HAN}]{{{_HAN_NEIGHBOURS}}})[ -]?$", word.string[: word.start()])
    after = re.match(rf"[ -]?([a-z]+|[{HAN}]{{{_HAN_NEIGHBOURS}}})", word.string[word.end() :])
    return any(
        _is_telling(neighbour[1]) and vocabulary.says(phrase)
        for neighbour, phrase in (
            (before, before and before.group() + term),
            (after, after and term + after.group()),
        )
        if neighbour and phrase
    )


def _is_telling(neighbour: str) -> bool:
    return not neighbour.isascii() or (len(neighbour) >= _SHORTEST_NEIGHBOUR and neighbour not in _FUNCTION_WORDS)
