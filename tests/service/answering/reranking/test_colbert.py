"""ColBERT checkpoints of both forms: MaxSim as computed by hand, and refusals that say what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from index import weights
from index.errors import ConfigInvalid, WeightsCorrupt
from service.answering.rerank import Reranker, open_reranker
from service.answering.reranking import colbert
from service.answering.reranking.colbert import ColbertReranker, is_colbert, open_colbert
from service.answering.reranking.cross_encoder import CrossEncoderReranker
from tests.index.tiny_encoder import tiny_encoder
from tests.service.answering.reranking.tiny_colbert import (
    DIMENSION,
    HIDDEN,
    POSITIONS,
    QUERY_LENGTH,
    VOCABULARY,
    maxsim_by_hand,
    save_tensors,
    tensors_of,
    tiny_pylate_colbert,
    tiny_stanford_colbert,
)
from tests.service.answering.reranking.tiny_cross_encoder import tiny_cross_encoder, tiny_headless_encoder

QUESTION = "what is attention"
PASSAGES = ["the model reads , a b !", "注 意 力 是 什 么 。", "a b c d e f g h", "词 频 会 饱 和 attention", "h"]
FORMS = {"stanford": tiny_stanford_colbert, "pylate": tiny_pylate_colbert}


def opened(folder: Path, *, batch_size: int = 16, max_tokens: int = 512) -> ColbertReranker:
    reranker = open_reranker(
        str(folder), cache=folder / "nothing", device="cpu", batch_size=batch_size, max_tokens=max_tokens
    )
    assert isinstance(reranker, ColbertReranker)
    return reranker


def found(folder: Path) -> bool:
    return is_colbert(weights.resolve(str(folder), cache=folder / "nothing"))


@pytest.fixture(scope="module", params=FORMS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FORMS[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def reranker(folder: Path) -> ColbertReranker:
    return opened(folder)


def read(reranker: ColbertReranker, text: str, task: str) -> dict[str, Any]:
    model = reranker._model
    features: dict[str, Any] = model.preprocess([text], prompt=model.prompts[task], task=task)
    return features


class TestScores:
    def test_they_are_the_sums_of_best_cosines_computed_by_hand(self, reranker: ColbertReranker) -> None:
        scores = reranker.scores(QUESTION, PASSAGES)
        np.testing.assert_allclose(scores, [maxsim_by_hand(QUESTION, text) for text in PASSAGES], atol=1e-5)
        assert scores.dtype == np.float32

    def test_a_question_is_marked_and_filled_up_with_masks_that_no_token_attends_to(
        self, reranker: ColbertReranker
    ) -> None:
        features = read(reranker, QUESTION, "query")
        words = ["[CLS]", "[unused0]", "what", "is", "attention", "[SEP]"]
        masks = QUERY_LENGTH - len(words)
        assert features["input_ids"].tolist() == [[VOCABULARY[word] for word in [*words, *["[MASK]"] * masks]]]
        assert features["attention_mask"].tolist() == [[1] * len(words) + [0] * masks]
        assert len(reranker._question_vectors(QUESTION)) == QUERY_LENGTH

    def test_a_passage_is_marked_and_not_filled_up(self, reranker: ColbertReranker) -> None:
        words = ["[CLS]", "[unused1]", "the", "model", "[SEP]"]
        assert read(reranker, "the model", "document")["input_ids"].tolist() == [[VOCABULARY[word] for word in words]]

    def test_punctuation_of_a_passage_is_read_and_matches_nothing(self, reranker: ColbertReranker) -> None:
        (score,) = reranker.scores(", !", ["the model , reads !"])
        assert score == pytest.approx(maxsim_by_hand(", !", "the model , reads !"), abs=1e-5)
        assert score < maxsim_by_hand(", !", "the model , reads !", skipped="") - 1e-3
        # Read all the same: the words beside it have other vectors.
        assert reranker.scores(QUESTION, ["the model"]) != reranker.scores(QUESTION, ["the , model"])

    @pytest.mark.parametrize("batch_size", [1, 2, 100])
    def test_the_batch_size_changes_nothing(self, folder: Path, reranker: ColbertReranker, batch_size: int) -> None:
        scores = opened(folder, batch_size=batch_size).scores(QUESTION, PASSAGES)
        np.testing.assert_allclose(scores, reranker.scores(QUESTION, PASSAGES), atol=1e-5)

    def test_scores_that_are_no_numbers_are_refused(self, folder: Path) -> None:
        broken = opened(folder)
        with torch.no_grad():
            broken._model[1].linear.weight.fill_(float("nan"))
        with pytest.raises(WeightsCorrupt, match="no numbers"):
            broken.scores(QUESTION, PASSAGES)


class TestLengths:
    def test_a_passage_is_cut_by_the_tokenizer_at_what_may_be_read(self, folder: Path) -> None:
        for tokens in (20, POSITIONS):
            (score,) = opened(folder, max_tokens=tokens).scores(QUESTION, ["a b c , " * 100])
            assert score == pytest.approx(maxsim_by_hand(QUESTION, "a b c , " * 100, tokens=tokens), abs=1e-5)

    def test_it_reads_no_more_than_the_model_has_positions_for(self, folder: Path) -> None:
        assert opened(folder, max_tokens=8192).max_tokens == POSITIONS
        assert opened(folder, max_tokens=20).max_tokens == 20

    def test_a_question_longer_than_its_filling_is_read_whole(self, reranker: ColbertReranker) -> None:
        question = "what is the model a b c d e f g h 注 意 力"
        (score,) = reranker.scores(question, PASSAGES[:1])
        assert score == pytest.approx(maxsim_by_hand(question, PASSAGES[0]), abs=1e-5)

    def test_no_length_raises(self, reranker: ColbertReranker) -> None:
        for question in ("", "attention " * 1000, "注" * 10_000):
            scores = reranker.scores(question, ["注" * 10_000, "a b " * 2500, "h", "\u200b" * 1000, "[MASK]"])
            assert np.isfinite(scores).all()
            assert scores.shape == (5,)


class TestPassages:
    def test_an_empty_passage_is_last(self, reranker: ColbertReranker) -> None:
        scores = reranker.scores(QUESTION, [*PASSAGES, "", " \n\t"])
        assert max(scores[5:]) < min(scores[:5])
        assert reranker.scores(QUESTION, []).shape == (0,)

    def test_a_stop_is_asked_before_every_batch(self, folder: Path) -> None:
        calls = iter(range(9))
        stopped = opened(folder, batch_size=2).scores(QUESTION, PASSAGES, stop=lambda: next(calls) >= 2)
        assert stopped.shape == (4,)
        assert opened(folder).scores(QUESTION, PASSAGES, stop=lambda: True).shape == (0,)

    def test_it_is_a_reranker_that_says_its_name_and_device(self, folder: Path, reranker: ColbertReranker) -> None:
        as_protocol: Reranker = reranker
        assert as_protocol.name == str(folder)
        assert reranker.device == "cpu"


class TestSettings:
    @pytest.mark.parametrize(
        ("form", "setting"), [("stanford", "attend_to_mask_tokens"), ("pylate", "attend_to_expansion_tokens")]
    )
    def test_masks_are_attended_to_where_the_checkpoint_says_so(self, tmp_path: Path, form: str, setting: str) -> None:
        scores = opened(FORMS[form](tmp_path, **{setting: True})).scores(QUESTION, PASSAGES)
        np.testing.assert_allclose(scores, [maxsim_by_hand(QUESTION, one, attend=True) for one in PASSAGES], atol=1e-5)

    @pytest.mark.parametrize(
        ("form", "setting"), [("stanford", {"mask_punctuation": False}), ("pylate", {"skiplist_words": []})]
    )
    def test_punctuation_matches_where_the_checkpoint_says_so(
        self, tmp_path: Path, form: str, setting: dict[str, Any]
    ) -> None:
        scores = opened(FORMS[form](tmp_path, **setting)).scores(QUESTION, PASSAGES)
        np.testing.assert_allclose(scores, [maxsim_by_hand(QUESTION, one, skipped="") for one in PASSAGES], atol=1e-5)

    def test_questions_are_not_filled_up_where_pylate_saved_so(self, tmp_path: Path) -> None:
        scores = opened(tiny_pylate_colbert(tmp_path, do_query_expansion=False)).scores(QUESTION, PASSAGES)
        by_hand = [maxsim_by_hand(QUESTION, one, expanded=False) for one in PASSAGES]
        np.testing.assert_allclose(scores, by_hand, atol=1e-5)

    def test_an_older_pylate_folder_that_does_not_say_what_it_is(self, tmp_path: Path) -> None:
        folder = tiny_pylate_colbert(tmp_path, model_type=..., skiplist_words=..., do_query_expansion=...)
        scores = opened(folder).scores(QUESTION, PASSAGES)
        np.testing.assert_allclose(scores, [maxsim_by_hand(QUESTION, one) for one in PASSAGES], atol=1e-5)

    def test_stanfords_defaults_hold_where_there_is_no_metadata(self, tmp_path: Path) -> None:
        folder = tiny_stanford_colbert(tmp_path)
        (folder / "artifact.metadata").unlink()
        assert read(opened(folder), QUESTION, "query")["input_ids"].shape == (1, 32)

    def test_a_checkpoint_is_known_by_its_projection_alone(self, tmp_path: Path) -> None:
        folder = tiny_stanford_colbert(tmp_path)
        config = json.loads((folder / "config.json").read_text("utf-8")) | {"architectures": ["BertModel"]}
        (folder / "config.json").write_text(json.dumps(config), "utf-8")
        (folder / "artifact.metadata").unlink()
        assert found(folder)

    def test_weights_of_pytorch_are_read_without_running_anything(self, tmp_path: Path) -> None:
        folder = tiny_stanford_colbert(tmp_path)
        torch.save(tensors_of(folder), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
        scores = opened(folder).scores(QUESTION, PASSAGES)
        np.testing.assert_allclose(scores, [maxsim_by_hand(QUESTION, one) for one in PASSAGES], atol=1e-5)


class TestRecognition:
    @pytest.mark.parametrize("make", [tiny_encoder, tiny_cross_encoder, tiny_headless_encoder])
    def test_other_models_are_none(self, tmp_path: Path, make: Callable[[Path], Path]) -> None:
        assert not found(make(tmp_path))

    def test_a_cross_encoder_stays_one(self, tmp_path: Path) -> None:
        reranker = open_reranker(str(tiny_cross_encoder(tmp_path)), cache=tmp_path, device="cpu")
        assert isinstance(reranker, CrossEncoderReranker)

    def test_a_hub_that_is_not_reached_has_no_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def unreachable(location: str, file: str) -> str:
            raise OSError("We couldn't connect")

        monkeypatch.setattr(colbert, "load_file_path", unreachable)
        assert not is_colbert(weights.resolve("colbert-ir/colbertv2.0", cache=tmp_path))


class Touching:
    """What unpickles by calling ``Path.touch``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


