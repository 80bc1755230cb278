"""From a question to what is searched with: which stage is on, what it makes, what is skipped, rejected, explained."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from index.concepts import Concept
from index.glossary import Glossary, TermPair
from index.schema import Chunk
from index.snapshot import Snapshot
from index.tokenizer import Tokenizer
from service.answering.answer import answer_stream, search
from service.answering.clock import Clock
from service.answering.config import AnsweringConfig
from service.answering.exchange import STAGES, AnswerEvent, AskRequest, ChunkFilter, SearchRequest, Stage, Turn
from service.answering.explanation import Asked, Dropped, Explanation, Rejected
from service.answering.generator import LanguageModel, Prompt
from service.answering.question import as_asked
from service.answering.timings import Timings
from service.answering.tools import Tools
from service.answering.understanding import Understood, other_language, understand_question, vocabulary_of
from tests.service.answering.small_indexes import CONFIG, chunk, snapshot_of
from tests.service.answering.toy_language_model import ToyLanguageModel
from tests.toys import ToyEncoder

CHUNKS = [
    chunk("残差连接把输入加回来，残差连接缓解梯度消失。", note="residual.md"),
    chunk("归一化放在残差连接之前，训练更稳。", note="norm.md"),
    chunk("学习率先升后降，预热让训练更稳。", note="rate.md"),
    chunk("Warmup raises the learning rate.", note="warmup.md", language="en"),
]
GLOSSARY = Glossary([TermPair(("warmup", "预热"), 2, CHUNKS[2].id)])
CONCEPT = Concept(("残差连接",), ("给信号加一条近路", "网络太深传不到前面"))
OFF: dict[Stage, bool] = dict.fromkeys(STAGES, False)
QUESTION = "残差连接为什么让训练更稳"
REWORDED = "残差结构凭什么使训练稳定？"
FIT = "残差连接把输入加回来，梯度更容易传到浅层。"
TRANSLATED = "Why do residual connections help?"


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    folder = tmp_path_factory.mktemp("notes")
    return replace(snapshot_of(CHUNKS, folder, concepts=[CONCEPT]), glossary=GLOSSARY)


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Notes that are mostly English."""
    texts = ["Residual connections add the input.", "Warmup raises the rate.", "Dropout drops neurons."]
    chunks = [chunk(text, note=f"{number}.md", language="en") for number, text in enumerate(texts)]
    return snapshot_of([*chunks, CHUNKS[0]], tmp_path_factory.mktemp("english"))


def tools(snapshot: Snapshot, model: LanguageModel | None = None, **answering: Any) -> Tools:
    """With every stage off that is not named."""
    configured = {"model": "toy", "min_writing_s": 0.0} | OFF | answering
    return Tools(snapshot, ToyEncoder(), Tokenizer(), model, CONFIG, AnsweringConfig.model_validate(configured))


def understood(
    question: str, given: Tools, *, clock: Clock | None = None, timings: Timings | None = None, **request: Any
) -> Understood:
    return understand_question(
        as_asked(question), SearchRequest(question, **request), given, clock or Clock.of(60.0), timings or Timings()
    )


def variants(found: Understood) -> list[tuple[str, str, float]]:
    return [(variant.stage, variant.query.text, variant.weight) for variant in found.query.variants]


@dataclass
class WritesByInstruction(ToyLanguageModel):
    """Rewords, translates or answers, by what its instruction asks for."""

    def write(self, prompt: Prompt, *, max_new_tokens: int, stop: Callable[[], bool]) -> Generator[str, None, None]:
        texts = {"说法": REWORDED, "Translate": TRANSLATED, "解答": FIT}
        self.pieces = [next(text for phrase, text in texts.items() if phrase in prompt.instruction)]
        yield from super().write(prompt, max_new_tokens=max_new_tokens, stop=stop)


# A question for which each stage makes something, and whether the notes are English.
MADE: dict[Stage, tuple[str, bool]] = {
    "spelling": ("残叉连接为什么让训练更稳", False),
    "parts": ("残差连接和归一化有什么区别", False),
    "glossary": ("预热是什么", False),
    "concepts": ("怎么给信号加一条近路", False),
    "keywords": ("残差连接为什么让别人开心", False),
    "rewording": (QUESTION, False),
    "translation": (QUESTION, True),
}


