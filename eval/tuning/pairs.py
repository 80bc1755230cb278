"""Pairs of a question and the passage that answers it, taken from the notes' own form, without any model.

A heading asks and the text under it answers; so does a "Q: … A: …" item; where there are few of these, a passage's
first sentence stands for the question to the rest (inverse cloze task: Lee, Chang & Toutanova, "Latent Retrieval for
Weakly Supervised Open Domain Question Answering", ACL 2019). What became the question is taken out of the passage, so
that finding it is more than finding the same words again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from eval.gold import GoldInvalid
from eval.quotes import normalised
from index.errors import AsknotesError
from index.schema import Chunk
from ingest.config import DuplicateConfig
from ingest.dedupe import fold_duplicates
from ingest.sentences import split_sentences

HEADING = "heading"
QUESTION_AND_ANSWER = "question and answer"
FIRST_SENTENCE = "first sentence"

FEW = 200
"""With fewer pairs than this, first sentences are asked with too."""

_SHORTEST_QUESTION, _LONGEST_QUESTION = 2, 200  # letters and digits; characters
_SHORTEST_SENTENCE = 8
_SHORTEST_PASSAGE = 16  # letters and digits that must be left when the question is taken out
_ASKS = re.compile(
    r"[?？]|什么|什麼|为何|为什么|為什麼|怎么|怎麼|怎样|怎樣|如何|哪[些个種种里一]|多少|是否|吗$|区别|區別|"
    r"^(?:what|why|how|when|which|who|where|is|are|does|do|can)\b",
    re.IGNORECASE,
)
_QUESTION_ITEM = re.compile(
    r"^[ \t>*_-]*(?:问题?|問題?|Q|Question)[ \t]*\d{0,3}[ \t]*[:：]\**[ \t]*(?P<question>[^\n]+?)[ \t*_]*\n?"
    r"[ \t>*_-]*(?:答案?|A|Answer)[ \t]*\d{0,3}[ \t]*[:：]\**[ \t]*",
    re.MULTILINE | re.IGNORECASE,
)


class PairsInvalid(GoldInvalid):
    """A file of pairs that cannot be read."""

    type = "pairs_invalid"


class TuningRefused(AsknotesError):
    """An encoder that cannot be tuned, or too few pairs to tune it with."""

    type = "tuning_refused"


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and the id of the passage that answers it; ``origin`` is how it was found, ``source`` where.

    ``answers`` are all passages that answer it as far as is known, this one among them: none is ever a negative.
    """

    question: str
    passage: str
    origin: str
    source: str
    answers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Collection:
    """The passages that questions are asked of, as they are read in training, and the pairs.

    ``sections`` maps a passage's id to what may not be split between training and held-out questions.
    """

    passages: tuple[Chunk, ...]
    sections: Mapping[str, str]
    pairs: tuple[Pair, ...]

    def section(self, pair: Pair) -> str:
        """Where a pair belongs."""
        return self.sections[pair.passage]

    @property
    def origins(self) -> dict[str, int]:
        """How many pairs there are of each origin, the commonest first."""
        return dict(Counter(pair.origin for pair in self.pairs).most_common())


def pairs_of_notes(chunks: Sequence[Chunk], more: Sequence[Collection] = (), *, few: int = FEW) -> Collection:
    """Find the pairs in the chunks of an index and put ``more`` beside them; first sentences only below ``few`` pairs.

    Passages keep the ids of their chunks. A pair of ``more`` may name a chunk or a passage of its own collection.
    """
    found = _Stripped({chunk.id: chunk for chunk in chunks}, [])
    _ask_with_items(found)
    _ask_with_headings(found, chunks)
    beside = [pair for one in more for pair in one.pairs]
    if len(found.pairs) + len(beside) < few:
        asked = {pair.passage for pair in [*found.pairs, *beside]}
        _ask_with_first_sentences(found, [chunk.id for chunk in chunks if chunk.id not in asked])
    return joined([Collection(tuple(found.passages.values()), _sections(chunks), tuple(found.pairs)), *more])


def joined(collections: Sequence[Collection]) -> Collection:
    """Put collections together; the same question asked in several places is answered by the passage of each."""
    passages = {passage.id: passage for one in reversed(collections) for passage in one.passages}
    pairs = _answered_alike([pair for one in collections for pair in one.pairs])
    sections = {passage: section for one in reversed(collections) for passage, section in one.sections.items()}
    return Collection(tuple(passages.values()), sections, tuple(pairs))


