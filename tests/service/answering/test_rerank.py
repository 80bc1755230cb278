"""Rerankers on tiny real models: exact against the library, deaf to length, typed in their refusals."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import index.weights
from index.errors import ConfigInvalid, WeightsCorrupt, WeightsMissing
from index.weights import ResolvedModel
from service.answering.generator import Prompt, TransformersModel
from service.answering.rerank import Reranker, open_reranker
from service.answering.reranking import colbert
from service.answering.reranking import cross_encoder as cross_encoder_module
from service.answering.reranking.cross_encoder import CrossEncoderReranker
from service.answering.reranking.language_model import cut_to_tokens
from tests.index.tiny_encoder import tiny_encoder
from tests.service.answering.reranking.tiny_cross_encoder import (
    POSITIONS,
    tiny_cross_encoder,
    tiny_headless_encoder,
    tiny_roberta_cross_encoder,
)
from tests.service.answering.tiny_language_model import TURN_ENDS, tiny_language_model

QUESTION = "what is attention"
PASSAGES = ["the model reads", "注意力是什么", "a b c d e f g h", "词频会饱和 attention", "h"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("cross-encoder"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> ResolvedModel:
    return tiny_language_model(tmp_path_factory.mktemp("language-model"))


@pytest.fixture
def language_model(weights: ResolvedModel) -> TransformersModel:
    return TransformersModel(weights, device="cpu", dtype="float32")


def opened(folder: Path, *, batch_size: int = 16, max_tokens: int = 512) -> CrossEncoderReranker:
    reranker = open_reranker(
        str(folder), cache=folder / "nothing", device="cpu", batch_size=batch_size, max_tokens=max_tokens
    )
    assert isinstance(reranker, CrossEncoderReranker)
    return reranker


def by_hand(folder: Path, question: str, passage: str, *, tokens: int = POSITIONS) -> float:
    """The pair's logit by transformers alone, only the passage truncated."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    inputs = tokenizer(question, passage, truncation="only_second", max_length=tokens, return_tensors="pt")
    with torch.inference_mode():
        return float(model(**inputs).logits[0, 0])


def after(answers: int) -> Callable[[], bool]:
    """A stop that is true from its call number ``answers`` on, counted from nought."""
    calls = iter(range(1000))
    return lambda: next(calls) >= answers


@pytest.fixture(params=["cross-encoder", "lm", "lm-likelihood"])
def reranker(request: pytest.FixtureRequest, folder: Path, language_model: TransformersModel) -> Reranker:
    if request.param == "cross-encoder":
        return opened(folder, batch_size=1)
    return open_reranker(request.param, cache=folder / "nothing", max_tokens=120, language_model=language_model)