class TestSwitches:
    @staticmethod
    def did(stage: Stage, found: Understood) -> bool:
        query = found.query
        if stage == "spelling":
            return query.text != MADE["spelling"][0]
        if stage == "concepts":
            return query.described is not None
        return bool(query.parts) if stage == "parts" else stage in {variant.stage for variant in query.variants}

    @pytest.mark.parametrize("stage", STAGES)
    def test_a_stage_is_on_where_the_request_or_else_the_config_says_so(
        self, snapshot: Snapshot, english: Snapshot, stage: Stage
    ) -> None:
        question, in_english = MADE[stage]
        switched: list[tuple[bool, dict[Stage, bool], bool]] = [
            (False, {}, False),
            (True, {}, True),
            (False, {stage: True}, True),
            (True, {stage: False}, False),
        ]
        for configured, stages, done in switched:
            timings = Timings()
            given = tools(english if in_english else snapshot, WritesByInstruction(), **{stage: configured})
            found = understood(question, given, timings=timings, stages=stages)
            assert self.did(stage, found) is done
            assert timings.stages.keys() - {"question"} == ({stage} if done else set())
            assert (found.rejected, found.skipped) == ((), ())

    def test_with_all_off_the_question_is_searched_with_as_it_is(self, snapshot: Snapshot) -> None:
        for question, _ in MADE.values():
            query = understood(question, tools(snapshot, WritesByInstruction())).query
            assert (query.text, query.variants, query.parts) == (question, (), ())
            assert (query.hypothesis, query.described) == (None, None)

    def test_with_all_on_each_has_its_place_and_its_weight(self, english: Snapshot) -> None:
        weights = {"keywords_weight": 0.1, "rewording_weight": 0.2, "translation_weight": 0.3, "hyde_weight": 0.4}
        given = tools(english, WritesByInstruction(), hyde_min_similarity=-1.0, **weights)
        found = understood(QUESTION, given, stages=dict.fromkeys(STAGES, True), hyde=True)
        assert [(stage, weight) for stage, _, weight in variants(found)] == [
            ("keywords", 0.1),
            ("rewording", 0.2),
            ("translation", 0.3),
        ]
        assert found.query.hypothesis is not None
        assert (found.query.hypothesis.text, found.query.hypothesis.weight) == (FIT, 0.4)

    def test_the_answer_to_a_question_goes_through_the_same_stages(self, snapshot: Snapshot) -> None:
        question, _ = MADE["rewording"]
        model = WritesByInstruction()
        request = AskRequest(question, stages={"rewording": True}, history=(Turn("user", "什么是残差连接？"),))
        given = tools(snapshot, None, min_answerable=0.0)
        *_, last = answer_stream(request, given)
        assert isinstance(last, AnswerEvent)
        assert last.answer.stages_skipped == ("rewording", "writing")
        search(SearchRequest(question, stages={"rewording": True}), replace(given, language_model=model))
        assert [prompt.request for prompt in model.prompts] == [question]


class TestSpelling:
    def test_a_repaired_question_takes_the_place_of_the_question_in_every_stage(self, snapshot: Snapshot) -> None:
        model = WritesByInstruction()
        found = understood(
            "残叉连接和归一化有什么区别", tools(snapshot, model, spelling=True, parts=True, rewording=True)
        )
        assert found.query.text == "残差连接和归一化有什么区别"
        assert [part.text for part in found.query.parts] == ["残差连接", "归一化"]
        assert model.prompts[0].request == found.query.text
        assert found.query.terms == tuple(Tokenizer().terms(found.query.text))

    def test_the_vocabulary_is_built_once_for_a_snapshot(self, snapshot: Snapshot, english: Snapshot) -> None:
        assert vocabulary_of(snapshot) is vocabulary_of(snapshot)
        assert vocabulary_of(snapshot) is not vocabulary_of(english)


class TestParts:
    def test_each_is_encoded_as_a_question_of_its_own(self, snapshot: Snapshot) -> None:
        encoder = ToyEncoder()
        found = understood("比较一下残差连接和 warmup 的优缺点", tools(snapshot, parts=True))
        assert found.route == "parts"
        assert [part.text for part in found.query.parts] == ["残差连接", "warmup"]
        for part in found.query.parts:
            assert part.encoding.vector.tolist() == encoder.encode_query(part.text).vector.tolist()
            assert part.terms == tuple(Tokenizer().terms(part.text))
            assert part.language == "zh"  # that of the question: it is answered in it
            assert (part.parts, part.variants, part.hypothesis) == ((), (), None)

    def test_the_kind_of_question_is_said_even_where_it_is_not_split(self, snapshot: Snapshot) -> None:
        found = understood("残差连接和归一化有什么区别", tools(snapshot))
        assert (found.route, found.query.parts) == ("parts", ())


