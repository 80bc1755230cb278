"""``asknotes status``: what is published."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from service.commands.console import print_json, printable, results
from service.commands.lazy import plain_app
from service.commands.options import ConfigOption, DataOption, JsonOption, settings_from
from service.published import published_status

app = plain_app()


@app.command()
def status(json: JsonOption = False, data: DataOption = None, config: ConfigOption = None) -> None:
    """Say what is published, after checking every file of it."""
    settings = settings_from(config, data)
    published = published_status(settings.data)
    if json:
        print_json(published)
        return
    table = Table(show_header=False, box=None)
    for name, value in published.items():
        table.add_row(name, printable(_text(value)))
    results().print(table)


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {item}" for key, item in value.items())
    if isinstance(value, list):
        return "\n".join(str(item) for item in value)
    return str(value)
