"""`asknotes eval ann`: families against exact search, on few and small vectors."""

import json
from pathlib import Path

import faiss
import numpy as np
import pytest
from typer.testing import CliRunner

from eval.ann import (
    MeasurementInvalid,
    SearchTask,
    asked_task,
    compare_families,
    default_factories,
    generated_task,
    published_task,
    recall,
    search_ladder,
)
from eval.commands.ann import app
from eval.gold import Gold, Question
from eval.results import AnnPoint, AnnResults, Provenance
from index.config import DenseConfig
from index.errors import ConfigInvalid, IndexMissing
from index.progress import Unheard
from index.snapshot import open_current
from tests.index.small_snapshots import CONFIG, TEXTS, publish_texts
from tests.toys import ToyEncoder

PROVENANCE = Provenance(created="2024-05-01", machine={}, versions={}, settings={})
TASK = generated_task(700, 16, 20)
SETTINGS = DenseConfig(ef_search=16, nprobe=4, refine_factor=4)


def compared(*factories: str, task: SearchTask = TASK, k: int = 10) -> AnnResults:
    return compare_families(task, factories, SETTINGS, k=k, provenance=PROVENANCE, listener=Unheard())


def points(found: AnnResults, factory: str) -> list[AnnPoint]:
    return [point for point in found.points if point.factory == factory]


def test_exact_search_finds_everything_in_four_bytes_a_component() -> None:
    found = compared("Flat")
    (point,) = found.points
    assert (found.vectors, found.dimension, found.queries, found.k) == (700, 16, 20, 10)
    assert (point.recall, point.search, point.on_front) == (1.0, {}, True)
    assert 64 <= point.bytes_per_vector < 65
    assert point.queries_per_s > 0


def test_more_effort_finds_more_and_all_lists_find_all() -> None:
    rungs = points(compared("IVF16,Flat"), "IVF16,Flat")
    recalls = [point.recall for point in rungs]
    assert [point.search["nprobe"] for point in rungs] == [1, 2, 4, 8, 16]
    assert recalls == sorted(recalls)
    assert recalls[0] < 0.9
    assert recalls[-1] == 1.0


def test_a_refine_stage_finds_more_than_the_codes_it_refines() -> None:
    found = compared("PQ4x4", "PQ4x4,RFlat")
    coarse = points(found, "PQ4x4")[0].recall
    refined = {point.search["refine_factor"]: point.recall for point in points(found, "PQ4x4,RFlat")}
    assert coarse <= refined[1] < refined[16]
    assert points(found, "PQ4x4")[0].bytes_per_vector < points(found, "PQ4x4,RFlat")[0].bytes_per_vector


def test_what_too_few_vectors_cannot_train_is_said_to_be_flat() -> None:
    found = compared("Flat", "PQ4", "HNSW8")
    (fallen,) = points(found, "PQ4")
    (flat,) = points(found, "Flat")
    assert (fallen.built_as, points(found, "HNSW8")[0].built_as) == ("Flat", "HNSW8")
    assert (fallen.queries_per_s, fallen.recall) == (flat.queries_per_s, flat.recall)


def test_a_point_on_the_front_is_beaten_by_none_and_one_off_it_by_some() -> None:
    found = compared("Flat", "IVF16,Flat", "PQ4x4").points
    for own in found:
        beaten = any(
            other.recall >= own.recall
            and other.queries_per_s >= own.queries_per_s
            and (other.recall, other.queries_per_s) != (own.recall, own.queries_per_s)
            for other in found
        )
        assert own.on_front != beaten


def test_of_equally_near_vectors_any_counts() -> None:
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 0, 1]]
    task = SearchTask("", vectors, vectors[:1])
    exact = np.array([[0, 1]])
    assert recall(task, exact, [np.array([1, 2])]) == 1.0
    assert recall(task, exact, [np.array([2, 3])]) == 0.5
    assert recall(task, exact, [np.array([2])]) == 0.5


def test_the_number_of_threads_is_as_before() -> None:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(2)
    try:
        compared("Flat")
        assert faiss.omp_get_max_threads() == 2
    finally:
        faiss.omp_set_num_threads(before)


