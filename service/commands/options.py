"""Options that every command takes, and the settings they lead to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.answering.exchange import STAGES, Stage
from service.settings import CONFIG_VARIABLE, Settings, load_settings

DataOption = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Folder of the index; ./data unless configured.")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", envvar=CONFIG_VARIABLE, help="Settings, a TOML file.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
QueriesOption = Annotated[
    Path | None, typer.Option("--queries", metavar="Q.jsonl", help='A file with {"id", "question"} on each line.')
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="RUN.jsonl", help="Where the results of --queries go, a line each.")
]
StagesOnOption = Annotated[
    list[str] | None,
    typer.Option("--with", metavar="STAGE", help=f"Switch a stage on the question on: {', '.join(STAGES)}."),
]
StagesOffOption = Annotated[
    list[str] | None, typer.Option("--without", metavar="STAGE", help="Switch a stage on the question off.")
]


def stages_from(switched_on: list[str] | None, switched_off: list[str] | None) -> dict[Stage, bool]:
    """Return which stages the options switch; raises typer.BadParameter for one that there is not."""
    switches = {**dict.fromkeys(switched_off or (), False), **dict.fromkeys(switched_on or (), True)}
    unknown = [name for name in switches if name not in STAGES]
    if unknown:
        raise typer.BadParameter(f"There is no stage {unknown[0]!r}. Choose of: {', '.join(STAGES)}.")
    return {stage: switches[stage] for stage in STAGES if stage in switches}


def settings_from(config: Path | None, data: Path | None, **overrides: object) -> Settings:
    """Load the settings with what the options say; raises ConfigInvalid."""
    return load_settings(config, data=data, **overrides)
