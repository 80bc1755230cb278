"""A whole tuning: what searches better is published and can be opened, anything else leaves no trace."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from sentence_transformers import SentenceTransformer

from eval.gold import Gold, read_gold
from eval.indexes import Indexes
from eval.tuning.encoder_folder import building, free_target
from eval.tuning.pairs import TuningRefused
from eval.tuning.training import TrainingOptions
from eval.tuning.trial import PassagesSource, Trial, try_on_pairs
from eval.tuning.tuning import PreparedPairs, TuningReport, TuningRequest, prepare_pairs, tune
from index import durable
from index.config import EncoderConfig
from index.encoder import open_encoder
from index.errors import StorageFailed
from index.onnx_export import export_int8
from index.onnx_module import INT8_FILE
from index.progress import Unheard
from ingest.pipeline import index_notes
from service.settings import Settings
from tests.eval.small_notes import question, write_lines
from tests.eval.tuning.two_languages import PROMPTS, indexed_settings, small_encoder, write_pairs

pytestmark = pytest.mark.slow  # a small encoder is trained and tried

LEARNING = TrainingOptions(epochs=8, batch_size=12, learning_rate=3e-3)
LEARNING_NOTHING = TrainingOptions(epochs=1, learning_rate=1e-12)


def request_of(root: Path, options: TrainingOptions, *, gold: Gold | None = None) -> TuningRequest:
    return TuningRequest(options, pair_files=[root / "pairs.jsonl"], layers=3, gold=gold)


def prepared(root: Path) -> tuple[Settings, PreparedPairs]:
    """An index, and pairs split into those to train on and those held out."""
    settings = indexed_settings(root, small_encoder(root / "encoder"))
    write_pairs(root / "pairs.jsonl")
    return settings, prepare_pairs(settings, request_of(root, LEARNING), Unheard())


def left_in(settings: Settings) -> list[str]:
    """What there is among the encoders but the lock."""
    folder = settings.data / "encoders"
    return (
        sorted(path.name for path in folder.iterdir() if path.name != ".asknotes-tuning.lock")
        if folder.exists()
        else []
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tuning")


@pytest.fixture(scope="module")
def ready(root: Path) -> tuple[Settings, PreparedPairs]:
    return prepared(root)


@pytest.fixture(scope="module")
def better(root: Path, ready: tuple[Settings, PreparedPairs]) -> TuningReport:
    settings, pairs = ready
    return tune(settings, request_of(root, LEARNING), pairs, Unheard())


def test_a_better_encoder_is_published_and_opens_with_its_prompts(
    better: TuningReport, ready: tuple[Settings, PreparedPairs]
) -> None:
    settings, pairs = ready
    assert better.trial.gain > 0.1
    assert better.trial.p < 0.05
    assert better.folder == settings.data / "encoders" / "model-tuned-1"
    config = EncoderConfig(model=str(better.folder), device="cpu")
    base = open_encoder(settings.index.encoder, cache=settings.data)
    opened = open_encoder(config, cache=settings.data)
    assert opened.dimension == base.dimension
    assert opened.fingerprint != base.fingerprint
    assert dict(SentenceTransformer(str(better.folder), device="cpu").prompts) == PROMPTS
    assert opened.count_tokens("river stone") == base.count_tokens("river stone")
    assert better.trial.questions == len(pairs.split.held_out)


def test_the_folder_says_what_it_was_made_of(better: TuningReport) -> None:
    assert better.folder is not None
    record = json.loads((better.folder / "tuning.json").read_text(encoding="utf-8"))
    assert record["base"]["fingerprint"] == better.base.fingerprint
    assert record["pairs"] == better.pairs.as_json()
    assert record["options"]["seed"] == 0
    assert record["trial"]["p"] == better.trial.p
    assert record["trial"]["after"]["mrr@10"]["mean"] > record["trial"]["before"]["mrr@10"]["mean"]
    assert (better.folder / "modules.json").is_file()
    assert (better.folder.stat().st_mode & 0o777) == 0o755


def test_an_encoder_that_learnt_nothing_is_refused_without_a_trace(
    root: Path, ready: tuple[Settings, PreparedPairs], better: TuningReport
) -> None:
    settings, pairs = ready
    before = left_in(settings)
    report = tune(settings, request_of(root, LEARNING_NOTHING), pairs, Unheard())
    assert report.folder is None
    assert report.trial.gain == pytest.approx(0, abs=1e-6)
    assert left_in(settings) == before


def test_a_worse_encoder_is_measured_as_worse(
    ready: tuple[Settings, PreparedPairs], better: TuningReport, tmp_path: Path
) -> None:
    settings, pairs = ready
    base = settings.index.encoder.model
    encoder = settings.index.encoder.model_copy(update={"model": str(better.folder)})
    good = settings.model_copy(update={"index": settings.index.model_copy(update={"encoder": encoder})})
    with Indexes(PassagesSource(pairs.collection.passages, tmp_path), good, Unheard()) as indexes:
        trial = try_on_pairs(pairs.split.held_out, Path(base), indexes, good, Unheard())
    assert trial.gain < -0.1
    assert trial.p < 0.05
    assert not trial.is_better(max_p=0.05)


@pytest.mark.parametrize(("gain", "p", "better"), [(0.1, 0.04, True), (0.1, 0.05, False), (-0.1, 0.01, False)])
def test_better_means_a_gain_that_is_no_chance(gain: float, p: float, *, better: bool) -> None:
    assert Trial("pairs", 9, {}, {}, gain, 0.0, 0.0, p).is_better(max_p=0.05) is better


def test_a_gold_set_is_the_measure_and_its_section_is_not_trained_on(tmp_path: Path) -> None:
    settings, _ = prepared(tmp_path)
    note = tmp_path / "notes" / "tea.md"
    lines = [f"## 第{number}节\n\n{text}\n" for number, text in enumerate(GOLD_SECTIONS)]
    note.write_text("# 茶\n\n" + "\n".join(lines), encoding="utf-8")
    opened = open_encoder(settings.index.encoder, cache=tmp_path)
    index_notes([tmp_path / "notes"], settings.data, settings.index, settings.ingest, encoder=opened)
    write_lines(tmp_path / "gold.jsonl", [question(1, "河石云虎？", GOLD_SECTIONS[2][:24])])
    asked = request_of(tmp_path, LEARNING_NOTHING, gold=read_gold(tmp_path / "gold.jsonl"))
    pairs = prepare_pairs(settings, asked, Unheard())
    assert pairs.split.held_out == ()
    sections = {pairs.collection.section(pair) for pair in pairs.split.training}
    assert "tea.md > 第2节" not in sections
    assert "tea.md > 第3节" in sections
    report = tune(settings, asked, pairs, Unheard())
    assert (report.trial.measured_on, report.trial.questions) == ("gold", 1)


_CHARACTERS = "河石云虎椒灯琴铜窗篮林镜之乎者也矣焉哉兮"
GOLD_SECTIONS = ["".join(random.Random(number).choices(_CHARACTERS, k=40)) + "。" for number in range(12)]  # noqa: S311 - no secret


@pytest.fixture
def fresh(tmp_path: Path, ready: tuple[Settings, PreparedPairs]) -> tuple[Settings, PreparedPairs]:
    """The same, with no encoder tuned yet."""
    settings, pairs = ready
    data = shutil.copytree(settings.data, tmp_path / "data", ignore=shutil.ignore_patterns("encoders"))
    return settings.model_copy(update={"data": data}), pairs


@pytest.mark.parametrize("stage", ["save", "flush", "rename"])
def test_an_interrupted_write_leaves_no_folder(
    root: Path, fresh: tuple[Settings, PreparedPairs], monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    settings, pairs = fresh

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    if stage == "save":
        whole = SentenceTransformer.save_pretrained

        def half(model: SentenceTransformer, path: str, **options: object) -> None:
            whole(model, path, **options)
            raise KeyboardInterrupt

        monkeypatch.setattr(SentenceTransformer, "save_pretrained", half)
    else:
        monkeypatch.setattr(durable, {"flush": "sync_file", "rename": "rename"}[stage], interrupted)
    monkeypatch.setattr(Trial, "is_better", lambda *_, **__: True)  # so that it comes as far as publishing
    with pytest.raises(KeyboardInterrupt):
        tune(settings, request_of(root, LEARNING_NOTHING), pairs, Unheard())
    assert left_in(settings) == []


class FullDisk(NamedTuple):
    free: int


def test_a_full_disk_is_said_and_leaves_no_folder(
    root: Path, fresh: tuple[Settings, PreparedPairs], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, pairs = fresh
    monkeypatch.setattr(shutil, "disk_usage", lambda _: FullDisk(free=0))
    with pytest.raises(StorageFailed, match="GB in"):
        tune(settings, request_of(root, LEARNING_NOTHING), pairs, Unheard())
    assert left_in(settings) == []


def test_what_a_killed_run_left_is_removed_and_two_runs_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "encoders" / "a"
    leftover = tmp_path / "encoders" / ".asknotes-tuning-dead"
    leftover.mkdir(parents=True)
    with building(target) as folder:
        assert not leftover.exists()
        assert folder.parent == target.parent
        with pytest.raises(TuningRefused, match="Another process"), building(target):
            pass
    assert not folder.exists()


def test_names_are_the_base_s_with_a_free_number(tmp_path: Path) -> None:
    def named(model: str) -> str:
        return free_target(tmp_path, None, EncoderConfig(model=model)).name

    assert named("bundled:multilingual-e5-small") == "multilingual-e5-small-tuned-1"
    (tmp_path / "encoders" / "multilingual-e5-small-tuned-1").mkdir(parents=True)
    assert named("bundled:multilingual-e5-small") == "multilingual-e5-small-tuned-2"
    assert named(str(tmp_path / "encoders" / "multilingual-e5-small-tuned-1")) == "multilingual-e5-small-tuned-2"
    assert named("BAAI/bge-m3") == "bge-m3-tuned-1"
    with pytest.raises(TuningRefused, match="is there already"):
        free_target(tmp_path, tmp_path, EncoderConfig())


@pytest.mark.slow
def test_the_quantised_copy_is_made_where_the_base_has_one(tmp_path: Path) -> None:
    base = small_encoder(tmp_path / "encoder")
    export_int8(base)
    settings = indexed_settings(tmp_path, base)
    write_pairs(tmp_path / "pairs.jsonl")
    request = request_of(tmp_path, LEARNING)
    report = tune(settings, request, prepare_pairs(settings, request, Unheard()), Unheard())
    assert report.folder is not None
    assert (report.folder / INT8_FILE).is_file()
    opened = open_encoder(EncoderConfig(model=str(report.folder), device="cpu"), cache=tmp_path)
    assert opened.backend == "onnx-int8"
