"""Options that several evaluations share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

GoldOption = Annotated[
    Path, typer.Option("--gold", metavar="G.jsonl", help="Questions with quotes as evidence, one JSON object a line.")
]
NotesOption = Annotated[
    list[Path] | None,
    typer.Option("--notes", metavar="PATH", help="The notes; repeatable. Those of the published index unless given."),
]
ReportOption = Annotated[
    Path | None,
    typer.Option("--report", metavar="DIR", help="Write report.html, report.md, results.json and what was run there."),
]
SystemsFileOption = Annotated[
    Path | None, typer.Option("--systems-file", metavar="FILE", help="More systems, a TOML file (docs/EVAL.md).")
]
