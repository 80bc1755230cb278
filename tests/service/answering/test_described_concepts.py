"""What a question describes without its name: for itself, for each of its parts, and what a search says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from index.concepts import Concept, concepts_of
from index.config import ConceptsConfig
from index.schema import Chunk
from index.snapshot import Snapshot
from index.tokenizer import Tokenizer
from service.answering.answer import search
from service.answering.clock import Clock
from service.answering.config import AnsweringConfig
from service.answering.exchange import ChunkFilter, SearchRequest, SearchResult
from service.answering.explanation import Asked
from service.answering.query import Query
from service.answering.question import as_asked
from service.answering.timings import Timings
from service.answering.tools import Tools
from service.answering.understanding import Understood, understand_question
from tests.service.answering.small_indexes import CONFIG, chunk, snapshot_of
from tests.toys import ToyEncoder

CHUNKS = [
    chunk("红茶应当趁热喝。", note="tea.md"),
    chunk("残差连接缓解梯度消失，残差连接要与归一化配合。", note="residual.md", tags=("net",)),
    chunk("归一化让激活值稳定，归一化有许多种。", note="norm.md", tags=("net", "norm")),
    chunk("预热把学习率升上去。", note="rate.md"),
]
LINES = [
    {
        "names": ["残差连接", "跳跃连接", "residual connection", "skip connection"],
        "descriptions": ["给信号加一条近路", "网络太深传不到前面"],
    },
    {"names": ["归一化"], "descriptions": ["数值忽大忽小"]},
    {"names": ["预热", "warmup"], "descriptions": ["刚开始步子迈小点"]},
    {"names": ["蒸馏"], "descriptions": ["让老师带学生"]},
]
SHORTCUT = "为什么要给信号加一条近路？"
BOTH = "给信号加一条近路和数值忽大忽小有什么区别"
TEA = "红茶什么时候喝"


@pytest.fixture(scope="module")
def concepts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Concept, ...]:
    path = tmp_path_factory.mktemp("concepts") / "own.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in LINES), encoding="utf-8")
    return concepts_of(ConceptsConfig(built_in=False, files=(path,)))


@pytest.fixture(scope="module")
def snapshot(concepts: tuple[Concept, ...], tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return snapshot_of(CHUNKS, tmp_path_factory.mktemp("notes"), concepts=concepts)


def tools(snapshot: Snapshot, **answering: Any) -> Tools:
    configured = AnsweringConfig.model_validate({"model": "none", "span_chars": 0} | answering)
    return Tools(snapshot, ToyEncoder(), Tokenizer(), None, CONFIG, configured)


def understood(question: str, given: Tools, *, timings: Timings | None = None, **request: Any) -> Understood:
    return understand_question(
        as_asked(question), SearchRequest(question, **request), given, Clock.of(60.0), timings or Timings()
    )


def names(query: Query) -> list[str]:
    return [match.names[0] for match in query.described.matches] if query.described else []


def found(question: str, given: Tools, **request: Any) -> SearchResult:
    return search(SearchRequest(question, **request), given)


def ranks(result: SearchResult) -> dict[str, int]:
    return {hit.chunk.note: hit.signals["concepts"].rank for hit in result.hits if "concepts" in hit.signals}


class TestQuestion:
    def test_one_like_a_description_describes_its_concept_by_the_configured_weight(self, snapshot: Snapshot) -> None:
        query = understood(SHORTCUT, tools(snapshot, concepts_weight=2.5)).query
        assert query.described is not None
        (match,) = query.described.matches
        assert (match.names[0], match.description) == ("残差连接", "给信号加一条近路")
        assert query.described.weight == 2.5

    @pytest.mark.parametrize("question", [TEA, "让老师带学生"], ids=["about something else", "not in the notes"])
    def test_one_like_none_of_what_the_notes_name_describes_nothing(self, snapshot: Snapshot, question: str) -> None:
        described = understood(question, tools(snapshot)).query.described
        assert described is not None  # it was looked for
        assert described.matches == ()

    def test_the_request_and_else_the_config_says_whether_it_is_asked(self, snapshot: Snapshot) -> None:
        assert names(understood(SHORTCUT, tools(snapshot)).query) == ["残差连接"]
        assert names(understood(SHORTCUT, tools(snapshot), stages={"concepts": False}).query) == []
        assert names(understood(SHORTCUT, tools(snapshot, concepts=False)).query) == []
        assert names(understood(SHORTCUT, tools(snapshot, concepts=False), stages={"concepts": True}).query) != []

    def test_in_notes_without_concepts_nothing_is_done_and_nothing_missed(self, tmp_path: Path) -> None:
        timings = Timings()
        given = tools(snapshot_of(CHUNKS, tmp_path))
        result = understood(BOTH, given, timings=timings, stages={"concepts": True})
        assert result.query.described is None
        assert [part.described for part in result.query.parts] == [None, None]
        assert "concepts" not in timings.stages
        assert result.skipped == ()


class TestParts:
    def test_each_describes_what_it_is_like_itself(self, snapshot: Snapshot) -> None:
        query = understood(BOTH, tools(snapshot, concepts_weight=2.5)).query
        assert [(part.text, names(part)) for part in query.parts] == [
            ("给信号加一条近路", ["残差连接"]),
            ("数值忽大忽小", ["归一化"]),
        ]
        assert {part.described.weight for part in query.parts if part.described} == {2.5}
        assert set(names(query)) == {"残差连接", "归一化"}

    def test_one_that_is_like_none_has_none_of_the_others(self, snapshot: Snapshot) -> None:
        query = understood("给信号加一条近路和红茶有什么区别", tools(snapshot)).query
        assert [names(part) for part in query.parts] == [["残差连接"], []]

    def test_switched_off_they_describe_nothing_either(self, snapshot: Snapshot) -> None:
        query = understood(BOTH, tools(snapshot), stages={"concepts": False}).query
        assert [part.described for part in query.parts] == [None, None]

    def test_the_passage_of_each_part_is_found_by_its_concept(self, snapshot: Snapshot) -> None:
        result = found(BOTH, tools(snapshot), top_k=4)
        first = {part: hit.chunk.note for hit in result.hits for part, s in hit.signals.items() if s.rank == 1}
        assert (first["part-1"], first["part-2"]) == ("residual.md", "norm.md")
        assert {hit.chunk.note for hit in result.hits[:2]} == {"residual.md", "norm.md"}


class TestHits:
    def test_what_names_the_concept_comes_first_and_says_its_rank_and_relevance(self, snapshot: Snapshot) -> None:
        given = tools(snapshot)
        described = understood(SHORTCUT, given).query.described
        assert described is not None
        assert snapshot.concepts is not None
        relevance = snapshot.concepts.relevance(described.matches)
        first, *others = found(SHORTCUT, given).hits
        assert first.chunk == CHUNKS[1]
        assert first.signals["concepts"].rank == 1
        assert first.signals["concepts"].score == pytest.approx(float(relevance[1]))
        assert 0 < relevance[1] <= 1
        assert others
        assert all("concepts" not in hit.signals for hit in others)

    def test_switched_off_no_hit_has_the_signal_and_only_that_score_is_less(self, snapshot: Snapshot) -> None:
        given = tools(snapshot, concepts_weight=2.5)
        on, off = found(SHORTCUT, given), found(SHORTCUT, given, stages={"concepts": False})
        before = {hit.chunk.note: hit.score for hit in off.hits}
        gains = {hit.chunk.note: hit.score - before[hit.chunk.note] for hit in on.hits}
        lifted = gains.pop("residual.md")
        assert lifted == pytest.approx(2.5 * on.hits[0].signals["concepts"].score, abs=1e-5)
        assert list(gains.values()) == pytest.approx([0.0] * 3, abs=1e-6)
        assert ranks(off) == {}

    def test_a_chunk_outside_of_the_filter_takes_no_rank(self, snapshot: Snapshot) -> None:
        assert ranks(found("数值忽大忽小", tools(snapshot))).keys() == {"residual.md", "norm.md"}
        filtered = found("数值忽大忽小", tools(snapshot), filter=ChunkFilter(tags=("norm",)))
        assert ranks(filtered) == {"norm.md": 1}

    @pytest.mark.parametrize("rerank", ["late", "none"])
    def test_it_is_a_signal_of_rank_fusion_too(self, snapshot: Snapshot, rerank: str) -> None:
        assert ranks(found(SHORTCUT, tools(snapshot), rerank=rerank)) == {"residual.md": 1}

    @pytest.mark.parametrize("mode", ["lexical", "dense"])
    def test_a_search_by_one_signal_has_none_of_it(self, snapshot: Snapshot, mode: str) -> None:
        question = f"{SHORTCUT}残差连接"
        on = found(question, tools(snapshot), mode=mode)
        off = found(question, tools(snapshot, concepts=False), mode=mode)
        assert on.hits
        assert on.hits == off.hits


class TestExplanation:
    @staticmethod
    def asked(question: str, given: Tools, **request: Any) -> list[Asked]:
        explanation = found(question, given, explain=True, **request).explanation
        assert explanation is not None
        return list(explanation.asked)

    def test_each_match_is_said_with_names_description_and_weight_surest_first(self, snapshot: Snapshot) -> None:
        question = "给信号加一条近路，忽然变大"
        given = tools(snapshot, concepts_weight=2.5)
        described = understood(question, given).query.described
        assert described is not None
        strength = {match.names[0]: match.strength for match in described.matches}
        assert strength["残差连接"] > strength["归一化"] > 0
        said = [asked for asked in self.asked(question, given) if asked.stage == "concepts"]
        assert [asked.text for asked in said] == [
            "残差连接 / 跳跃连接 / residual connection ← 给信号加一条近路",
            "归一化 ← 数值忽大忽小",
        ]
        weights = [2.5 * strength["残差连接"], 2.5 * strength["归一化"]]
        assert [asked.weight for asked in said] == pytest.approx(weights)
        assert all((asked.terms, asked.known) == ((), ()) for asked in said)

    def test_they_stand_after_what_is_searched_with_as_terms_those_of_the_parts_too(self, snapshot: Snapshot) -> None:
        given = tools(snapshot)
        query = understood(BOTH, given).query
        counts = [len(way.described.matches) for way in (query, *query.parts) if way.described is not None]
        assert counts == [2, 1, 1]
        stages = [asked.stage for asked in self.asked(BOTH, given)]
        assert stages == ["question", "part", "part"] + ["concepts"] * sum(counts)

    @pytest.mark.parametrize(("question", "switched"), [(TEA, True), (SHORTCUT, False)], ids=["none", "off"])
    def test_without_one_nothing_is_said(self, snapshot: Snapshot, question: str, switched: bool) -> None:
        asked = self.asked(question, tools(snapshot), stages={"concepts": switched})
        assert [each.stage for each in asked] == ["question"]


def test_chunks_name_what_the_tests_take_them_to() -> None:
    def naming(name: str) -> list[Chunk]:
        return [each for each in CHUNKS if name in each.text]

    assert [len(naming(str(line["names"][0]))) for line in LINES] == [1, 2, 1, 0]
