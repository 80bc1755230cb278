"""One strict, frozen settings object, read once at the edge from a TOML file, the environment and options.

Later sources win: defaults, the file given by ``--config``, ``ASKNOTES_*`` variables (``ASKNOTES_SERVER__PORT``
is ``server.port``), command-line options. A misspelt key or a number out of range is refused with the place
where it stands; nothing is ignored.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from index.config import IndexConfig, Section
from index.errors import ConfigInvalid
from ingest.config import IngestConfig
from service.answering.config import AnsweringConfig

ENVIRONMENT_PREFIX = "ASKNOTES_"
CONFIG_VARIABLE = "ASKNOTES_CONFIG"
"""Names the config file when ``--config`` does not; the only variable that is not a setting."""

_HINT = "docs/CONFIG.md lists every setting with what it allows."


def _split_paths(value: object) -> object:
    return value.split(os.pathsep) if isinstance(value, str) else value


UserPath = Annotated[Path, AfterValidator(Path.expanduser)]
"""A path in which ``~`` is the home folder."""


class ServerConfig(Section):
    """The HTTP service: where it listens and how much it takes on."""

    host: str = Field(
        default="127.0.0.1", min_length=1, description="Address to listen on; the default is this machine only."
    )
    port: int = Field(default=8000, ge=0, le=65_535, description="Port to listen on; 0 takes any free one.")
    max_body_bytes: int = Field(
        default=1_000_000, ge=1_024, le=1_000_000_000, description="Largest request body, counted as it arrives, bytes."
    )
    max_question_chars: int = Field(default=2_000, ge=1, le=100_000, description="Longest question, characters.")
    max_history_turns: int = Field(default=20, ge=0, le=1_000, description="Most earlier messages with a question.")
    max_history_chars: int = Field(
        default=20_000, ge=0, le=1_000_000, description="Longest history, all messages together, characters."
    )
    max_top_k: int = Field(default=100, ge=1, le=1_000, description="Most hits a request may ask for.")
    max_deadline_s: float = Field(default=600.0, gt=0, le=86_400, description="Longest deadline of a request, seconds.")
    concurrency: int = Field(default=2, ge=1, le=1_024, description="Questions and searches worked on at once.")
    queue: int = Field(
        default=16, ge=0, le=100_000, description="Questions and searches that may wait; beyond, 429 with Retry-After."
    )
    retry_after_s: int = Field(default=5, ge=1, le=3_600, description="The Retry-After of a 429, seconds.")
    refresh_s: float = Field(
        default=5.0,
        ge=0.1,
        le=3_600,
        description="How often to look for a snapshot published by another process, and to try again to open models "
        "or an index that were missing, seconds.",
    )
    shutdown_grace_s: int = Field(
        default=30, ge=0, le=3_600, description="How long SIGTERM waits for running requests, seconds."
    )
    jobs_kept: int = Field(default=50, ge=1, le=10_000, description="Finished jobs that can still be looked up.")


class Settings(BaseSettings):
    """Everything that can be set. Built by :func:`load_settings`; calling it directly reads no file and no variable."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="__",
        nested_model_default_partial_update=False,
    )

    data: UserPath = Field(default=Path("data"), description="Folder of the index: snapshots and caches.")
    notes: Annotated[tuple[UserPath, ...] | None, NoDecode, BeforeValidator(_split_paths)] = Field(
        default=None,
        description="Folders and files that `asknotes index` without a path and `POST /v1/index` read; unset: those of "
        "the published snapshot. In the environment, separated by `:`.",
    )
    index: IndexConfig = IndexConfig()
    ingest: IngestConfig = IngestConfig()
    answering: AnsweringConfig = AnsweringConfig()
    server: ServerConfig = ServerConfig()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 — the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 — read by load_settings, which remembers what came from where
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 — not used
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 — not used
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed in: load_settings reads the sources itself, to name the one that is wrong."""
        return (init_settings,)


def load_settings(config: Path | None = None, **overrides: object) -> Settings:
    """Read the settings: defaults, then ``config`` (TOML), then the environment, then ``overrides``.

    ``overrides`` are top-level settings, sections as dicts (``server={"port": 9000}``); a value of None means
    "not given". Raises ConfigInvalid naming the file, variable or option, the key, and what is allowed there.
    """
    sources = [_options(overrides), _environment()]
    if config is not None:
        sources.append(_file(config))
    values: dict[str, Any] = {}
    for source in reversed(sources):
        values = _merged(values, source.values)
    try:
        return Settings(**values)
    except ValidationError as error:
        problems = [_problem(details, sources) for details in error.errors(include_url=False)]
        raise ConfigInvalid("\n".join(problems), hint=_HINT) from error


@dataclass(frozen=True, slots=True)
class _Source:
    """Values of one origin; ``name`` is put before a key in error messages (``{key}`` and ``{variable}`` filled in)."""

    name: str
    values: Mapping[str, Any]

    def describe(self, path: tuple[str, ...]) -> str:
        variable = ENVIRONMENT_PREFIX + "__".join(path).upper()
        return self.name.format(key=".".join(path), variable=variable)

    def holds(self, path: tuple[str, ...]) -> bool:
        value: Any = self.values
        for part in path:
            if not isinstance(value, Mapping) or part not in value:
                return False
            value = value[part]
        return True


def _options(overrides: Mapping[str, object]) -> _Source:
    return _Source("option {key}", _without_none(overrides))


def _environment() -> _Source:
    for variable in sorted(os.environ):
        first = variable.upper().removeprefix(ENVIRONMENT_PREFIX).split("__")[0].lower()
        if not variable.upper().startswith(ENVIRONMENT_PREFIX) or variable.upper() == CONFIG_VARIABLE:
            continue
        if first not in Settings.model_fields:
            raise ConfigInvalid(f"environment variable {variable}: {_unknown(first, Settings)}", hint=_HINT)
    try:
        return _Source("environment variable {variable}", EnvSettingsSource(Settings)())
    except SettingsError as error:
        raise ConfigInvalid(
            f"environment: {error}",
            hint="A whole section in one variable must be JSON; set single keys instead: ASKNOTES_SERVER__PORT.",
        ) from error


def _file(path: Path) -> _Source:
    try:
        values = tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise ConfigInvalid(
            f"{path}: cannot be read: {error.strerror}", hint="Check the path given to --config."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{path}: is not UTF-8 text", hint="A config file is TOML in UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(f"{path}: is not TOML: {error}", hint=_HINT) from error
    escaped = str(path).replace("{", "{{").replace("}", "}}")
    return _Source(f"{escaped}: {{key}}", values)


def _without_none(values: Mapping[str, object]) -> dict[str, object]:
    kept = {key: _without_none(value) if isinstance(value, Mapping) else value for key, value in values.items()}
    return {key: value for key, value in kept.items() if value is not None}


def _merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def _problem(details: ErrorDetails, sources: list[_Source]) -> str:
    path = tuple(str(part) for part in details["loc"])
    place = next((source.describe(path) for source in sources if source.holds(path)), ".".join(path))
    if details["type"] == "extra_forbidden":
        return f"{place}: {_unknown(path[-1], _section(path[:-1]))}"
    return f"{place}: {details['msg']}, not {details['input']!r}"


def _unknown(key: str, section: type[BaseModel]) -> str:
    names = list(section.model_fields)
    close = difflib.get_close_matches(key, names, n=1)
    guess = f" Did you mean `{close[0]}`?" if close else ""
    return f"no such setting.{guess} Allowed here: {', '.join(names)}"


def _section(path: tuple[str, ...]) -> type[BaseModel]:
    """Return the config section at a path; Settings where the path leads into none."""
    section: type[BaseModel] = Settings
    for part in path:
        field = section.model_fields.get(part)
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return section
        section = field.annotation
    return section
