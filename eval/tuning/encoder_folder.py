"""The folder of a tuned encoder: written beside, flushed, and named only when it is whole and shown to be better."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from sentence_transformers import SentenceTransformer

from eval.tuning.pairs import TuningRefused
from index import durable
from index.config import EncoderConfig
from index.errors import StorageFailed, WeightsCorrupt
from index.file_lock import FileLock
from index.onnx_export import export_int8
from index.publishing import ENCODERS
from index.weights import ResolvedModel

RECORD = "tuning.json"

_BUILDING = ".asknotes-tuning-"  # no other program's folders are removed, wherever --out leads
_LOCK = ".asknotes-tuning.lock"
_SPARE_BYTES = 200_000_000
_FULL_PRECISION_SHARE = 4  # fp32 weights, their ONNX copy while it is made, and the quantised one, of 16-bit weights


def load_trainable(resolved: ResolvedModel, *, device: str) -> SentenceTransformer:
    """Load an encoder in full precision; raises WeightsCorrupt."""
    try:
        with _without_progress_bars():
            return SentenceTransformer(resolved.location, device=device, model_kwargs={"dtype": torch.float32})
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
        raise WeightsCorrupt(
            f"The encoder {resolved.name!r} cannot be loaded: {error}",
            hint="Check the folder, or the name and the way to its hub.",
        ) from error


def free_target(data: Path, out: Path | None, config: EncoderConfig) -> Path:
    """Where a new encoder goes: ``out``, or the next free name under ``data``; raises TuningRefused for one in use."""
    if out is not None:
        if out.exists():
            raise TuningRefused(f"{out} is there already.", hint="Choose another folder with --out.")
        return out.absolute()
    folder = (data / ENCODERS).absolute()
    base = re.sub(r"[^\w.-]+", "-", config.model.rstrip("/").rsplit("/", 1)[-1].removeprefix("bundled:")).strip("-.")
    stem = re.sub(r"-tuned-\d+$", "", base) or "encoder"
    number = 1
    while (folder / f"{stem}-tuned-{number}").exists():
        number += 1
    return folder / f"{stem}-tuned-{number}"


@contextlib.contextmanager
def building(target: Path) -> Iterator[Path]:
    """Give a folder beside ``target`` to build in, alone; whatever is still in it at the end is removed.

    Raises TuningRefused while another process tunes for the same folder, StorageFailed. A killed process leaves a
    hidden folder, which the next one removes.
    """
    with durable.storage_errors(f"Making {target.parent}"):
        durable.make_folder(target.parent)
    lock = FileLock(target.parent / _LOCK)
    if not lock.try_acquire():
        raise TuningRefused(
            f"Another process ({lock.owner()}) tunes an encoder for {target.parent}.",
            hint="Wait until it is done, or choose another folder with --out.",
        )
    try:
        with durable.storage_errors(f"Writing to {target.parent}"):
            for leftover in target.parent.glob(f"{_BUILDING}*"):
                shutil.rmtree(leftover)
            folder = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=target.parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        lock.release()


def write_encoder(model: SentenceTransformer, folder: Path, *, quantised: bool) -> None:
    """Write a sentence-transformers folder, with an int8 ONNX copy if ``quantised``; raises StorageFailed."""
    _require_space(model, folder)
    with _write_errors(folder), _without_progress_bars():
        model.save_pretrained(str(folder), create_model_card=False)
        if quantised:
            export_int8(folder)


def publish_encoder(folder: Path, target: Path, record: Mapping[str, Any]) -> None:
    """Put the record into a built folder and give it its name: it is whole there, or not at all.

    Raises StorageFailed, also where somebody else took the name.
    """
    with _write_errors(target):
        content = json.dumps(record, ensure_ascii=False, indent=1) + "\n"
        (folder / RECORD).write_text(content, encoding="utf-8")
        folder.chmod(0o755)  # mkdtemp makes it for its owner alone
        for path in sorted(folder.rglob("*")):
            if path.is_dir():
                durable.sync_folder(path)
            else:
                path.chmod(0o644)
                durable.sync_file(path)
        durable.sync_folder(folder)
        durable.rename(folder, target)


def _require_space(model: SentenceTransformer, folder: Path) -> None:
    weights = sum(parameter.numel() for parameter in model.parameters())
    needed = 2 * _FULL_PRECISION_SHARE * weights + _SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StorageFailed(
            f"Writing the tuned encoder takes {needed / 1e9:.1f} GB in {folder.parent}, and {free / 1e9:.1f} are free.",
            hint="Free some space, or choose another folder with --out.",
        )


@contextlib.contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Hide the library's bars, which would be drawn over ours."""
    shown = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers.utils.logging.enable_progress_bar()


@contextlib.contextmanager
def _write_errors(folder: Path) -> Iterator[None]:
    with durable.storage_errors(f"Writing the tuned encoder to {folder}"):
        try:
            yield
        except SafetensorError as error:
            raise OSError(str(error)) from error
