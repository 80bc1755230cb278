"""Systems: named sets of settings that an evaluation sets side by side.

A name from BUILT_IN, one from a TOML file, or either with changed settings after ``@``::

    hybrid+late
    hybrid@index.fusion.lexical_weight=0
    hybrid+late@ingest.chunker.max_chars=400@index.dense.factory=HNSW32

    [systems.my-encoder]            # in the file of --systems-file
    base = "hybrid+late"
    settings = { "index.encoder.model" = "BAAI/bge-small-zh-v1.5" }

    [systems.cross-encoder]
    rerank = "BAAI/bge-reranker-v2-m3"
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from index.errors import AsknotesError, ConfigInvalid
from service.answering.exchange import SearchMode, SearchRequest
from service.answering.rerank import LANGUAGE_MODEL_RERANKERS, WITHOUT_MODEL
from service.settings import Settings


class SystemsInvalid(AsknotesError):
    """A system that is not known, is there twice, or whose settings do not fit the schema."""

    type = "systems_invalid"


@dataclass(frozen=True, slots=True)
class System:
    """How one system searches: what its requests say, and by dotted key which settings it changes."""

    name: str
    mode: SearchMode = "hybrid"
    rerank: str | None = None
    hyde: bool | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def request(self, question: str, top_k: int) -> SearchRequest:
        """Return the search that this system makes of a question."""
        return SearchRequest(question, top_k=top_k, mode=self.mode, rerank=self.rerank, hyde=self.hyde)

    def applied_to(self, base: Settings) -> Settings:
        """Return the settings of this system; raises SystemsInvalid naming the key that does not fit."""
        values = base.model_dump()
        if self.rerank not in {None} | WITHOUT_MODEL | LANGUAGE_MODEL_RERANKERS:
            _set(values, "answering.reranker", self.rerank, self.name)  # a model is named in the settings
        for key, value in self.settings.items():
            _set(values, key, value, self.name)
        try:
            return Settings(**values)
        except ValidationError as error:
            details = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in details["loc"])
            raise SystemsInvalid(
                f"System {self.name!r}: {place}: {details['msg']}, not {details['input']!r}.",
                hint="docs/CONFIG.md lists every setting with what it allows.",
            ) from error

    def described(self) -> dict[str, Any]:
        """Return what sets the system apart, JSON-ready."""
        said = {"mode": self.mode, "rerank": self.rerank, "hyde": self.hyde}
        return {key: value for key, value in said.items() if value is not None} | dict(self.settings)


_LATE: Mapping[str, Any] = {"index.late.enabled": True}
BUILT_IN: Mapping[str, System] = {
    system.name: system
    for system in (
        System("default"),
        System("lexical", mode="lexical", rerank="none"),
        System("dense", mode="dense", rerank="none"),
        System("hybrid", rerank="none"),
        System("lexical+late", mode="lexical", rerank="late", settings=_LATE),
        System("dense+late", mode="dense", rerank="late", settings=_LATE),
        System("hybrid+late", rerank="late", settings=_LATE),
        System("hybrid+late+hyde", rerank="late", hyde=True, settings=_LATE),
        System("hybrid+late+lm", rerank="lm", settings=_LATE),
        System("hybrid+late+lm-likelihood", rerank="lm-likelihood", settings=_LATE),
        System("late", rerank="late", settings={**_LATE, "index.late.lexical_weight": 0.0}),
    )
}
"""``default`` is what the settings say; the rest name their stages. ``late`` is late interaction without BM25."""

COMPARED_BY_DEFAULT = ("lexical", "dense", "hybrid", "hybrid+late")


class _FileEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    base: str = "default"
    mode: SearchMode | None = None
    rerank: str | None = None
    hyde: bool | None = None
    settings: dict[str, Any] = {}


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    systems: dict[str, _FileEntry] = Field(min_length=1)


def choose_systems(names: Sequence[str], file: Path | None = None) -> list[System]:
    """Return the systems of these names, in order; raises SystemsInvalid."""
    known = {**BUILT_IN, **(_read(file) if file else {})}
    chosen = [_parse(name.strip(), known) for name in names if name.strip()]
    if not chosen:
        raise SystemsInvalid("No system is named.", hint=f"Choose of: {', '.join(known)}.")
    for position, system in enumerate(chosen):
        if system.name in {other.name for other in chosen[:position]}:
            raise SystemsInvalid(f"The system {system.name!r} is named twice.", hint="Name each once.")
    return chosen


def _parse(text: str, known: Mapping[str, System]) -> System:
    name, *changes = text.split("@")
    system = _known(name, known)
    if not changes:
        return system
    settings = dict(system.settings)
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise SystemsInvalid(f"System {text!r}: {change!r} sets nothing.", hint="Write key=value after each @.")
        settings[key.strip()] = typed(value.strip())
    return replace(system, name=text, settings=settings)


def typed(value: str) -> Any:
    """Return a setting's value from the command line: a number, true or false where it is one, else the text."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def _known(name: str, known: Mapping[str, System]) -> System:
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, list(known), n=1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    raise SystemsInvalid(f"There is no system {name!r}.{guess}", hint=f"Choose of: {', '.join(known)}.")


def _read(file: Path) -> dict[str, System]:
    try:
        entries = _File.model_validate(tomllib.loads(file.read_bytes().decode("utf-8"))).systems
    except OSError as error:
        raise ConfigInvalid(f"{file}: cannot be read: {error.strerror}", hint="Check the path.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigInvalid(f"{file}: is not TOML in UTF-8: {error}", hint="docs/EVAL.md has an example.") from error
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in details["loc"])
        raise ConfigInvalid(f"{file}: {place}: {details['msg']}.", hint="docs/EVAL.md has an example.") from error
    systems: dict[str, System] = {}
    for name, entry in entries.items():
        base = _known(entry.base, {**BUILT_IN, **systems})
        systems[name] = System(
            name=name,
            mode=entry.mode or base.mode,
            rerank=base.rerank if entry.rerank is None else entry.rerank,
            hyde=base.hyde if entry.hyde is None else entry.hyde,
            settings={**base.settings, **entry.settings},
        )
    return systems


def _set(values: dict[str, Any], key: str, value: Any, system: str) -> None:
    *sections, name = key.split(".")
    for section in sections:
        found = values.get(section)
        if not isinstance(found, dict):
            raise SystemsInvalid(
                f"System {system!r}: there is no section {section!r} of {key!r}.", hint="docs/CONFIG.md lists them."
            )
        values = found
    values[name] = value
