"""Options that every command takes, and the settings they lead to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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


def settings_from(config: Path | None, data: Path | None, **overrides: object) -> Settings:
    """Load the settings with what the options say; raises ConfigInvalid."""
    return load_settings(config, data=data, **overrides)