class TestGlossary:
    @pytest.mark.parametrize(
        ("question", "expected", "language"),
        [("预热", "warmup", "en"), ("warmup", "预热", "zh"), ("什么是预热？", "什么是 warmup ？", "zh")],
    )
    def test_a_question_for_a_name_is_asked_by_its_other_name_too(
        self, snapshot: Snapshot, question: str, expected: str, language: str
    ) -> None:
        found = understood(question, tools(snapshot, glossary=True, glossary_weight=0.7))
        assert variants(found) == [("glossary", expected, 0.7)]
        assert found.query.variants[0].query.language == language

    @pytest.mark.parametrize("question", ["预热为什么让训练更稳", "残差连接", "为什么"])
    def test_one_that_asks_for_more_or_for_an_unknown_name_is_not(self, snapshot: Snapshot, question: str) -> None:
        assert variants(understood(question, tools(snapshot, glossary=True))) == []


class TestModel:
    @pytest.mark.parametrize("stage", ["rewording", "translation"])
    def test_without_a_model_a_stage_that_is_on_is_skipped(self, english: Snapshot, stage: Stage) -> None:
        found = understood(QUESTION, tools(english, None), stages={stage: True})
        assert (found.skipped, found.query.variants) == ((stage,), ())

    def test_every_one_of_them_is_said(self, english: Snapshot) -> None:
        found = understood(QUESTION, tools(english, None, rewording=True, translation=True, hyde=True))
        assert found.skipped == ("rewording", "translation", "hyde")

    @pytest.mark.parametrize("fails_after", [None, 0], ids=["out of time", "broken"])
    def test_what_was_not_written_in_time_is_skipped(self, english: Snapshot, fails_after: int | None) -> None:
        model = ToyLanguageModel([REWORDED], fails_after=fails_after)
        given = tools(english, model, rewording=True, translation=True, hyde=True)
        found = understood(QUESTION, given, clock=Clock.of(0.0 if fails_after is None else 60.0))
        assert found.skipped == ("rewording", "translation", "hyde")
        assert (found.rejected, found.query.variants, found.query.hypothesis) == ((), (), None)

    def test_time_is_left_for_the_answer(self, english: Snapshot) -> None:
        model = ToyLanguageModel([REWORDED])
        given = tools(english, model, rewording=True, translation=True, hyde=True, min_writing_s=30.0)
        assert understood(QUESTION, given, clock=Clock.of(29.0)).skipped == ("rewording", "translation", "hyde")
        assert model.prompts == []

    def test_what_is_not_fit_is_rejected_with_the_reason(self, english: Snapshot) -> None:
        written = f"{QUESTION}？\n{TRANSLATED}\n{REWORDED}\n{REWORDED}"
        found = understood(QUESTION, tools(english, ToyLanguageModel([written]), rewording=True, rewordings=4))
        assert variants(found) == [("rewording", REWORDED, 0.25)]
        assert found.rejected == (
            Rejected("rewording", "is the question again", f"{QUESTION}？"),
            Rejected("rewording", "is in another language", TRANSLATED),
            Rejected("rewording", "is the question again", REWORDED),
        )
        assert found.skipped == ()

    def test_so_is_a_translation_that_is_none(self, english: Snapshot) -> None:
        found = understood(QUESTION, tools(english, ToyLanguageModel([REWORDED]), translation=True))
        assert found.rejected == (Rejected("translation", "is in another language", REWORDED),)
        assert found.query.variants == ()

    def test_it_is_asked_once_for_the_same_question(self, english: Snapshot) -> None:
        model = WritesByInstruction()
        given = tools(english, model, rewording=True, translation=True, hyde=True)
        first, second = understood(QUESTION, given), understood(QUESTION, given)
        assert len(model.prompts) == 3
        assert variants(first) == variants(second)