def without_duplicates(collection: Collection, config: DuplicateConfig) -> Collection:
    """Keep one passage of each set of near duplicates; pairs of the others become pairs of that one."""
    kept = fold_duplicates(collection.passages, config)
    home = {passage.id: passage.id for passage in kept}
    home |= {place.chunk_id: passage.id for passage in kept for place in passage.alternatives if place.chunk_id}
    pairs = [
        replace(
            pair,
            passage=home[pair.passage],
            answers=frozenset(home[answer] for answer in pair.answers if answer in home),
        )
        for pair in collection.pairs
    ]
    return Collection(tuple(kept), collection.sections, tuple(dict.fromkeys(pairs)))


@dataclass(slots=True)
class _Stripped:
    """Passages from which questions are taken out as pairs are found."""

    passages: dict[str, Chunk]
    pairs: list[Pair]

    def ask(self, question: str, passage: Chunk, origin: str, answers: Iterable[str] = ()) -> bool:
        """Take a pair and its passage without the question, if both say enough."""
        asks = len(normalised(question)) >= _SHORTEST_QUESTION and len(question) <= _LONGEST_QUESTION
        if not asks or len(normalised(passage.text)) < _SHORTEST_PASSAGE:
            return False
        self.passages[passage.id] = passage
        self.pairs.append(
            Pair(question, passage.id, origin, passage.note, frozenset({passage.id, *answers})),
        )
        return True


def _ask_with_items(found: _Stripped) -> None:
    for chunk in list(found.passages.values()):
        questions = [match["question"].strip() for match in _QUESTION_ITEM.finditer(chunk.text)]
        if questions:
            answer = replace(chunk, text=_QUESTION_ITEM.sub("", chunk.text).strip())
            for question in questions:
                found.ask(question, answer, QUESTION_AND_ANSWER)


def _ask_with_headings(found: _Stripped, chunks: Sequence[Chunk]) -> None:
    """Ask with each heading for the first chunk under it; whatever stands under it answers as well."""
    under: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for chunk in chunks:
        for depth in range(1, len(chunk.heading) + 1):
            under.setdefault((chunk.note, chunk.heading[:depth]), []).append(chunk.id)
    asked: set[tuple[str, tuple[str, ...]]] = set()
    for chunk in chunks:
        place = (chunk.note, chunk.heading)
        passage = found.passages[chunk.id]
        if not chunk.heading or not normalised(chunk.heading[-1]):
            continue
        bare = replace(passage, heading=passage.heading[:-1], title=_title_without(chunk))
        if place in asked:
            found.passages[chunk.id] = bare
        elif found.ask(_heading_question(chunk), bare, HEADING, under[place]):
            asked.add(place)


def _heading_question(chunk: Chunk) -> str:
    """Return the innermost heading; one that does not ask is read with the title above it."""
    heading = chunk.heading[-1].strip()
    if _ASKS.search(heading):
        return heading
    above = [part for part in (chunk.title, *chunk.heading[:-1]) if part and part != heading]
    return f"{above[0]} {heading}" if above else heading


def _title_without(chunk: Chunk) -> str:
    # Where the note's title is the heading itself, it would come back as the first of the heading path.
    return "" if chunk.title == chunk.heading[-1] else chunk.title


def _ask_with_first_sentences(found: _Stripped, unasked: Sequence[str]) -> None:
    for identity in unasked:
        chunk = found.passages[identity]
        sentences = split_sentences(chunk.text)
        first = sentences[0].strip() if sentences else ""
        if len(sentences) > 1 and len(normalised(first)) >= _SHORTEST_SENTENCE:
            rest = replace(chunk, text=chunk.text.replace(sentences[0].strip(), "", 1).strip())
            found.ask(first, rest, FIRST_SENTENCE)


def _answered_alike(pairs: Sequence[Pair]) -> list[Pair]:
    answers: dict[str, frozenset[str]] = {}
    for pair in pairs:
        key = normalised(pair.question)
        answers[key] = answers.get(key, frozenset()) | pair.answers
    together = {(normalised(pair.question), pair.passage): pair for pair in reversed(pairs)}
    return [replace(pair, answers=answers[question]) for (question, _), pair in reversed(together.items())]


def _sections(chunks: Sequence[Chunk]) -> dict[str, str]:
    """Each chunk's note with its first heading below the title: what stands there is about one thing."""
    return {
        chunk.id: " > ".join([chunk.note, *[part for part in chunk.heading if part != chunk.title][:1]])
        for chunk in chunks
    }