@pytest.mark.parametrize(
    ("built_as", "ladder"),
    [
        ("SQ8", [{}]),
        ("HNSW8", [{"ef_search": each} for each in (11, 16, 32, 50)]),
        ("IVF20,Flat", [{"nprobe": each} for each in (1, 2, 4, 8, 16, 20)]),
        ("IVF20_HNSW8,Flat", [{"nprobe": each} for each in (1, 2, 4, 8, 16, 20)]),
        ("PQ4x4,Refine(SQ8)", [{"refine_factor": each} for each in (1, 4, 8, 16)]),
        ("IVF4,PQ4x4,RFlat", [{"nprobe": n, "refine_factor": each} for n in (1, 4) for each in (1, 4, 8, 16)]),
    ],
)
def test_each_family_has_the_ladder_of_its_settings(built_as: str, ladder: list[dict[str, int]]) -> None:
    config = DenseConfig(ef_search=5, nprobe=64, refine_factor=8)
    assert search_ladder(built_as, config, rows=50, k=10) == ladder


@pytest.mark.parametrize("dimension", [1, 6, 16, 100, 384, 768])
def test_the_families_measured_unless_others_are_named_fit_any_dimension(dimension: int) -> None:
    for factory in default_factories(dimension):
        assert faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT).d == dimension


@pytest.mark.parametrize("k", [0, 701])
def test_more_neighbours_than_vectors_are_refused(k: int) -> None:
    with pytest.raises(MeasurementInvalid, match=f"{k} nearest of 700"):
        compared("Flat", k=k)


@pytest.mark.parametrize("factories", [(), ("Flat", "Flatt"), ("PQ7",)])
def test_a_factory_that_cannot_be_built_is_refused_before_anything_is_measured(factories: tuple[str, ...]) -> None:
    with pytest.raises(ConfigInvalid):
        compared(*factories)


def test_own_vectors_are_those_of_the_published_chunks(tmp_path: Path) -> None:
    publish_texts(tmp_path, *TEXTS)
    snapshot, _ = open_current(tmp_path, CONFIG)
    task = published_task(snapshot, 7)
    assert (task.vectors.shape, task.queries.shape) == ((3, 32), (7, 32))
    np.testing.assert_allclose(task.vectors, snapshot.dense.vectors(), atol=1e-6)
    assert "3 vectors of snapshot 000001" in task.source
    snapshot.close()


def test_questions_are_encoded_as_questions(tmp_path: Path) -> None:
    publish_texts(tmp_path, *TEXTS)
    snapshot, _ = open_current(tmp_path, CONFIG)
    asked = tuple(
        Question(id=str(n), text=text, language="zh", type="term") for n, text in enumerate(["甲", "乙", "丙"])
    )
    gold = Gold(name="g", path=tmp_path / "g.jsonl", questions=asked, sha256="")
    task = asked_task(snapshot, gold, ToyEncoder(), 2)
    assert task.queries.tolist() == [ToyEncoder().encode_query(text).vector.tolist() for text in ("甲", "乙")]
    assert "2 questions of g.jsonl" in task.source
    snapshot.close()


def test_a_snapshot_without_chunks_cannot_be_measured(tmp_path: Path) -> None:
    publish_texts(tmp_path)
    snapshot, _ = open_current(tmp_path, CONFIG)
    with pytest.raises(MeasurementInvalid, match="no vectors"):
        published_task(snapshot, 7)
    snapshot.close()


def test_the_command_prints_a_table_and_writes_the_figures(tmp_path: Path) -> None:
    options = ["--vectors", "100", "--dimension", "16", "--queries", "5", "--factories", "Flat; IVF4,Flat;HNSW8"]
    shown = CliRunner().invoke(app, [*options, "--report", str(tmp_path / "report")])
    assert shown.exit_code == 0, shown.output
    assert "100 generated vectors" in shown.stdout
    assert "ef_search=32" in shown.stdout
    assert "Built as Flat for want of vectors: IVF4,Flat." in shown.stdout
    written = json.loads((tmp_path / "report" / "results.json").read_text(encoding="utf-8"))["ann"]
    assert {(point["factory"], point["built_as"]) for point in written["points"]} == {
        ("Flat", "Flat"),
        ("IVF4,Flat", "Flat"),
        ("HNSW8", "HNSW8"),
    }


def test_the_command_measures_the_published_snapshot(tmp_path: Path) -> None:
    publish_texts(tmp_path, *TEXTS)
    shown = CliRunner().invoke(app, ["--data", str(tmp_path), "--factories", "Flat", "-k", "2", "--json"])
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    assert (found["vectors"], found["k"], found["queries"]) == (3, 2, 200)
    assert found["provenance"]["settings"]["index"]["dense"]["factory"] == "auto"


def test_without_a_snapshot_there_is_nothing_to_measure(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["--data", str(tmp_path), "--json"])
    assert isinstance(shown.exception, IndexMissing)


def test_questions_cannot_be_asked_of_generated_vectors(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["--vectors", "100", "--gold", str(tmp_path / "g.jsonl")])
    assert shown.exit_code == 2
    assert "--gold" in shown.stderr