class TestTranslation:
    @pytest.mark.parametrize(
        ("question", "notes", "expected"),
        [
            (QUESTION, "english", "en"),
            ("殘差連接為什麼讓訓練更穩呢", "english", "en"),
            ("Why do residual connections help?", "snapshot", "zh"),
            (QUESTION, "snapshot", None),
            ("殘差連接為什麼讓訓練更穩呢", "snapshot", None),
            ("Why do residual connections help?", "english", None),
        ],
    )
    def test_a_question_in_another_language_than_most_notes_is_translated_into_it(
        self, question: str, notes: str, expected: str | None, request: pytest.FixtureRequest
    ) -> None:
        texts = {"en": TRANSLATED, "zh": REWORDED, None: TRANSLATED}
        model = ToyLanguageModel([texts[expected]])
        found = understood(question, tools(request.getfixturevalue(notes), model, translation=True))
        assert len(model.prompts) == (expected is not None)
        assert variants(found) == ([("translation", texts[expected], 0.5)] if expected else [])
        assert [variant.query.language for variant in found.query.variants] == ([expected] if expected else [])

    def test_where_none_is_needed_none_is_missed(self, snapshot: Snapshot) -> None:
        assert understood(QUESTION, tools(snapshot, None, translation=True)).skipped == ()

    def test_half_is_not_most_and_no_notes_have_no_language(self, tmp_path: Path) -> None:
        half = snapshot_of(CHUNKS[2:], tmp_path)
        assert (other_language("zh", half), other_language("en", half)) == (None, "zh")
        empty = snapshot_of([], tmp_path)
        assert (other_language("zh", empty), other_language("en", empty)) == (None, None)


class TestHypothesis:
    def test_a_fit_one_is_searched_with(self, snapshot: Snapshot) -> None:
        given = tools(snapshot, ToyLanguageModel([FIT]), hyde=True, hyde_min_similarity=-1.0)
        found = understood(QUESTION, given)
        assert found.query.hypothesis is not None
        assert found.query.hypothesis.text == FIT

    def test_one_that_drifted_is_rejected(self, snapshot: Snapshot) -> None:
        found = understood(QUESTION, tools(snapshot, ToyLanguageModel([FIT]), hyde=True, hyde_min_similarity=0.9999))
        assert found.query.hypothesis is None
        (rejected,) = found.rejected
        assert (rejected.stage, rejected.text) == ("hyde", FIT)
        assert rejected.reason.startswith("drifted")
        assert found.skipped == ()

    @pytest.mark.parametrize(
        ("model", "request_"),
        [(None, {}), (ToyLanguageModel([FIT]), {"mode": "lexical"})],
        ids=["no model", "no vectors are searched"],
    )
    def test_where_it_cannot_be_used_it_is_skipped(
        self, snapshot: Snapshot, model: ToyLanguageModel | None, request_: dict[str, Any]
    ) -> None:
        found = understood(QUESTION, tools(snapshot, model, hyde=True), **request_)
        assert (found.skipped, found.query.hypothesis) == (("hyde",), None)
        assert model is None or model.prompts == []


def explained(question: str, given: Tools, **request: Any) -> Explanation:
    explanation = search(SearchRequest(question, explain=True, **request), given).explanation
    assert explanation is not None
    return explanation


class TestExplanation:
    def test_it_is_given_only_where_it_is_asked_for(self, snapshot: Snapshot) -> None:
        found = search(SearchRequest(QUESTION), tools(snapshot))
        assert found.explanation is None
        assert all(hit.matches == () for hit in found.hits)

    def test_it_says_all_that_was_searched_with_and_which_terms_the_notes_know(self, snapshot: Snapshot) -> None:
        given = tools(snapshot, WritesByInstruction(), parts=True, keywords=True, hyde=True, hyde_min_similarity=-1.0)
        found = explained("残差连接和 dropout 有什么区别", given, rerank="none")
        assert found.route == "parts"
        terms = tuple(Tokenizer().terms("残差连接和 dropout 有什么区别"))
        known = tuple(term for term in terms if term not in {"dropout", "区别"})
        assert found.asked == (
            Asked("question", "残差连接和 dropout 有什么区别", 1.0, terms, known),
            Asked("keywords", " ".join(known), 0.5, known, known),
            Asked("part", "残差连接", 1.0, known, known),
            Asked("part", "dropout", 1.0, ("dropout",), ()),
            Asked("hyde", FIT, 0.25, (), ()),
        )
        assert found.rejected == ()

    def test_it_shows_the_repaired_question(self, snapshot: Snapshot) -> None:
        assert explained("残叉连接", tools(snapshot, spelling=True)).asked[0].text == "残差连接"

    def test_it_says_what_was_rejected(self, snapshot: Snapshot) -> None:
        found = explained(QUESTION, tools(snapshot, ToyLanguageModel([""]), rewording=True, hyde=True))
        assert found.rejected == (Rejected("hyde", "empty"),)
        found = explained(QUESTION, tools(snapshot, ToyLanguageModel([TRANSLATED]), rewording=True))
        assert found.rejected == (Rejected("rewording", "is in another language", TRANSLATED),)

    def test_it_counts_what_the_filter_kept_out(self, snapshot: Snapshot) -> None:
        assert explained(QUESTION, tools(snapshot)).filtered_out == 0
        found = explained(QUESTION, tools(snapshot), filter=ChunkFilter(language="en"))
        assert found.filtered_out == 3
        assert found.dropped == ()

    def test_a_hit_shows_the_lines_that_hold_the_questions_words(self, tmp_path: Path) -> None:
        lines = "残差连接缓解梯度消失。\n红茶应当趁热喝。\n\n  残差连接让训练更稳。"
        snapshot = snapshot_of([chunk(lines), CHUNKS[3]], tmp_path)
        first, second = search(SearchRequest("残差连接", explain=True), tools(snapshot)).hits
        assert first.matches == ("残差连接缓解梯度消失。", "  残差连接让训练更稳。")
        assert second.matches == ()


