"""A search with a calibrated reranker: both orders fused, every hit that was read with its probability, abstention."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from index.errors import ConfigInvalid
from index.schema import Hit
from service.answering import config
from service.answering.config import AnsweringConfig
from service.answering.rerank import calibration_of, never
from service.answering.reranking.calibration import Calibration, CalibrationInvalid, save_calibration
from service.answering.reranking.language_model import JUDGEMENT, LIKELIHOOD
from service.answering.retriever import PROBABILITY, CandidateReading, retrieve
from service.answering.timings import Timings
from service.settings import load_settings
from tests.service.answering.reranking.test_calibration import KNOWN
from tests.service.answering.small_indexes import CONFIG, asked, snapshot_of
from tests.service.answering.test_reranked_search import CHUNKS, NAME, LastFirst


def found(tmp_path: Path, reading: CandidateReading | None) -> list[Hit]:
    return retrieve(
        asked("BM25 第三段"),
        snapshot_of(CHUNKS, tmp_path),
        CONFIG,
        mode="hybrid",
        reranker=NAME,
        top_k=6,
        chunk_filter=None,
        timings=Timings(),
        reading=reading,
    ).hits


def test_the_order_is_that_of_both_log_odds_and_a_hit_that_was_read_says_its_probability(tmp_path: Path) -> None:
    before = found(tmp_path, None)
    hits = found(tmp_path, CandidateReading(LastFirst(), 4, never, KNOWN))
    scores = np.array([CHUNKS.index(hit.chunk) for hit in before[:4]])
    log_odds = KNOWN.fused_log_odds(scores, np.array([hit.score for hit in before[:4]]))
    order = [*np.argsort(-log_odds), 4, 5]
    assert [hit.chunk.id for hit in hits] == [before[place].chunk.id for place in order]
    said = [hit.signals[PROBABILITY].score for hit in hits[:4]]
    np.testing.assert_allclose(said, expit(np.sort(log_odds)[::-1]), rtol=1e-5)
    assert [hit.signals[PROBABILITY].rank for hit in hits[:4]] == [1, 2, 3, 4]
    assert hits[0].signals[NAME].score == max(scores) or hits[0].signals[NAME].rank > 1
    assert all(PROBABILITY not in hit.signals for hit in hits[4:])


def test_a_calibration_of_another_reranker_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "late.json"
    save_calibration(path, KNOWN)
    assert calibration_of(AnsweringConfig(rerank_calibration=path)) == KNOWN
    assert calibration_of(AnsweringConfig()) is None
    with pytest.raises(CalibrationInvalid, match="of the reranker 'late'"):
        calibration_of(AnsweringConfig(reranker=NAME, rerank_calibration=path))
    assert isinstance(KNOWN, Calibration)


@pytest.mark.parametrize("name", ["lm", "lm-likelihood"])
def test_a_reranker_that_asks_a_language_model_needs_one(tmp_path: Path, name: str) -> None:
    path = tmp_path / "asknotes.toml"
    path.write_text(f'[answering]\nreranker = "{name}"\nmodel = "none"\n', encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="asks the language model"):
        load_settings(path)
    assert {JUDGEMENT, LIKELIHOOD} == config.LANGUAGE_MODEL_RERANKERS
