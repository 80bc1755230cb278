"""What the pages, the Makefile and the image's entry call exists: targets, commands, options, routes."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from service.cli import app
from service.commands.lazy import LazyGroup
from tests.test_project import ROOT, text_of

ROUTE = re.compile(r"/(?:v1/[\w/.-]+|healthz|readyz|metrics)")


def shell_lines(text: str) -> Iterator[str]:
    """The commands in a page's fenced blocks, an open quote's lines joined; of console blocks those after a prompt."""
    for language, block in re.findall(r"^```(sh|bash|shell|console)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        begun = ""
        for line in block.replace("\\\n", " ").splitlines():
            if language == "console" and not begun and not line.startswith("$ "):
                continue
            begun += line.removeprefix("$ ")
            if is_whole(begun):
                yield begun
                begun = ""
            else:
                begun += "\n"
        assert not begun, f"a quote is left open: {begun}"


def is_whole(command: str) -> bool:
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return False
    return True


def documented_commands() -> list[str]:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    return [line for page in pages if page.name != "CLI.md" for line in shell_lines(page.read_text(encoding="utf-8"))]


def called(line: str, program: str) -> list[list[str]]:
    """The arguments of each call of ``program`` in a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(lexer)
    starts = [
        at + 1
        for at, word in enumerate(words)
        if Path(word).name == program and (at == 0 or words[at - 1] in {"&&", "||", ";", "|", "exec", "if"})
    ]
    ends = {"&&", "||", ";", "|", "&", ">", ">>", "<", ">&"}
    return [words[start : next((at for at in range(start, len(words)) if words[at] in ends), None)] for start in starts]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", text_of("Makefile"), flags=re.MULTILINE))


def accepted_options(words: Sequence[str]) -> set[str]:
    group: Any = get_command(app)
    for command in words:
        with typer.Context(group) as context:
            if command in group.lazy_commands:
                group.load(command)
            found = group.get_command(context, command)
        assert found is not None, f"there is no `asknotes {shlex.join(words)}`"
        group = found
        if not isinstance(found, LazyGroup):
            break
    return {"--help"} | {option for parameter in group.params for option in parameter.opts + parameter.secondary_opts}


def test_commands_are_found_in_the_shapes_that_pages_have() -> None:
    page = """```console
$ make demo && .venv/bin/asknotes ask "FAISS 是什么"   # don't wait
FAISS ...
```
```sh
curl -d '{
  "question": "x"}' http://127.0.0.1:8000/v1/ask | jq .
```"""
    first, second = shell_lines(page)
    assert (called(first, "make"), called(first, "asknotes")) == ([["demo"]], [["ask", "FAISS 是什么"]])
    assert ROUTE.findall(second) == ["/v1/ask"]


def test_the_readme_names_the_two_commands_that_do_everything() -> None:
    lines = list(shell_lines(text_of("README.md")))
    assert {"make demo", "make test"} <= set(lines)


def test_every_make_target_that_a_page_names_exists() -> None:
    named = {target for line in documented_commands() for words in called(line, "make") for target in words[:1]}
    inline = set(re.findall(r"`make ([a-z]+)", text_of("README.md")))
    assert named | inline <= make_targets()


def asknotes_calls() -> list[list[str]]:
    makefile = re.sub(r"\\\n\s*", "", text_of("Makefile")).replace("$(BIN)/", "").splitlines()
    recipes = [line.lstrip("\t@") for line in makefile if line.startswith("\tasknotes")]
    entry = [
        line.strip() for line in text_of("docker/entry.sh").splitlines() if "asknotes " in line and "#" not in line
    ]
    return [words for line in [*documented_commands(), *recipes, *entry] for words in called(line, "asknotes")]


def test_every_call_of_asknotes_in_pages_makefile_and_entry_is_one_it_accepts() -> None:
    calls = [words for words in asknotes_calls() if words[0] != "$@"]
    assert ["index", "notes"] in calls
    for words in calls:
        options = {word.partition("=")[0] for word in words[1:] if word.startswith("-")}
        assert options <= accepted_options(words), f"asknotes {shlex.join(words)}"


def test_every_route_that_a_page_names_is_served() -> None:
    served = [re.sub(r"\{\w+\}", "[^/]+", path) for path in json.loads(text_of("docs/openapi.json"))["paths"]]
    named = {path.rstrip("/.") for line in documented_commands() for path in re.findall(ROUTE, line)}
    assert {path for path in named if not any(re.fullmatch(pattern, path) for pattern in served)} == set()