class TestDropped:
    """Two chunks of one section, the better said again in another note, and notes about something else."""

    # What is shorter is never alike.
    LONG = "残差连接让训练更稳，梯度也更容易传到浅层，几十层的网络因此学得动，去掉残差连接损失就降不下来"
    BEST = chunk(f"{LONG}。", note="a.md", heading=("网络", "残差"))
    NEXT = chunk("红茶应当趁热喝。", note="a.md", heading=("网络", "残差"))
    AGAIN = chunk(f"{LONG}了。", note="b.md", heading=("摘要",))
    OTHER = chunk("量化把权重变成整数。", note="c.md", heading=("量化",))
    LAST = chunk("分词器切开句子。", note="d.md", heading=("分词",))

    @staticmethod
    def dropped(folder: Path, *chunks: Chunk, **settings: Any) -> tuple[Dropped, ...]:
        configured = {"span_chars": 0} | settings
        top_k = configured.pop("top_k")
        found = explained(
            "残差连接让训练更稳", tools(snapshot_of(chunks, folder), **configured), top_k=top_k, rerank="none"
        )
        return found.dropped

    def test_a_neighbour_comes_with_its_hit(self, tmp_path: Path) -> None:
        (dropped,) = self.dropped(tmp_path, self.BEST, self.NEXT, self.OTHER, top_k=2, span_chars=100)
        assert (dropped.reason, dropped.hit) == ("neighbour", 1)
        assert (dropped.chunk_id, dropped.note, dropped.lines) == (self.NEXT.id, "a.md", self.NEXT.lines)

    def test_what_says_the_same_is_folded_into_it(self, tmp_path: Path) -> None:
        (dropped,) = self.dropped(tmp_path, self.BEST, self.AGAIN, self.OTHER, top_k=2, fold_similarity=0.5)
        assert (dropped.reason, dropped.hit) == ("alike", 1)
        assert dropped.chunk_id in {self.BEST.id, self.AGAIN.id}

    def test_what_stands_below_the_last_hit_is_said_as_often_as_there_are_hits(self, tmp_path: Path) -> None:
        chunks = [self.BEST, self.OTHER, self.LAST, CHUNKS[3], CHUNKS[2]]
        for top_k, expected in [(1, 1), (2, 2), (3, 2), (5, 0)]:
            dropped = self.dropped(tmp_path, *chunks, top_k=top_k)
            assert [(one.reason, one.hit) for one in dropped] == [("rank", None)] * expected

    def test_what_is_dropped_stands_in_order_and_is_no_hit(self, tmp_path: Path) -> None:
        snapshot = snapshot_of([self.BEST, self.NEXT, self.AGAIN, self.OTHER, self.LAST], tmp_path)
        request = SearchRequest("残差网络：残差连接让训练更稳", top_k=2, explain=True, rerank="none")
        found = search(request, tools(snapshot, span_chars=100, fold_similarity=0.5))
        assert found.explanation is not None
        dropped = found.explanation.dropped
        assert [one.score for one in dropped] == sorted((one.score for one in dropped), reverse=True)
        assert {one.reason for one in dropped} == {"alike", "neighbour", "rank"}
        assert not {one.chunk_id for one in dropped} & {hit.chunk.id for hit in found.hits}
