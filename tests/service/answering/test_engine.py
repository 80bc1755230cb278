"""One process's engine: what it opens, what it serves while snapshots change, and what it does without its models."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from index import weights
from index.config import IndexConfig, LateConfig
from index.errors import AsknotesError, GenerationFailed, IndexIncompatible, IndexMissing, WeightsMissing
from index.shared_hold import removable
from ingest.pipeline import index_notes
from service.answering.config import AnsweringConfig
from service.answering.engine import Engine, open_engine
from service.answering.exchange import AnswerEvent, AskRequest, RetrievalEvent, SearchRequest, TokenEvent
from service.settings import Settings
from tests.service.answering.toy_language_model import ToyLanguageModel
from tests.toys import ToyEncoder

TEA = "# 茶\n\n## 绿茶怎么泡？\n\n绿茶要用八十度的水，泡两分钟就好，水太热会发苦。\n"
COFFEE = "# 咖啡\n\n## 咖啡豆怎么磨？\n\n咖啡豆要现磨，磨得越细萃取得越快，太细会发苦。\n"
QUESTION = "绿茶要用八十度的水"
ANSWER = "绿茶要用八十度的水，泡两分钟就好，水太热会发苦。"


class OpenedEncoder(ToyEncoder):
    """The toy as open_encoder returns it."""

    backend = "toy"


def settings(model: str = "none", index: IndexConfig | None = None) -> Settings:
    return Settings(
        index=index or IndexConfig(),
        answering=AnsweringConfig(model=model, min_answerable=0.0, min_support=0.5, min_writing_s=0.0),
    )


Publish = Callable[..., str]


@pytest.fixture
def publish(tmp_path: Path) -> Publish:
    """Write notes and index them; returns the snapshot's name."""

    def published(**notes: str) -> str:
        folder = tmp_path / "notes"
        folder.mkdir(exist_ok=True)
        for name, text in notes.items():
            (folder / f"{name}.md").write_text(text, encoding="utf-8")
        used = settings()
        return index_notes([folder], tmp_path / "data", used.index, used.ingest, encoder=ToyEncoder()).snapshot

    return published


@pytest.fixture(autouse=True)
def toy_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.answering.engine.open_encoder", lambda config, cache: OpenedEncoder())


@pytest.fixture
def engine(tmp_path: Path, publish: Publish) -> Engine:
    publish(tea=TEA)
    return open_engine(settings(), tmp_path / "data")


def with_model(monkeypatch: pytest.MonkeyPatch, folder: Path, model: ToyLanguageModel) -> Engine:
    def opened(resolved: object, **options: object) -> ToyLanguageModel:
        return model

    resolved = weights.ResolvedModel("toy", "toy", "0", "none", "language-model")
    monkeypatch.setattr("service.answering.engine.weights.resolve", lambda name, cache: resolved)
    monkeypatch.setattr("service.answering.engine.TransformersModel", opened)
    return open_engine(settings("toy"), folder)


def notes_found(engine: Engine) -> set[str]:
    return {hit.chunk.note for hit in engine.search(SearchRequest(QUESTION)).hits}


