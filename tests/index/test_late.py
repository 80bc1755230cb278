"""MaxSim against a slow hand-written reference; what is stored, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from index import late
from index.config import LateConfig
from index.errors import IndexCorrupt
from index.late import LateIndex, TokenVectors, mean_token_vector
from tests.index.small_token_vectors import random_chunks, random_tokens, tokens

EVERY_SETTING = [
    LateConfig(centre=centre, idf_power=power, window_tokens=window, window_weight=weight)
    for centre in (False, True)
    for power in (0.0, 0.5, 1.0)
    for window, weight in ((2, 1.0), (4, 0.5), (32, 1.0), (32, 0.0))
]
PLAIN = LateConfig(centre=False, idf_power=0.0)
BYTES, RESIDUALS = LateConfig(), LateConfig(full_precision_tokens=0)
BOTH_FORMS = pytest.mark.parametrize("config", [BYTES, RESIDUALS], ids=["bytes", "residuals"])
ENOUGH = [40, 0, 3, 140, 1, 90, 60]
"""Token vectors of 8 dimensions by chunk: enough to compute axes from (312)."""


def reference(
    chunks: list[TokenVectors],
    query: TokenVectors,
    config: LateConfig,
    query_means: Mapping[str, np.ndarray] | None = None,
) -> list[float]:
    """MaxSim as the docstring of index/late.py says it, a token at a time."""
    nothing = np.zeros(query.vectors.shape[1])
    everything = [vector.astype(float) for chunk in chunks for vector in chunk.vectors]
    mean = sum(everything, nothing) / len(everything) if config.centre and everything else nothing
    asked_mean = (query_means or {}).get(query.language or "", mean) if config.centre else nothing

    def centred(vector: np.ndarray, centre: np.ndarray) -> np.ndarray:
        shifted = vector.astype(float) - centre
        return np.asarray(shifted / np.linalg.norm(shifted))

    def weight(token: int) -> float:
        holding = sum(token in chunk.ids for chunk in chunks)
        return float(math.log(1 + (len(chunks) - holding + 0.5) / (holding + 0.5)) ** config.idf_power)

    weights = [weight(token) for token in query.ids.tolist()]
    scores = []
    for chunk in chunks:
        if not len(chunk.ids):
            scores.append(-1.0)
            continue
        own = [centred(vector, mean) for vector in chunk.vectors]
        cosines = [[float(centred(asked, asked_mean) @ each) for each in own] for asked in query.vectors]

        def met(first: int, last: int, cosines: list[list[float]] = cosines) -> float:
            best = [max(row[first:last]) for row in cosines]
            return sum(w * b for w, b in zip(weights, best, strict=True)) / sum(weights)

        half = config.window_tokens // 2
        window = max(met(start, start + 2 * half) for start in range(0, len(own), half))
        scores.append((met(0, len(own)) + config.window_weight * window) / (1 + config.window_weight))
    return scores


def test_a_case_worked_by_hand() -> None:
    chunks = [tokens([[1, 0], [0, 1]], [7, 8]), tokens([[3, 4]], [9])]
    query = tokens([[1, 0], [0, 1]], [7, 9])
    # Chunk 0 holds both directions; in chunk 1 the one token has cosine 0.6 with the first and 0.8 with the second.
    assert LateIndex.build(chunks, PLAIN).scores(query).tolist() == pytest.approx([1, 0.7], abs=3e-3)
    # A token in one of the two chunks weighs ln(1 + 1.5 / 1.5) = ln 2, one in neither ln(1 + 2.5 / 0.5) = ln 6.
    weighted = LateIndex.build(chunks, LateConfig(idf_power=1.0))
    assert weighted.token_weights(query).tolist() == [0.5, 0.5]
    seldom = tokens([[1, 0], [0, 1]], [7, 1])
    shares = [math.log(2) / math.log(12), math.log(6) / math.log(12)]
    assert weighted.token_weights(seldom).tolist() == pytest.approx(shares)
    assert LateIndex.build(chunks, PLAIN).token_weights(seldom).tolist() == [0.5, 0.5]


@given(
    counts=st.lists(st.integers(0, 6), min_size=1, max_size=6),
    asked=st.integers(1, 4),
    config=st.sampled_from(EVERY_SETTING),
    language=st.sampled_from([None, "zh", "en"]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_scores_are_those_of_the_slow_reference(
    counts: list[int], asked: int, config: LateConfig, language: str | None, seed: int
) -> None:
    assume(sum(counts) != 1 or not config.centre)  # one token is its own mean: nothing is left of it
    random = np.random.default_rng(seed)
    chunks = [random_tokens(random, count) for count in counts]
    query = dataclasses.replace(random_tokens(random, asked), language=language)
    query_means = {"zh": random.normal(0, 0.1, 8).astype(np.float32)}
    scores = LateIndex.build(chunks, config, query_means).scores(query)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, reference(chunks, query, config, query_means), atol=0.01)


def test_one_window_that_meets_the_question_beats_words_of_it_far_apart() -> None:
    filler = [[0.0, 0.0, 1.0]] * 6
    together = tokens([[1, 0, 0], [0, 1, 0], *filler], list(range(8)))
    apart = tokens([[1, 0, 0], *filler, [0, 1, 0]], list(range(8)))
    query = tokens([[1, 0, 0], [0, 1, 0]], [20, 21])
    config = LateConfig(centre=False, window_tokens=4)
    assert LateIndex.build([together, apart], config).scores(query).tolist() == pytest.approx([1, 0.75], abs=3e-3)
    without = config.model_copy(update={"window_weight": 0.0})
    assert LateIndex.build([together, apart], without).scores(query).tolist() == pytest.approx([1, 1], abs=3e-3)


def test_the_spread_is_that_of_the_questions_scores_and_is_kept(tmp_path: Path) -> None:
    chunks, questions = random_chunks([5, 9, 3, 30, 12]), random_chunks([4, 6], seed=7)
    built = LateIndex.build(chunks, LateConfig())
    assert built.spread == 0
    calibrated = built.calibrated(questions)
    expected = np.mean([built.scores(question).std() for question in questions])
    assert calibrated.spread == pytest.approx(float(expected), abs=1e-6)
    calibrated.save(tmp_path)
    assert LateIndex.load(tmp_path, LateConfig()).spread == calibrated.spread
    np.testing.assert_array_equal(calibrated.scores(questions[0]), built.scores(questions[0]))


def test_without_chunks_or_questions_there_is_no_spread() -> None:
    assert LateIndex.build([], LateConfig()).calibrated(random_chunks([3])).spread == 0
    assert LateIndex.build(random_chunks([3, 4]), LateConfig()).calibrated([]).spread == 0


@pytest.mark.parametrize(("config", "tolerance"), [(BYTES, 0.01), (RESIDUALS, 0.1)], ids=["bytes", "residuals"])
@pytest.mark.parametrize("dimension", [8, 15])
def test_codes_score_nearly_as_the_exact_vectors_do(config: LateConfig, tolerance: float, dimension: int) -> None:
    chunks = random_chunks([length * 2 for length in ENOUGH], dimension=dimension)
    query = random_chunks([6], seed=3, dimension=dimension)[0]
    built = LateIndex.build(chunks, config)
    np.testing.assert_allclose(built.scores(query), reference(chunks, query, config), atol=tolerance)


def test_what_a_chunk_takes_is_what_is_stored_of_it() -> None:
    chunks = random_chunks(ENOUGH)
    tokens_, rows = sum(ENOUGH), len(ENOUGH)
    assert LateIndex.build(chunks, BYTES).bytes_per_chunk == tokens_ * (8 + 4) / rows
    # Four bytes of codes and two scales of 16 bits a token; a mean of eight bytes with its scale; eight axes.
    assert LateIndex.build(chunks, RESIDUALS).bytes_per_chunk == (tokens_ * (4 + 4) + rows * (8 + 4) + 8 * 8 * 4) / rows


def test_residuals_take_a_fifth_of_the_bytes_of_a_usual_encoder() -> None:
    chunks = random_chunks([200] * 75, dimension=384)
    stored = {"bytes": LateIndex.build(chunks, BYTES), "residuals": LateIndex.build(chunks, RESIDUALS)}
    assert stored["bytes"].bytes_per_chunk == 200 * 388
    axes = 384 * 256 * 4 / 75  # the same for a collection of any size
    assert stored["residuals"].bytes_per_chunk == pytest.approx(200 * 76 + 388 + axes)


def form_of(folder: Path, chunks: list[TokenVectors], config: LateConfig) -> str:
    LateIndex.build(chunks, config).save(folder)
    return str(json.loads((folder / "late.json").read_text())["form"])


def test_only_more_tokens_than_are_kept_whole_become_residuals(tmp_path: Path) -> None:
    chunks = random_chunks(ENOUGH)
    assert form_of(tmp_path, chunks, LateConfig(full_precision_tokens=sum(ENOUGH))) == "bytes"
    assert form_of(tmp_path, chunks, LateConfig(full_precision_tokens=sum(ENOUGH) - 1)) == "residuals"


def test_too_few_tokens_to_compute_axes_from_stay_whole(tmp_path: Path) -> None:
    assert form_of(tmp_path, random_chunks([39 * 8]), RESIDUALS) == "residuals"
    assert form_of(tmp_path, random_chunks([39 * 8 - 1]), RESIDUALS) == "bytes"
    assert form_of(tmp_path, [], RESIDUALS) == "bytes"


@BOTH_FORMS
def test_every_token_of_a_chunk_keeps_its_place(config: LateConfig) -> None:
    chunks = random_chunks(ENOUGH)
    index = LateIndex.build(chunks, LateConfig(**{**config.model_dump(), "centre": False}))
    for row, chunk in enumerate(chunks):
        met = index.match(chunk, row)
        assert met.shape == (len(chunk.ids), len(chunk.ids))
        np.testing.assert_allclose(met, chunk.vectors @ chunk.vectors.T, atol=0.15)
        assert np.mean(met.argmax(axis=1) == np.arange(len(met))) > 0.9 if len(met) else True


@BOTH_FORMS
def test_a_sequence_that_reads_its_chunks_when_asked_gives_the_same_index(config: LateConfig) -> None:
    chunks = random_chunks(ENOUGH)

    class Read(Sequence[TokenVectors]):
        def __len__(self) -> int:
            return len(chunks)

        def __getitem__(self, row: Any) -> Any:
            return chunks[row]

    query = random_chunks([3], seed=9)[0]
    from_list, when_asked = LateIndex.build(chunks, config), LateIndex.build(Read(), config)
    assert from_list.scores(query).tolist() == when_asked.scores(query).tolist()


@BOTH_FORMS
@pytest.mark.parametrize("rows", [[2], [4, 1], [0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 1, 3, 0, 0], [3], []])
def test_candidates_score_what_they_score_among_all(config: LateConfig, rows: list[int]) -> None:
    index = LateIndex.build(random_chunks([140, 100, 70, 0, 30]), config)
    query = random_chunks([3], seed=9)[0]
    everything = index.scores(query)
    np.testing.assert_allclose(index.scores(query, np.array(rows, dtype=np.int64)), everything[rows], atol=1e-6)


@BOTH_FORMS
@pytest.mark.parametrize("block", [1, 130, 400])
def test_chunks_are_compared_a_few_at_a_time(config: LateConfig, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    index = LateIndex.build(random_chunks(ENOUGH), config)
    query = random_chunks([3], seed=9)[0]
    at_once = index.scores(query)
    monkeypatch.setattr(late, "_BLOCK", block)
    np.testing.assert_allclose(index.scores(query), at_once, atol=1e-6)


def test_match_tells_which_token_met_which() -> None:
    chunks = [tokens([[1, 0]], [1]), tokens([[1, 0], [0, 1], [3, 4]], [1, 2, 3])]
    for limit in (0, 100):
        index = LateIndex.build(chunks, LateConfig(centre=False, exhaustive_tokens=limit))
        met = index.match(tokens([[0, 1]], [2]), 1)
        np.testing.assert_allclose(met, [[0, 1, 0.8]], atol=0.01)


def test_a_question_or_a_chunk_without_tokens_matches_nothing() -> None:
    nothing = TokenVectors(np.zeros((0, 8), np.float32), np.zeros(0, np.int32))
    index = LateIndex.build([*random_chunks([3]), nothing], LateConfig())
    assert index.scores(nothing).tolist() == [-1, -1]
    assert index.scores(random_chunks([2])[0])[1] == -1
    assert index.match(random_chunks([2])[0], 1).shape == (2, 0)


@pytest.mark.parametrize("query_means", [{}, {"zh": np.ones(8, np.float32)}], ids=["no means", "means"])
@BOTH_FORMS
def test_an_index_of_nothing_is_built_stored_read_and_searched(
    tmp_path: Path, query_means: dict[str, np.ndarray], config: LateConfig
) -> None:
    LateIndex.build([], config, query_means).save(tmp_path)
    index = LateIndex.load(tmp_path, config)
    query = random_chunks([2])[0]
    assert (index.rows, index.tokens, index.bytes_per_chunk) == (0, 0, 0.0)
    assert index.scores(query).shape == (0,)
    assert index.token_weights(query).tolist() == [0.5, 0.5]


def test_only_small_collections_are_searched_whole() -> None:
    chunks = random_chunks([5, 5])
    assert LateIndex.build(chunks, LateConfig(exhaustive_tokens=10)).is_exhaustive
    assert not LateIndex.build(chunks, LateConfig(exhaustive_tokens=9)).is_exhaustive


def test_the_mean_is_over_tokens_not_over_texts() -> None:
    texts = [tokens([[1, 0], [1, 0], [1, 0]], [1, 2, 3]), tokens([[0, 1]], [4])]
    assert mean_token_vector(texts).tolist() == [0.75, 0.25]


@BOTH_FORMS
@pytest.mark.parametrize("dimension", [9, 70])
def test_what_was_stored_is_what_is_read(tmp_path: Path, config: LateConfig, dimension: int) -> None:
    chunks = random_chunks([length * 9 for length in ENOUGH], dimension=dimension)
    query = dataclasses.replace(random_chunks([3], seed=2, dimension=dimension)[0], language="en")
    means = {"zh": np.full(dimension, 0.2, np.float32), "en": np.full(dimension, -0.1, np.float32)}
    built = LateIndex.build(chunks, config, means)
    built.save(tmp_path)
    read = LateIndex.load(tmp_path, config)
    assert (read.rows, read.tokens, read.bytes_per_chunk) == (built.rows, built.tokens, built.bytes_per_chunk)
    for language in ("zh", "en", None):
        asked = dataclasses.replace(query, language=language)
        assert read.scores(asked).tolist() == built.scores(asked).tolist()


@BOTH_FORMS
def test_equal_chunks_give_equal_bytes(tmp_path: Path, config: LateConfig) -> None:
    contents = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        LateIndex.build(random_chunks(ENOUGH), config, {"zh": np.ones(8, np.float32)}).save(folder)
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]


FILES = ["late.json", "late_codes.npy", "late_scales.npy", "late_offsets.npy", "late_means.npy"]
RESIDUAL_FILES = [*FILES, "late_axes.npy", "late_chunk_means.npy", "late_chunk_scales.npy"]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    LateIndex.build(random_chunks([4, 0, 2]), BYTES, {"zh": np.ones(8, np.float32)}).save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    return tmp_path


@pytest.fixture
def stored_residuals(tmp_path: Path) -> Path:
    LateIndex.build(random_chunks(ENOUGH), RESIDUALS, {"zh": np.ones(8, np.float32)}).save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(RESIDUAL_FILES)
    return tmp_path


@pytest.mark.parametrize("file", RESIDUAL_FILES)
@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY\x01\x00", b"[]", b"{}"], ids=repr)
def test_a_part_of_residuals_that_is_missing_or_broken_is_refused(
    stored_residuals: Path, file: str, content: bytes | None
) -> None:
    if content is None:
        (stored_residuals / file).unlink()
    else:
        (stored_residuals / file).write_bytes(content)
    with pytest.raises(IndexCorrupt):
        LateIndex.load(stored_residuals, RESIDUALS)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY\x01\x00", b"[]", b"{}"], ids=repr)
def test_a_part_that_is_missing_or_broken_is_refused(stored: Path, file: str, content: bytes | None) -> None:
    (stored / file).unlink()
    if content is not None:
        (stored / file).write_bytes(content)
    with pytest.raises(IndexCorrupt, match="token vectors") as refusal:
        LateIndex.load(stored, LateConfig())
    assert "asknotes index" in refusal.value.hint


def with_header(**changed: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        header = json.loads((folder / "late.json").read_text())
        (folder / "late.json").write_text(json.dumps({**header, **changed}))

    return change


def with_array(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        np.save(folder / f"late_{name}.npy", change(np.load(folder / f"late_{name}.npy")))

    return changed


@pytest.mark.parametrize(
    "damage",
    [
        with_header(rows=99),
        with_header(tokens=5),
        with_header(dimension=9),
        with_header(query_languages=[]),
        with_header(form="residuals"),
        with_header(form="pickles"),
        with_header(form=["bytes"]),
        with_header(document_frequency=[1]),
        with_header(document_frequency={"x": 1}),
        with_array("offsets", lambda offsets: offsets[:-1]),
        with_array("offsets", lambda offsets: offsets[::-1].copy()),
        with_array("offsets", lambda offsets: offsets.astype(np.float64)),
        with_array("offsets", lambda offsets: offsets[[0, 2, 1, 3]] * np.array([1, -1, 1, 1])),
        with_array("codes", lambda codes: codes[:-1]),
        with_array("codes", lambda codes: codes[:, :-1].copy()),
        with_array("codes", lambda codes: codes.astype(np.int64)),
        with_array("scales", lambda scales: scales[:-1]),
        with_array("means", lambda means: means[:-1]),
        with_array("means", lambda means: means.astype(np.complex64)),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(stored: Path, damage: Callable[[Path], None]) -> None:
    damage(stored)
    with pytest.raises(IndexCorrupt):
        LateIndex.load(stored, LateConfig())


@pytest.mark.parametrize(
    "damage",
    [
        with_header(form="bytes"),
        with_header(rows=99),
        with_header(dimension=9),
        with_array("codes", lambda codes: codes[:-1]),
        with_array("codes", lambda codes: codes[:, :-1].copy()),
        with_array("codes", lambda codes: codes.astype(np.int8)),
        with_array("scales", lambda scales: scales[:, :1].copy()),
        with_array("scales", lambda scales: scales.astype(np.float32)),
        with_array("chunk_means", lambda means: means[:-1]),
        with_array("chunk_scales", lambda scales: scales[:-1]),
        with_array("axes", lambda axes: axes[:-1]),
        with_array("axes", lambda axes: axes.astype(np.float64)),
    ],
)
def test_residuals_that_do_not_fit_together_are_refused(stored_residuals: Path, damage: Callable[[Path], None]) -> None:
    damage(stored_residuals)
    with pytest.raises(IndexCorrupt):
        LateIndex.load(stored_residuals, RESIDUALS)
