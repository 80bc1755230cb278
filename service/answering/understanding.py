"""From a question to what is searched with: repaired, split, asked in other ways, answered in advance.

A stage is on where the request, or for want of a word of it the config, says so. What a stage makes is searched with
beside the question; only a repaired spelling takes its place. A stage whose model is not there or did not finish in
time is skipped and said so; one whose text is not fit is rejected with the reason.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

from index.lexical import LexicalIndex
from index.passages import embedded_text
from index.snapshot import Snapshot
from ingest.language import language_of
from service.answering.clock import Clock
from service.answering.config import AnsweringConfig
from service.answering.exchange import SearchRequest, Stage
from service.answering.explanation import Asked, Explanation, Rejected
from service.answering.generator import LanguageModel
from service.answering.hyde import accepted, is_wanted, write_hypothesis
from service.answering.query import Described, Hypothesis, Query, Variant, understand
from service.answering.question import Condensed
from service.answering.rankings import CONCEPTS, HYDE
from service.answering.retriever import Retrieved
from service.answering.rewording import fault_of, key_words, write_rewordings, write_translation
from service.answering.routing import Route, route
from service.answering.spelling.repair import repair_spelling
from service.answering.spelling.vocabulary import Vocabulary
from service.answering.term_expansion import expand_terms
from service.answering.timings import Timings
from service.answering.tools import Tools

_SHOWN = 3  # names of a concept


@dataclass(frozen=True, slots=True)
class Understood:
    """What is searched with, the kind of question, and what its stages rejected or skipped."""

    query: Query
    route: Route
    rejected: tuple[Rejected, ...]
    skipped: tuple[str, ...]
    written: str = ""
    """The question as it was written, where its spelling was repaired."""


def understand_question(
    asked: Condensed, request: SearchRequest, tools: Tools, clock: Clock, timings: Timings
) -> Understood:
    """Take a question that stands alone through every stage that is on."""
    stages = _Stages(request, tools, clock, timings)
    text = stages.repaired(asked.text)
    with timings.measure("question"):
        routed = route(text, tools.tokenizer)
        query = understand(text, tools.encoder, tools.tokenizer, asked.language)
    query = replace(
        query,
        described=stages.described(query),
        parts=tuple(stages.parts(routed.parts, query)),
        variants=(
            *stages.other_names(query),
            *stages.key_words(query),
            *stages.rewordings(query),
            *stages.translations(query),
        ),
        hypothesis=stages.hypothesis(query),
    )
    written = asked.text if text != asked.text else ""
    return Understood(query, routed.route, tuple(stages.rejected), tuple(stages.skipped), written)


@dataclass(slots=True)
class _Stages:
    """The stages of one question; ``rejected`` and ``skipped`` fill as they are gone through."""

    request: SearchRequest
    tools: Tools
    clock: Clock
    timings: Timings
    rejected: list[Rejected] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def repaired(self, question: str) -> str:
        if not self._is_on("spelling", configured=self.tools.answering.spelling):
            return question
        with self.timings.measure("spelling"):
            return repair_spelling(question, vocabulary_of(self.tools.snapshot)).text

    def parts(self, texts: tuple[str, ...], query: Query) -> Iterator[Query]:
        if self._is_on("parts", configured=self.tools.answering.parts):
            with self.timings.measure("parts"):
                for text in texts:
                    part = self._encoded(text, query)
                    yield replace(part, described=self.described(part))

    def described(self, query: Query) -> Described | None:
        answering, concepts = self.tools.answering, self.tools.snapshot.concepts
        if concepts is None or self.request.mode != "hybrid":  # it counts beside BM25 and vectors together only
            return None
        if not self._is_on("concepts", configured=answering.concepts):
            return None
        with self.timings.measure(CONCEPTS):
            matches = concepts.matches(query.tokens, query.encoding.vector)
            return Described(matches, answering.concepts_weight)

    def key_words(self, query: Query) -> Iterator[Variant]:
        answering = self.tools.answering
        if self._is_on("keywords", configured=answering.keywords):
            with self.timings.measure("keywords"):
                text = key_words(query, self.tools.snapshot.lexical)
                if text is not None:
                    yield Variant("keywords", self._encoded(text, query), answering.keywords_weight)

    def other_names(self, query: Query) -> Iterator[Variant]:
        answering, tools = self.tools.answering, self.tools
        if self._is_on("glossary", configured=answering.glossary):
            with self.timings.measure("glossary"):
                found = expand_terms(query.text, tools.snapshot.glossary, tools.tokenizer)
                if found.names_only and found.text != query.text:
                    renamed = replace(self._encoded(found.text, query), language=language_of(found.text))
                    yield Variant("glossary", renamed, answering.glossary_weight)

    def rewordings(self, query: Query) -> Iterator[Variant]:
        answering = self.tools.answering
        model = self._model_for("rewording", configured=answering.rewording)
        if model is None:
            return
        with self.timings.measure("rewording"):
            stop = self._stop(answering.rewording_deadline_s)
            texts = write_rewordings(query, model, self.tools.drafts, number=answering.rewordings, stop=stop)
            if texts is None:
                self.skipped.append("rewording")
            others: list[str] = []
            for text in texts or ():
                if self._is_fit(text, query, stage="rewording", language=query.language, others=others):
                    others.append(text)
                    yield Variant("rewording", self._encoded(text, query), answering.rewording_weight)

    def translations(self, query: Query) -> Iterator[Variant]:
        answering = self.tools.answering
        if not self._is_on("translation", configured=bool(answering.translation)):
            return
        language = other_language(query.language, self.tools.snapshot)
        model = self._model_for("translation", configured=bool(answering.translation)) if language else None
        if language is None or model is None:
            return
        with self.timings.measure("translation"):
            text = write_translation(
                query, model, self.tools.drafts, to=language, stop=self._stop(answering.rewording_deadline_s)
            )
            if text is None:
                self.skipped.append("translation")
            elif self._is_fit(text, query, stage="translation", language=language):
                translated = replace(self._encoded(text, query), language=language)
                yield Variant("translation", translated, answering.translation_weight)

    def hypothesis(self, query: Query) -> Hypothesis | None:
        answering, tools = self.tools.answering, self.tools
        if not is_wanted(self.request.hyde, answering):
            return None
        if tools.language_model is None or self.request.mode == "lexical":  # it is searched with as a vector only
            self.skipped.append(HYDE)
            return None
        with self.timings.measure(HYDE):
            stop = self._stop(answering.hyde_deadline_s)
            text = write_hypothesis(query, tools.language_model, tools.drafts, stop=stop)
            if text is None:
                self.skipped.append(HYDE)
                return None
            judged = accepted(text, query, tools.encoder, tools.tokenizer, answering)
            if isinstance(judged, Hypothesis):
                return judged
            self.rejected.append(judged)
            return None

    def _is_on(self, stage: Stage, *, configured: bool) -> bool:
        return _is_on(self.request, stage, configured=configured)

    def _model_for(self, stage: Stage, *, configured: bool) -> LanguageModel | None:
        """The language model for a stage that is on; a stage that is on without one is skipped."""
        if not self._is_on(stage, configured=configured):
            return None
        if self.tools.language_model is None:
            self.skipped.append(stage)
        return self.tools.language_model

    def _stop(self, seconds: float) -> Callable[[], bool]:
        return self.clock.before(seconds, reserved=self.tools.answering.min_writing_s)

    def _is_fit(self, text: str, query: Query, *, stage: Stage, language: str, others: Sequence[str] = ()) -> bool:
        reason = fault_of(text, query, self.tools.tokenizer, language=language, others=others)
        if reason is not None:
            self.rejected.append(Rejected(stage, reason, text))
        return reason is None

    def _encoded(self, text: str, query: Query) -> Query:
        return understand(text, self.tools.encoder, self.tools.tokenizer, query.language)


def writes_with_model(request: SearchRequest, answering: AnsweringConfig) -> bool:
    """Whether a stage that is on has the language model write."""
    return (
        is_wanted(request.hyde, answering)
        or _is_on(request, "rewording", configured=answering.rewording)
        or _is_on(request, "translation", configured=bool(answering.translation))
    )


def _is_on(request: SearchRequest, stage: Stage, *, configured: bool) -> bool:
    return request.stages.get(stage, configured)


def explained(understood: Understood, found: Retrieved, snapshot: Snapshot) -> Explanation:
    """Say how a search came about."""
    query = understood.query
    ways = [("question", query, 1.0)]
    ways += [(variant.stage, variant.query, variant.weight) for variant in query.variants]
    ways += [("part", part, 1.0) for part in query.parts]
    asked = [
        Asked(stage, way.text, weight, way.terms, tuple(t for t in way.terms if snapshot.lexical.known_share([t])))
        for stage, way, weight in ways
    ]
    for _, way, _ in ways:
        asked += _concepts_asked(way)
    if query.hypothesis is not None:
        asked.append(Asked(HYDE, query.hypothesis.text, query.hypothesis.weight))
    return Explanation(
        understood.route, tuple(asked), understood.rejected, found.dropped, found.filtered_out, understood.written
    )


def _concepts_asked(query: Query) -> Iterator[Asked]:
    if query.described is not None:
        for match in query.described.matches:
            text = f"{' / '.join(match.names[:_SHOWN])} ← {match.description}"
            yield Asked(CONCEPTS, text, query.described.weight * match.strength)


def other_language(language: str, snapshot: Snapshot) -> str | None:
    """The language of most chunks where that is not the question's; Traditional and Simplified Chinese are one here."""
    english = sum(chunk.language == "en" for chunk in snapshot.chunks)
    notes_are_english = 2 * english > len(snapshot.chunks)
    if not snapshot.chunks or notes_are_english == (language == "en"):
        return None
    return "en" if notes_are_english else "zh"


_vocabularies: WeakKeyDictionary[LexicalIndex, Vocabulary] = WeakKeyDictionary()
_building = threading.Lock()


def vocabulary_of(snapshot: Snapshot) -> Vocabulary:
    """The vocabulary that spelling is repaired with, built when first asked for and kept as long as the index."""
    with _building:
        if snapshot.lexical not in _vocabularies:
            texts = (embedded_text(chunk) for chunk in snapshot.chunks)
            _vocabularies[snapshot.lexical] = Vocabulary.build(snapshot.lexical.document_frequencies(), texts)
        return _vocabularies[snapshot.lexical]
