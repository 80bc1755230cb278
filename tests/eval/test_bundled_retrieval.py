"""The bundled encoder over the shared notes: our figures are the reference scorer's, for every system."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.gold import read_gold
from eval.results import ALL
from eval.retrieval import evaluate_retrieval
from eval.systems import COMPARED_BY_DEFAULT, choose_systems
from eval.trec import file_names, save_runs
from index.progress import Unheard
from service.settings import Settings
from tests.eval.small_notes import SHARED, read_lines, reference_scorer
from tests.test_bundled import fetched

pytestmark = pytest.mark.bundled

GOLD = SHARED / "eval" / "notes-dev.jsonl"


def test_dev_figures_are_the_reference_scorers_to_the_last_digit(tmp_path: Path) -> None:
    score = reference_scorer()
    settings = Settings(data=tmp_path / "data")
    fetched(settings.index.encoder.model)
    gold = read_gold(GOLD)
    found, runs = evaluate_retrieval(
        gold, choose_systems(COMPARED_BY_DEFAULT), settings, notes=[SHARED / "notes"], listener=Unheard()
    )
    save_runs(tmp_path, runs, gold, found.provenance)
    for system, name in zip(found.systems, file_names(COMPARED_BY_DEFAULT), strict=True):
        saved = {row["id"]: row for row in read_lines(tmp_path / "runs" / f"{name}.jsonl")}
        table, extra = score.evaluate(read_lines(GOLD), saved)
        assert extra["mean_chunk_chars"] == system.mean_chunk_chars
        for slice_name, figures in system.figures.items():
            kind, _, value = slice_name.partition(":")
            expected = table[{"all": "ALL", "type": value, "language": f"lang:{value}"}[kind]]
            assert expected.pop("n") == figures["hit@1"].n
            assert {measure: figures[measure].mean for measure in expected} == expected
    lexical, *_, late = found.systems
    assert late.figures[ALL]["mrr@10"].mean > lexical.figures[ALL]["mrr@10"].mean
    tested = next(one for one in found.comparisons if (one.base, one.other) == (lexical.name, late.name))
    assert tested.p_corrected < 0.05