class TestEveryReranker:
    def test_a_score_a_passage(self, reranker: Reranker) -> None:
        scores = reranker.scores(QUESTION, PASSAGES)
        assert scores.shape == (5,)
        assert scores.dtype == np.float32
        assert len(set(scores.tolist())) == 5

    def test_no_passages_no_scores(self, reranker: Reranker) -> None:
        scores = reranker.scores(QUESTION, [])
        assert scores.shape == (0,)
        assert scores.dtype == np.float32

    def test_a_passages_score_does_not_depend_on_the_others(self, reranker: Reranker) -> None:
        together = reranker.scores(QUESTION, PASSAGES)
        alone = [reranker.scores(QUESTION, [passage])[0] for passage in PASSAGES]
        np.testing.assert_allclose(together, alone, atol=1e-5)
        np.testing.assert_allclose(reranker.scores(QUESTION, PASSAGES[::-1]), together[::-1], atol=1e-5)

    def test_the_question_counts(self, reranker: Reranker) -> None:
        assert not np.allclose(reranker.scores(QUESTION, PASSAGES), reranker.scores("检索", PASSAGES), atol=1e-5)

    def test_an_empty_passage_is_last(self, reranker: Reranker) -> None:
        scores = reranker.scores(QUESTION, [*PASSAGES, "", " \n\t"])
        np.testing.assert_allclose(scores[:5], reranker.scores(QUESTION, PASSAGES), atol=1e-5)
        assert max(scores[5:]) < min(scores[:5])

    def test_nothing_but_empty_passages(self, reranker: Reranker) -> None:
        assert reranker.scores(QUESTION, ["", " "]).tolist() == [0.0, 0.0]

    @pytest.mark.parametrize("question", ["", QUESTION, "attention " * 1000, "注" * 10_000], ids=len)
    def test_no_length_raises(self, reranker: Reranker, question: str) -> None:
        scores = reranker.scores(question, ["注" * 10_000, "x" * 10_000, "a b " * 2500, "h", "\u200b" * 10_000])
        assert scores.shape == (5,)
        assert np.isfinite(scores).all()

    @pytest.mark.parametrize("hostile", ["[SEP]", "[PAD]", TURN_ENDS, "{passage}", "{0}", "\x00"])
    def test_no_text_raises(self, reranker: Reranker, hostile: str) -> None:
        assert np.isfinite(reranker.scores(f"what {hostile}", [f"{hostile} the model", hostile])).all()

    def test_what_is_beyond_the_cut_does_not_count(self, reranker: Reranker) -> None:
        long, longer = "a b " * 200, "a b " * 200 + "注意力"
        assert reranker.scores(QUESTION, [long]) == reranker.scores(QUESTION, [longer])

    def test_an_over_long_question_leaves_room_for_the_passage(self, reranker: Reranker) -> None:
        one, other = reranker.scores("what is " * 1000, ["the model reads", "词频会饱和"])
        assert one != other

    def test_stopped_it_gives_the_scores_that_it_has(self, reranker: Reranker) -> None:
        whole = reranker.scores(QUESTION, PASSAGES)
        np.testing.assert_allclose(reranker.scores(QUESTION, PASSAGES, stop=after(3))[:2], whole[:2], atol=1e-5)
        assert 2 <= len(reranker.scores(QUESTION, PASSAGES, stop=after(3))) < 5
        assert reranker.scores(QUESTION, PASSAGES, stop=lambda: True).shape == (0,)

    def test_stopped_before_the_end_empty_passages_count_as_read(self, reranker: Reranker) -> None:
        passages = ["", PASSAGES[0], "", PASSAGES[1], PASSAGES[2], PASSAGES[3], ""]
        part = reranker.scores(QUESTION, passages, stop=after(3))
        assert 3 <= len(part) < 7
        assert len(reranker.scores(QUESTION, passages, stop=lambda: True)) == 1

    def test_it_serves_threads_one_after_the_other(self, reranker: Reranker) -> None:
        expected = reranker.scores(QUESTION, PASSAGES)
        found: list[np.ndarray] = []
        threads = [threading.Thread(target=lambda: found.append(reranker.scores(QUESTION, PASSAGES))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 4
        for scores in found:
            np.testing.assert_allclose(scores, expected, atol=1e-5)


class TestCrossEncoder:
    def test_the_scores_are_the_librarys_logits(self, folder: Path) -> None:
        scores = opened(folder).scores(QUESTION, PASSAGES)
        library = CrossEncoder(str(folder), device="cpu").predict(
            [(QUESTION, passage) for passage in PASSAGES], activation_fn=torch.nn.Identity()
        )
        np.testing.assert_allclose(scores, library, atol=1e-5)
        np.testing.assert_allclose(scores, [by_hand(folder, QUESTION, text) for text in PASSAGES], atol=1e-5)

    @pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
    def test_the_batch_size_changes_nothing(self, folder: Path, batch_size: int) -> None:
        scores = opened(folder, batch_size=batch_size).scores(QUESTION, PASSAGES)
        np.testing.assert_allclose(scores, opened(folder).scores(QUESTION, PASSAGES), atol=1e-5)

    @pytest.mark.parametrize("tokens", [12, 40, POSITIONS])
    def test_truncation_keeps_the_question(self, folder: Path, tokens: int) -> None:
        question, passage = "what is attention"[: 7 if tokens == 12 else None], "a b c d " * 100
        (score,) = opened(folder, max_tokens=tokens).scores(question, [passage])
        assert score == pytest.approx(by_hand(folder, question, passage, tokens=tokens), abs=1e-5)

    def test_an_over_long_question_keeps_a_quarter(self, folder: Path) -> None:
        reranker = opened(folder, max_tokens=40)
        (score,) = reranker.scores("what is " * 50, ["a b c d " * 100])
        assert score == pytest.approx(by_hand(folder, "what is " * 5, "a b c d " * 100, tokens=40), abs=1e-5)

    def test_it_reads_no_more_than_the_model_has_positions_for(self, folder: Path) -> None:
        assert opened(folder, max_tokens=8192).max_tokens == POSITIONS
        assert opened(folder, max_tokens=20).max_tokens == 20

    def test_padding_positions_are_none_to_read_with(self, tmp_path: Path) -> None:
        reranker = opened(tiny_roberta_cross_encoder(tmp_path), max_tokens=8192)
        assert reranker.max_tokens == POSITIONS - 2
        assert np.isfinite(reranker.scores(QUESTION, ["a b c d " * 100])).all()

    def test_it_says_its_name_and_device(self, folder: Path) -> None:
        reranker = opened(folder)
        assert (reranker.name, reranker.device) == (str(folder), "cpu")

    def test_a_stop_is_asked_before_every_batch(self, folder: Path) -> None:
        assert opened(folder, batch_size=2).scores(QUESTION, PASSAGES, stop=after(2)).shape == (4,)

    def test_scores_that_are_no_numbers_are_refused(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        reranker = opened(folder)
        with torch.no_grad():
            reranker._model.model.classifier.weight.fill_(float("nan"))
        with pytest.raises(WeightsCorrupt, match="no numbers") as refused:
            reranker.scores(QUESTION, PASSAGES)
        assert "none" in refused.value.hint


class TestOpening:
    def test_a_folder_without_a_model_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsMissing, match="no model") as refused:
            opened(tmp_path)
        assert "config.json" in refused.value.hint

    def test_a_name_that_is_none_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsMissing, match="neither a folder nor") as refused:
            open_reranker("no/such/folder/here", cache=tmp_path, device="cpu")
        assert "existing folder" in refused.value.hint

    def test_a_hub_that_is_not_reached_is_a_missing_model(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[dict[str, object]] = []

        def unreachable(location: str, *_: str, **options: object) -> None:
            asked.append({"location": location, **options})
            raise OSError("We couldn't connect")

        monkeypatch.setattr(colbert, "load_file_path", unreachable)
        monkeypatch.setattr(cross_encoder_module, "CrossEncoder", unreachable)
        with pytest.raises(WeightsMissing, match=r"BAAI/bge-reranker-v2-m3.*couldn't connect") as refused:
            open_reranker("BAAI/bge-reranker-v2-m3", cache=tmp_path, device="cpu")
        assert "local folder" in refused.value.hint
        assert asked[-1]["location"] == "BAAI/bge-reranker-v2-m3"
        assert asked[-1]["trust_remote_code"] is False

    def test_truncated_weights_are_corrupt(self, tmp_path: Path) -> None:
        file = tiny_cross_encoder(tmp_path) / "model.safetensors"
        file.write_bytes(file.read_bytes()[:1000])
        with pytest.raises(WeightsCorrupt, match="cannot be loaded") as refused:
            opened(tmp_path)
        assert "again" in refused.value.hint

    def test_a_model_without_a_scoring_head_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigInvalid, match="BertModel has no scoring head") as refused:
            opened(tiny_headless_encoder(tmp_path))
        assert "bge-reranker" in refused.value.hint

    def test_an_encoder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigInvalid, match="no scoring head"):
            opened(tiny_encoder(tmp_path))

    def test_a_language_model_without_a_word_for_yes_is_refused(self, weights: ResolvedModel) -> None:
        with pytest.raises(ConfigInvalid, match="no words for yes and no"):
            opened(Path(weights.location))

    def test_a_classifier_of_many_classes_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigInvalid, match="3 scores a pair"):
            opened(tiny_cross_encoder(tmp_path, labels=3))

    @pytest.mark.parametrize("name", ["none", "late"])
    def test_a_name_that_is_no_model_is_refused(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ConfigInvalid, match=name):
            open_reranker(name, cache=tmp_path)

    def test_unknown_bundled_weights_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigInvalid, match="no bundled weights"):
            open_reranker("bundled:reranker", cache=tmp_path)

    def test_bundled_weights_of_another_kind_are_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        found = ResolvedModel("bundled:writer", str(tmp_path), "0", "none", "language-model")
        monkeypatch.setattr(index.weights, "resolve", lambda _, *, cache: found)
        with pytest.raises(ConfigInvalid, match="bundled language-model") as refused:
            open_reranker("bundled:writer", cache=tmp_path, device="cpu")
        assert "`lm`" in refused.value.hint

    @pytest.mark.parametrize("name", ["lm", "lm-likelihood"])
    def test_without_a_language_model_its_opinion_cannot_be_had(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(WeightsMissing, match=f"`{name}` asks the language model, and none is loaded") as refused:
            open_reranker(name, cache=tmp_path)
        assert "answering.model" in refused.value.hint

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
    def test_a_gpu_that_is_not_there_is_a_wrong_setting(self, folder: Path) -> None:
        with pytest.raises(ConfigInvalid, match="no CUDA device"):
            open_reranker(str(folder), cache=folder, device="cuda")


class Judge:
    """Remembers what it was asked; a character is a token; likes what holds ``held``."""

    def __init__(self, held: str = "") -> None:
        self.held = held
        self.prompts: list[Prompt] = []
        self.choices: list[tuple[str, ...]] = []
        self.continuations: list[str] = []

    def count_tokens(self, text: str) -> int:
        return len(text)

    def choice_probabilities(
        self, prompts: Sequence[Prompt], choices: Sequence[str], *, stop: Callable[[], bool]
    ) -> np.ndarray:
        self.prompts.extend(prompts)
        self.choices.append(tuple(choices))
        yes = np.array([0.9 if self.held in prompt.request else 0.2 for prompt in prompts], dtype=np.float32)
        return np.stack([yes, 1 - yes], axis=1)

    def log_likelihoods(self, prompts: Sequence[Prompt], continuation: str, *, stop: Callable[[], bool]) -> np.ndarray:
        self.prompts.extend(prompts)
        self.continuations.append(continuation)
        return np.array([-1.0 if self.held in prompt.request else -4.0 for prompt in prompts], dtype=np.float32)


class TestLanguageModel:
    def test_the_score_is_the_share_of_yes_after_the_whole_prompt(self, language_model: TransformersModel) -> None:
        judge = Judge()
        asking = open_reranker("lm", cache=Path(), max_tokens=512, language_model=judge)
        asking.scores(QUESTION, PASSAGES)
        yes, no = (language_model._tokenizer.convert_tokens_to_ids(letter) for letter in "YN")
        expected = []
        for prompt in judge.prompts:
            with torch.inference_mode():
                logits = language_model._model(torch.tensor([language_model._prompt_ids(prompt)])).logits[0, -1]
            expected.append(float(logits[yes].exp() / (logits[yes].exp() + logits[no].exp())))
        real = open_reranker("lm", cache=Path(), max_tokens=512, language_model=language_model)
        np.testing.assert_allclose(real.scores(QUESTION, PASSAGES), expected, atol=1e-5)

    @pytest.mark.parametrize(
        ("question", "choices", "word"),
        [
            ("注意力是什么？", ("是", "否"), "问题："),
            ("注意力機制為什麼會這樣？", ("是", "否"), "問題："),
            ("What is attention?", ("Yes", "No"), "Question:"),
        ],
    )
    def test_it_asks_in_the_language_of_the_question(self, question: str, choices: tuple[str, str], word: str) -> None:
        judge = Judge()
        open_reranker("lm", cache=Path(), language_model=judge).scores(question, ["a passage"])
        assert judge.choices == [choices]
        assert judge.prompts[0].request.startswith(word)
        assert question in judge.prompts[0].request
        assert "a passage" in judge.prompts[0].request

    def test_yes_is_better_than_no(self) -> None:
        reranker = open_reranker("lm", cache=Path(), language_model=Judge("饱和"))
        assert reranker.scores("词频会怎样", ["词频会饱和", "检索"]).tolist() == pytest.approx([0.9, 0.2])

    def test_question_and_passage_share_the_room(self) -> None:
        judge = Judge()
        reranker = open_reranker("lm", cache=Path(), max_tokens=100, language_model=judge)
        reranker.scores("何" * 80, ["草" * 500])
        reranker.scores("何" * 10, ["草" * 500])
        shown = [(prompt.request.count("何"), prompt.request.count("草")) for prompt in judge.prompts]
        assert shown == [(25, 75), (10, 90)]


class TestLikelihood:
    def test_the_score_is_the_mean_log_probability_of_the_question_after_the_passage(
        self, language_model: TransformersModel
    ) -> None:
        judge = Judge()
        open_reranker("lm-likelihood", cache=Path(), max_tokens=512, language_model=judge).scores(QUESTION, PASSAGES)
        expected = []
        for prompt in judge.prompts:
            begun = language_model._prompt_ids(prompt)
            asked = language_model._tokenizer(QUESTION, add_special_tokens=False)["input_ids"]
            with torch.inference_mode():
                logits = language_model._model(torch.tensor([begun + asked])).logits[0].log_softmax(dim=-1)
            steps = [float(logits[len(begun) + place - 1, token]) for place, token in enumerate(asked)]
            expected.append(sum(steps) / len(steps))
        real = open_reranker("lm-likelihood", cache=Path(), max_tokens=512, language_model=language_model)
        np.testing.assert_allclose(real.scores(QUESTION, PASSAGES), expected, atol=1e-5)
        assert real.name == "lm-likelihood"

    @pytest.mark.parametrize(
        ("question", "word"),
        [("注意力是什么？", "笔记："), ("注意力機制為什麼會這樣？", "筆記："), ("What is attention?", "Passage:")],
    )
    def test_it_asks_in_the_language_of_the_question_which_the_prompt_does_not_hold(
        self, question: str, word: str
    ) -> None:
        judge = Judge()
        open_reranker("lm-likelihood", cache=Path(), language_model=judge).scores(question, ["a passage"])
        assert judge.continuations == [question]
        assert judge.prompts[0].request.startswith(word)
        assert "a passage" in judge.prompts[0].request
        assert question not in judge.prompts[0].instruction + judge.prompts[0].request

    def test_the_likelier_question_is_the_better_passage_and_an_empty_one_the_worst(self) -> None:
        reranker = open_reranker("lm-likelihood", cache=Path(), language_model=Judge("饱和"))
        assert reranker.scores("词频会怎样", ["词频会饱和", "", "检索"]).tolist() == [-1.0, -5.0, -4.0]

    def test_question_and_passage_share_the_room(self) -> None:
        judge = Judge()
        reranker = open_reranker("lm-likelihood", cache=Path(), max_tokens=100, language_model=judge)
        reranker.scores("何" * 80, ["草" * 500])
        reranker.scores("何" * 10, ["草" * 500])
        assert [len(asked) for asked in judge.continuations] == [25, 10]
        assert [prompt.request.count("草") for prompt in judge.prompts] == [75, 90]


@pytest.mark.parametrize(("limit", "kept"), [(0, ""), (1, "a"), (3, "a b c"), (9, "a b c d")])
def test_a_text_is_cut_at_its_last_token_that_fits(limit: int, kept: str) -> None:
    assert cut_to_tokens("a b c d", limit, lambda text: len(text.split())).strip() == kept