class TestQuestions:
    def test_a_search_finds(self, engine: Engine) -> None:
        found = engine.search(SearchRequest(QUESTION))
        assert [hit.chunk.note for hit in found.hits] == ["tea.md"]
        assert found.snapshot == "000001"

    def test_a_question_is_answered_with_a_citation(self, engine: Engine) -> None:
        answer = engine.ask(AskRequest(QUESTION))
        assert answer.written_by == "extract"
        assert [(citation.note, citation.lines[0]) for citation in answer.citations] == [("tea.md", 5)]

    def test_the_model_writes_where_there_is_one(
        self, tmp_path: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(tea=TEA)
        engine = with_model(monkeypatch, tmp_path / "data", ToyLanguageModel([ANSWER[:9], ANSWER[9:]]))
        kinds = [type(event) for event in engine.stream(AskRequest(QUESTION), cancelled=threading.Event())]
        assert kinds == [RetrievalEvent, TokenEvent, TokenEvent, AnswerEvent]
        assert engine.ask(AskRequest(QUESTION)).written_by == "model"

    def test_whoever_has_left_gets_no_text_written(
        self, tmp_path: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(tea=TEA)
        model = ToyLanguageModel([ANSWER])
        gone = threading.Event()
        gone.set()
        with_model(monkeypatch, tmp_path / "data", model).ask(AskRequest(QUESTION), cancelled=gone)
        assert model.given == []

    def test_the_model_is_opened_once(self, tmp_path: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
        publish(tea=TEA)
        engine = with_model(monkeypatch, tmp_path / "data", ToyLanguageModel([ANSWER]))
        engine.ready()
        monkeypatch.setattr("service.answering.engine.TransformersModel", None)
        engine.ready()
        assert engine.ask(AskRequest(QUESTION)).written_by == "model"

    def test_a_search_opens_the_model_only_for_a_hypothetical_answer(
        self, tmp_path: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(tea=TEA)
        model = ToyLanguageModel(["绿茶用八十度的水泡。"])
        engine = with_model(monkeypatch, tmp_path / "data", model)
        engine.search(SearchRequest(QUESTION))
        assert not engine._model_opened
        for _ in range(2):
            found = engine.search(SearchRequest(QUESTION, hyde=True))
            assert found.stages_skipped == ()
        assert len(model.prompts) == 1, "what was written is remembered"

    def test_a_search_opens_the_model_for_a_stage_that_writes_with_it(
        self, tmp_path: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(tea=TEA)
        model = ToyLanguageModel(["绿茶该拿多热的水冲？"])
        engine = with_model(monkeypatch, tmp_path / "data", model)
        found = engine.search(SearchRequest(QUESTION, stages={"rewording": True}, explain=True))
        assert found.stages_skipped == ()
        assert len(model.prompts) == 1
        assert found.explanation is not None
        assert "rewording" in [asked.stage for asked in found.explanation.asked]

    def test_a_model_that_cannot_be_opened_fails_no_search(
        self, tmp_path: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        publish(tea=TEA)
        engine = with_model(monkeypatch, tmp_path / "data", ToyLanguageModel())

        def broken(resolved: object, **options: object) -> ToyLanguageModel:
            raise GenerationFailed("The model cannot be loaded.", hint="Choose another.")

        monkeypatch.setattr("service.answering.engine.TransformersModel", broken)
        found = engine.search(SearchRequest(QUESTION, hyde=True))
        assert (len(found.hits), found.stages_skipped) == (1, ("hyde",))
        assert "cannot be loaded" in caplog.text

    def test_without_its_weights_the_notes_answer_and_it_is_said_once(
        self, tmp_path: Path, publish: Publish, caplog: pytest.LogCaptureFixture
    ) -> None:
        publish(tea=TEA)
        index = IndexConfig(models_cache=tmp_path / "no models")
        engine = open_engine(settings("bundled:qwen2.5-coder-0.5b-instruct", index), tmp_path / "data")
        answers = [engine.ask(AskRequest(QUESTION)) for _ in range(2)]
        assert [(answer.written_by, answer.stages_skipped) for answer in answers] == [("extract", ("writing",))] * 2
        assert caplog.text.count("models --fetch") == 1


class TestRefreshing:
    def test_a_new_snapshot_is_served_after_a_refresh(self, engine: Engine, publish: Publish) -> None:
        assert publish(coffee=COFFEE) == "000002"
        assert notes_found(engine) == {"tea.md"}
        engine.refresh()
        assert notes_found(engine) == {"tea.md", "coffee.md"}
        assert engine.status()["snapshot"] == "000002"

    def test_a_running_stream_keeps_the_snapshot_it_began_with(self, engine: Engine, publish: Publish) -> None:
        stream = engine.stream(AskRequest(QUESTION), cancelled=threading.Event())
        publish(coffee=COFFEE)
        engine.refresh()
        assert engine.search(SearchRequest(QUESTION)).snapshot == "000002"
        events = list(stream)
        assert isinstance(events[0], RetrievalEvent)
        assert events[0].result.snapshot == "000001"
        assert {hit.chunk.note for hit in events[0].result.hits} == {"tea.md"}

    def test_a_replaced_snapshot_is_let_go_with_its_last_reader(
        self, engine: Engine, publish: Publish, tmp_path: Path
    ) -> None:
        old = tmp_path / "data" / "snapshots" / "000001"
        stream = engine.stream(AskRequest(QUESTION), cancelled=threading.Event())
        publish(coffee=COFFEE)
        engine.refresh()
        with removable(old) as free:
            assert not free
        del stream
        gc.collect()
        with removable(old) as free:
            assert free

    def test_nothing_new_opens_nothing(self, engine: Engine) -> None:
        before = engine._snapshot
        engine.refresh()
        assert engine._snapshot is before

    def test_a_damaged_new_snapshot_leaves_the_old_one_serving_and_is_told(
        self, engine: Engine, publish: Publish, tmp_path: Path
    ) -> None:
        publish(coffee=COFFEE)
        file = tmp_path / "data" / "snapshots" / "000002" / "chunks.jsonl"
        file.write_bytes(file.read_bytes()[:-5])
        engine.refresh()
        assert notes_found(engine) == {"tea.md"}
        assert engine.status()["snapshot"] == "000001"
        assert "chunks.jsonl" in str(engine.status()["problem"])
        served = engine._snapshot
        engine.refresh()
        assert engine._snapshot is served, "what is known to be damaged is not opened again"
        assert publish(coffee=COFFEE + "\n咖啡要趁热喝，凉了以后会更酸一些。\n") == "000003"
        engine.refresh()
        assert engine.status()["problem"] is None
        assert notes_found(engine) == {"tea.md", "coffee.md"}

    def test_a_snapshot_built_otherwise_is_refused_and_the_old_one_served(
        self, engine: Engine, publish: Publish, tmp_path: Path
    ) -> None:
        other = IndexConfig(late=LateConfig(enabled=False))
        used = settings()
        index_notes([tmp_path / "notes"], tmp_path / "data", other, used.ingest, encoder=ToyEncoder())
        with pytest.raises(IndexIncompatible, match="late index"):
            engine.refresh()
        assert engine.search(SearchRequest(QUESTION)).snapshot == "000001"


class TestOpening:
    def test_without_an_index_no_model_is_loaded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("service.answering.engine.open_encoder", None)
        with pytest.raises(IndexMissing) as missing:
            open_engine(settings(), tmp_path / "data")
        assert "asknotes index" in missing.value.hint

    def test_an_index_of_another_encoder_is_refused_with_the_command_to_run(
        self, tmp_path: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(tea=TEA)
        monkeypatch.setattr("service.answering.engine.open_encoder", lambda config, cache: OpenedEncoder(version=2))
        with pytest.raises(IndexIncompatible, match="another encoder") as refused:
            open_engine(settings(), tmp_path / "data")
        assert f"asknotes index {tmp_path / 'notes'}" in refused.value.hint

    def test_an_encoder_that_is_not_here_is_said(
        self, tmp_path: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(tea=TEA)

        def missing(config: object, cache: Path) -> OpenedEncoder:
            raise WeightsMissing("Not here.", hint="Fetch them.")

        monkeypatch.setattr("service.answering.engine.open_encoder", missing)
        with pytest.raises(WeightsMissing):
            open_engine(settings(), tmp_path / "data")


def test_the_status_is_json_and_says_what_is_served(engine: Engine, tmp_path: Path) -> None:
    status = json.loads(json.dumps(engine.status()))
    assert status["snapshot"] == "000001"
    assert (status["notes"], status["chunks"], status["duplicates"]) == (1, 1, 0)
    assert status["sources"] == [str(tmp_path / "notes")]
    assert (status["encoder_backend"], status["language_model"], status["late_interaction"]) == ("toy", "none", True)
    assert status["problem"] is None


def test_a_configured_reranker_is_opened_before_it_is_needed_and_once(
    tmp_path: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tea=TEA)
    used = settings()
    named = used.answering.model_copy(update={"reranker": "folder/of-a-cross-encoder"})
    engine = open_engine(used.model_copy(update={"answering": named}), tmp_path / "data")
    opened: list[str] = []
    monkeypatch.setattr("service.answering.engine.reranker_of", lambda settings, name, model: opened.append(name))
    engine.ready()
    engine.ready()
    assert opened == ["folder/of-a-cross-encoder"]


def test_a_configured_reranker_that_is_not_there_is_said_before_questions_come(
    tmp_path: Path, publish: Publish
) -> None:
    publish(tea=TEA)
    used = settings()
    named = used.answering.model_copy(update={"reranker": str(tmp_path / "no-such-folder")})
    with pytest.raises(AsknotesError, match="no-such-folder"):
        open_engine(used.model_copy(update={"answering": named}), tmp_path / "data").ready()
