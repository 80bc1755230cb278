"""The pages of docs/ that are made from the code: openapi.json, CLI.md, CONFIG.md.

``python -m service.generated_docs`` writes them, ``--check`` exits 1 and names those that are stale.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.main import get_command

from index.progress import ProgressListener
from service.answering.ports import AnswerEngine, IndexOutcome
from service.cli import app
from service.commands.lazy import LazyGroup
from service.http.app import create_app
from service.settings import CONFIG_VARIABLE, ENVIRONMENT_PREFIX, Settings

_WIDTH = 100
_MADE_BY = "<!-- Made by `python -m service.generated_docs`; do not edit. -->"


def pages() -> Mapping[str, str]:
    """Return each generated page's content by its file name in docs/."""
    return {"openapi.json": openapi_page(), "CLI.md": cli_page(), "CONFIG.md": config_page()}


def openapi_page() -> str:
    """Return the OpenAPI description of the service."""
    described = create_app(_no_engine, Settings(), indexer=_no_indexer).openapi()
    return json.dumps(described, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def cli_page() -> str:
    """Return every command's help."""
    group = get_command(app)
    if not isinstance(group, LazyGroup):
        raise TypeError("the command line is a group of lazy commands")
    with typer.Context(group, info_name="asknotes", terminal_width=_WIDTH, max_content_width=_WIDTH) as context:
        first = _block("asknotes --help", group.get_help(context))
        blocks = [_MADE_BY, "# The command line", _cli_introduction(), first, *_commands(group, context)]
    return "\n\n".join(blocks) + "\n"


def _commands(group: LazyGroup, context: Any) -> Iterator[str]:
    """Yield heading and help of each command of a group, of groups inside of it too."""
    for name in group.lazy_commands:
        group.load(name)
        command = group.commands[name]
        path = f"{context.command_path} {name}"
        with typer.Context(
            command, info_name=name, parent=context, terminal_width=_WIDTH, max_content_width=_WIDTH
        ) as inner:
            yield f"## {path}"
            yield _block(f"{path} --help", command.get_help(inner))
            if isinstance(command, LazyGroup):
                yield from _commands(command, inner)


def config_page() -> str:
    """Return every setting with its type, default, bounds and variable."""
    blocks = [_MADE_BY, "# Settings", _config_introduction(), *_tables(Settings, ())]
    return "\n\n".join(blocks) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write the pages, or check them; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m service.generated_docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is stale")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="the folder of the pages")
    options = parser.parse_args(arguments)
    made = {options.docs / name: content for name, content in pages().items()}
    if not options.check:
        for path, content in made.items():
            path.write_text(content, encoding="utf-8")
        return 0
    stale = [
        path for path, content in made.items() if not path.is_file() or path.read_text(encoding="utf-8") != content
    ]
    for path in stale:
        sys.stderr.write(f"{path} is stale: run `python -m service.generated_docs`\n")
    return 1 if stale else 0


def _cli_introduction() -> str:
    return (
        "Results go to standard output, everything meant for people only to standard error. Exit status: 0 done, "
        "1 refused or failed (the message says what to do), 2 wrong usage, 130 interrupted."
    )


def _config_introduction() -> str:
    return (
        "Later sources win: the defaults below, the TOML file given by `--config` (or the variable "
        f"`{CONFIG_VARIABLE}`), environment variables, options. A setting's variable is `{ENVIRONMENT_PREFIX}` and its "
        "key in capitals with `__` for each dot: `server.port` is "
        f"`{ENVIRONMENT_PREFIX}SERVER__PORT`. A misspelt key or a value out of bounds is an error.\n\n"
        '```toml\ndata = "data"\nnotes = ["~/notes"]\n\n[index.encoder]\nmodel = "BAAI/bge-small-zh-v1.5"\n\n'
        "[server]\nport = 9000\n```"
    )


def _block(command: str, text: str) -> str:
    return f"```text\n$ {command}\n{text.strip()}\n```"


def _tables(section: type[BaseModel], path: tuple[str, ...]) -> Iterator[str]:
    own = {name: field for name, field in section.model_fields.items() if not _is_section(field.annotation)}
    if own:
        if path:
            yield f"## {'.'.join(path)}\n\n{(section.__doc__ or '').strip()}"
        rows = [_row(".".join((*path, name)), field) for name, field in own.items()]
        yield "\n".join(["| key | type | default | description |", "| --- | --- | --- | --- |", *rows])
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and _is_section(field.annotation):
            yield from _tables(field.annotation, (*path, name))


def _is_section(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _row(key: str, field: FieldInfo) -> str:
    allowed = _type_name(field.annotation) + _bounds(field.metadata)
    default = "unset" if field.default is None else f"`{_toml(field.default)}`"
    return f"| `{key}` | {allowed} | {default} | {field.description} |"


def _type_name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin in {Union, UnionType}:
        return " or ".join(_type_name(argument) for argument in arguments if argument is not NoneType)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}s"
    return {int: "integer", float: "number", bool: "true or false", str: "text", Path: "path"}[annotation]


def _bounds(metadata: list[Any]) -> str:
    words = []
    for bound in metadata:
        match bound:
            case Ge(ge=value):
                words.append(f"≥ {value}")
            case Gt(gt=value):
                words.append(f"> {value}")
            case Le(le=value):
                words.append(f"≤ {value}")
            case Lt(lt=value):
                words.append(f"< {value}")
            case MinLen(min_length=value) if value > 1:
                words.append(f"at least {value} characters")
            case MaxLen(max_length=value):
                words.append(f"at most {value} characters")
            case _:
                pass
    return f" ({', '.join(words)})" if words else ""


def _toml(value: object) -> str:
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)


def _no_engine() -> AnswerEngine:
    raise NotImplementedError("a description needs no engine")


def _no_indexer(*, full: bool, listener: ProgressListener) -> IndexOutcome:
    raise NotImplementedError("a description needs no indexer")


if __name__ == "__main__":
    sys.exit(main())
