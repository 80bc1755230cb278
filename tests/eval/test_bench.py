"""`asknotes eval bench`: generated chunks, published, opened and searched, at small sizes. No seconds are asserted."""

import json
import mmap
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from eval.bench import BenchResults, bench
from eval.bench_collection import DISTINCT_CHUNKS, Size, open_collection
from eval.commands.bench import app
from eval.memory import peak_resident_bytes, resident_bytes
from eval.results import Provenance
from index.config import DenseConfig, IndexConfig, LateConfig
from index.errors import ConfigInvalid
from index.late import LateIndex
from index.progress import Unheard

PROVENANCE = Provenance(created="2024-05-01", machine={}, versions={}, settings={})
STAGES = {"fold", "spans", "segmenting", "filter", "lexical", "dense", "fusion", "other"}


def measured(*chunks: int, config: IndexConfig | None = None) -> BenchResults:
    return bench(
        [Size(each, 6, 16) for each in chunks],
        config or IndexConfig(),
        questions=4,
        candidates=3,
        provenance=PROVENANCE,
        listener=Unheard(),
    )


def test_every_size_is_measured_with_and_without_late_interaction_smallest_first() -> None:
    found = measured(40, 12)
    assert [each.chunks for each in found.collections] == [12, 40]
    for collection in found.collections:
        plain, late = collection.modes
        assert (plain.name, late.name) == ("hybrid", "hybrid, late interaction of 3")
        assert set(plain.stages) == STAGES
        assert set(late.stages) == {*STAGES, "late"}
        assert (set(plain.raw), set(late.raw)) == ({"bm25s", "faiss"}, {"bm25s", "faiss", "numpy"})


def test_the_ratio_is_that_of_the_medians_to_the_slowest_raw_call() -> None:
    for mode in measured(12).collections[0].modes:
        slowest = max(latency.p50 for latency in mode.raw.values())
        assert mode.raw[mode.slowest_raw].p50 == slowest
        assert mode.ratio == mode.total.p50 / slowest
        for latency in (mode.total, *mode.stages.values(), *mode.raw.values()):
            assert 0 <= latency.p50 <= latency.p95


def test_what_is_kept_is_told_by_part() -> None:
    (collection,) = measured(12).collections
    assert set(collection.build_s) == {"dense", "lexical", "late", "publishing", "opening"}
    assert set(collection.disk_bytes_per_chunk) == {"chunks", "dense", "glossary", "lexical", "late"}
    assert 64 < collection.disk_bytes_per_chunk["dense"] < 80
    assert collection.peak_bytes > 0


def test_the_configured_dense_family_is_the_one_searched() -> None:
    config = IndexConfig(dense=DenseConfig(factory="IVF16,SQ8", nprobe=2))
    (collection,) = measured(640, config=config).collections
    assert collection.dense_built_as == "IVF16,SQ8"


def test_chunks_beyond_the_distinct_ones_repeat_their_token_vectors(tmp_path: Path) -> None:
    chunks = DISTINCT_CHUNKS + 7
    config = IndexConfig(late=LateConfig(exhaustive_tokens=0))
    collection = open_collection(Size(chunks, 3, 8), config, questions=2, folder=tmp_path)
    late = collection.snapshot.late
    assert isinstance(late, LateIndex)
    assert late.rows == len(collection.snapshot.chunks) == chunks
    scores = late.scores(collection.questions[0].tokens)
    np.testing.assert_allclose(scores[DISTINCT_CHUNKS:], scores[:7], rtol=1e-6)
    assert len(set(scores[:DISTINCT_CHUNKS].tolist())) > DISTINCT_CHUNKS // 2
    assert collection.token_vectors([0]).tolist() == collection.token_vectors([DISTINCT_CHUNKS]).tolist()
    collection.snapshot.close()


def test_memory_is_counted_while_it_is_held() -> None:
    size = 64_000_000
    # Pages of its own: an array may get memory that the process has freed and still holds.
    with mmap.mmap(-1, size) as held:
        before = resident_bytes()
        for page in range(0, size, mmap.PAGESIZE):
            held[page] = 1
        assert resident_bytes() > before + 0.9 * size
        # The system brings the peak up to date a little later than what is held now.
        assert peak_resident_bytes() > 0.9 * resident_bytes()


def test_the_command_prints_times_by_stage() -> None:
    shown = CliRunner().invoke(app, ["--chunks", "12", "--queries", "3", "--tokens", "5", "--dimension", "16"])
    assert shown.exit_code == 0, shown.output
    for text in ("12 chunks", "hybrid, late interaction of 30", "raw faiss", "bytes a chunk", "times"):
        assert text in shown.stdout


def test_the_command_prints_one_json_object() -> None:
    options = ["--chunks", "12,20", "--queries", "3", "--tokens", "5", "--dimension", "16", "--json"]
    found = json.loads(CliRunner().invoke(app, options).stdout)
    assert [each["chunks"] for each in found["collections"]] == [12, 20]
    assert (found["questions"], found["candidates"]) == (3, 30)


@pytest.mark.parametrize("chunks", ["", "0", "12,", "1e3", "-5", "²"])
def test_numbers_of_chunks_that_are_none_are_refused(chunks: str) -> None:
    shown = CliRunner().invoke(app, ["--chunks", chunks])
    assert shown.exit_code == 2
    assert "--chunks" in shown.stderr


def test_a_dense_family_that_the_dimension_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match=r"dense\.factory"):
        measured(640, config=IndexConfig(dense=DenseConfig(factory="PQ7x4")))
