"""``asknotes models``: which models are configured, and getting their weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from index import weights
from index.encoder import choose_device
from index.errors import ConfigInvalid, WeightsCorrupt, WeightsMissing
from service.commands.console import DownloadBars, messages, printable, results
from service.commands.lazy import plain_app
from service.commands.options import ConfigOption, DataOption, settings_from
from service.settings import Settings

app = plain_app()


@dataclass(frozen=True, slots=True)
class _ConfiguredModel:
    role: str
    name: str
    device: str


@app.command()
def models(
    name: Annotated[
        str | None,
        typer.Argument(help="With --fetch: a bundled model, or a part of its name; none: the configured ones."),
    ] = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Download weights, check and convert them.")] = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Say which models are configured, where their weights are, on which device they run, and their licence."""
    if name is not None and not fetch:
        raise typer.BadParameter("A name is for --fetch.")
    settings = settings_from(config, data)
    cache = weights.cache_folder(settings.index.models_cache)
    if fetch:
        _fetch(_wanted(name, settings), cache)
    results().print(_table(settings, cache))


def _configured(settings: Settings) -> Iterator[_ConfiguredModel]:
    device = choose_device(settings.index.encoder.device)
    yield _ConfiguredModel("encoder", settings.index.encoder.model, device)
    if settings.answering.model is not None:
        yield _ConfiguredModel("language model", settings.answering.model, choose_device("auto"))


def _wanted(name: str | None, settings: Settings) -> list[str]:
    if name is None:
        return [model.name for model in _configured(settings) if weights.is_bundled(model.name)]
    part = name.removeprefix(weights.PREFIX)
    matching = [part] if part in weights.BUNDLED else [known for known in weights.BUNDLED if part in known]
    if len(matching) != 1:
        raise ConfigInvalid(
            f"{name!r} names {'none' if not matching else 'more than one'} of the bundled models.",
            hint=f"The bundled ones are {', '.join(weights.BUNDLED)}.",
        )
    return [weights.PREFIX + matching[0]]


def _fetch(names: list[str], cache: Path) -> None:
    for name in names:
        with DownloadBars() as bars:
            weights.ensure(name, cache=cache, progress=bars)
        messages().print(f"{name} is ready", soft_wrap=True)
    if not names:
        messages().print("No bundled model is configured; others are loaded from their folder or hub.", soft_wrap=True)


def _table(settings: Settings, cache: Path) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("role", "model", "weights", "device", "licence"):
        table.add_column(heading, overflow="fold")
    for model in _configured(settings):
        where, licence = _weights(model.name, cache)
        table.add_row(model.role, printable(model.name), where, model.device, licence)
    return table


def _weights(name: str, cache: Path) -> tuple[str, str]:
    """Say where a model's weights are, and its licence."""
    try:
        resolved = weights.resolve(name, cache=cache)
    except (WeightsMissing, WeightsCorrupt) as error:
        return printable(f"{error.message}: {error.hint}"), "unknown" if not weights.is_bundled(name) else _licence(
            name
        )
    return printable(resolved.location), printable(resolved.licence)


def _licence(name: str) -> str:
    return weights.BUNDLED[name.removeprefix(weights.PREFIX)].licence