class TestRefusals:
    def test_a_checkpoint_without_its_projection(self, tmp_path: Path) -> None:
        folder = tiny_stanford_colbert(tmp_path)
        save_tensors(folder, {name: one for name, one in tensors_of(folder).items() if name != "linear.weight"})
        with pytest.raises(WeightsCorrupt, match=r"no `linear\.weight` in its weights") as refused:
            opened(folder)
        assert "`late`" in refused.value.hint

    def test_without_projection_and_without_its_marks_it_is_no_cross_encoder_either(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigInvalid, match="no scoring head") as refused:
            opened(tiny_headless_encoder(tmp_path))
        assert "`linear.weight`" in refused.value.hint

    def test_a_pylate_folder_without_its_projection(self, tmp_path: Path) -> None:
        folder = tiny_pylate_colbert(tmp_path)
        modules = json.loads((folder / "modules.json").read_text("utf-8"))
        (folder / "modules.json").write_text(json.dumps(modules[:1]), "utf-8")
        with pytest.raises(WeightsCorrupt, match="lists no Dense projection"):
            opened(folder)

    @pytest.mark.parametrize("shape", [(DIMENSION, HIDDEN + 1), (DIMENSION + 1, HIDDEN)])
    def test_a_projection_of_another_shape(self, tmp_path: Path, shape: tuple[int, int]) -> None:
        folder = tiny_stanford_colbert(tmp_path)
        save_tensors(folder, tensors_of(folder) | {"linear.weight": torch.zeros(shape)})
        with pytest.raises(WeightsCorrupt, match=r"instead of \(16, 32\)"):
            opened(folder)

    def test_an_encoder_of_which_weights_are_missing_is_not_filled_with_random_ones(self, folder: Path) -> None:
        part = tiny_stanford_colbert(folder.parent / f"{folder.name}-part")
        kept = {name: one for name, one in tensors_of(part).items() if "layer.1.attention" not in name}
        save_tensors(part, kept)
        with pytest.raises(WeightsCorrupt, match=r"lacks 10 weights of a BertModel, encoder\.layer\.1\.attention"):
            opened(part)

    def test_weights_that_are_not_whole(self, folder: Path) -> None:
        part = tiny_stanford_colbert(folder.parent / f"{folder.name}-cut")
        file = part / "model.safetensors"
        file.write_bytes(file.read_bytes()[:1000])
        with pytest.raises(WeightsCorrupt, match="cannot be"):
            opened(part)

    def test_weights_that_would_run_code_are_refused_and_run_none(self, tmp_path: Path) -> None:
        folder, touched = tiny_stanford_colbert(tmp_path / "model"), tmp_path / "touched"
        (folder / "model.safetensors").unlink()
        torch.save({"linear.weight": Touching(touched)}, folder / "pytorch_model.bin")
        with pytest.raises(WeightsCorrupt, match="cannot be"):
            opened(folder)
        assert not touched.exists()

    def test_a_marker_that_the_vocabulary_does_not_have(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsCorrupt, match=r"'\[Query\]', which its vocabulary does not have"):
            opened(tiny_stanford_colbert(tmp_path, query_token_id="[Query]"))  # noqa: S106 - a token of text

    @pytest.mark.parametrize(
        ("key", "value"), [("query_maxlen", "32"), ("query_maxlen", 0), ("mask_punctuation", "yes")]
    )
    def test_metadata_that_cannot_be_used(self, tmp_path: Path, key: str, value: object) -> None:
        with pytest.raises(WeightsCorrupt, match=rf"artifact\.metadata that cannot be used: {key}"):
            opened(tiny_stanford_colbert(tmp_path, **{key: value}))

    @pytest.mark.parametrize("damaged", ["{", "[]"])
    @pytest.mark.parametrize("file", ["artifact.metadata", "config.json"])
    def test_files_that_are_damaged(self, tmp_path: Path, file: str, damaged: str) -> None:
        folder = tiny_stanford_colbert(tmp_path)
        (folder / file).write_text(damaged, "utf-8")
        with pytest.raises(WeightsCorrupt, match=file):
            opened(folder)

    @pytest.mark.parametrize(("form", "key"), [("stanford", "query_maxlen"), ("pylate", "query_length")])
    def test_a_question_length_beyond_the_models_positions(self, tmp_path: Path, form: str, key: str) -> None:
        with pytest.raises(WeightsCorrupt, match=f"up to {POSITIONS + 1} tokens and has {POSITIONS} positions"):
            opened(FORMS[form](tmp_path, **{key: POSITIONS + 1}))

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
    def test_a_gpu_that_is_not_there(self, folder: Path) -> None:
        with pytest.raises(ConfigInvalid, match="no CUDA device"):
            open_reranker(str(folder), cache=folder, device="cuda")


def test_half_precision_changes_little(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved = weights.resolve(str(folder), cache=folder / "nothing")
    monkeypatch.setattr(colbert, "_dtype_on", lambda _: torch.float16)
    half = open_colbert(resolved, device="cpu", batch_size=4, max_tokens=512)
    assert {parameter.dtype for parameter in half._model.parameters()} == {torch.float16}
    np.testing.assert_allclose(half.scores(QUESTION, PASSAGES), opened(folder).scores(QUESTION, PASSAGES), atol=0.05)
