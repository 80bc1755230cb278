"""What holds over the whole tree: imports, dangerous calls, nothing of one machine, dependencies and their locks."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PACKAGES = ("index", "ingest", "service", "eval")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

MAY_IMPORT = {
    "index": {"index"},
    "ingest": {"index", "ingest"},
    "service": {"index", "ingest", "service"},
    "eval": {"index", "ingest", "service", "eval"},
}

NEEDED_UNIMPORTED = {
    "accelerate": "transformers refuses a GGUF file without it",
    "gguf": "transformers reads GGUF files with it",
    "lxml-html-clean": "trafilatura's cleaner, an extra that older pips do not find",
    "onnxscript": "torch.onnx.export writes with it",
    "protobuf": "sentencepiece.sentencepiece_model_pb2 needs it",
}
COMES_WITH = {"pydantic-core": "pydantic"}  # pinned exactly by the other


def text_of(path: str | Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported_names(path: Path) -> set[str]:
    """The top-level names of everything that a module imports, at whatever depth of the code."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names.add(str(node.module).partition(".")[0])
    return names


# --- imports and dangerous calls


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_one_way(package: str) -> None:
    ours = {*PACKAGES, "tests"}
    wrong = {
        str(path.relative_to(ROOT)): upward
        for path in modules(package)
        if (upward := imported_names(path) & ours - MAY_IMPORT[package])
    }
    assert wrong == {}


UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
UNSAFE_BUILTINS = {"eval", "exec", "compile", "__import__"}
UNSAFE_ATTRIBUTES = {"torch.load", "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "os.system"}
MUST_BE = {"allow_pickle": False, "trust_remote_code": False, "shell": False, "weights_only": True}


def unsafe(source: str) -> list[str]:
    """What a module does that could run code out of data."""
    return [found for node in ast.walk(ast.parse(source)) for found in _unsafe_in(node)]


def _unsafe_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in UNSAFE_MODULES)
    elif isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in UNSAFE_MODULES:
        yield str(node.module)
    elif isinstance(node, ast.Name) and node.id in UNSAFE_BUILTINS:
        yield node.id
    elif ast.unparse(node) in UNSAFE_ATTRIBUTES or (isinstance(node, ast.keyword) and _is_permissive(node)):
        yield ast.unparse(node)


def _is_permissive(option: ast.keyword) -> bool:
    if option.arg not in MUST_BE:
        return False
    return not (isinstance(option.value, ast.Constant) and option.value.value is MUST_BE[option.arg])


def test_nothing_runs_code_out_of_data() -> None:
    found = {
        str(path.relative_to(ROOT)): calls
        for package in PACKAGES
        for path in modules(package)
        if (calls := unsafe(path.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "eval(text)",
        "torch.load(path)",
        "yaml.load(text, yaml.Loader)",
        "numpy.load(path, allow_pickle=True)",
        "numpy.load(path, allow_pickle=choice)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "subprocess.run(command, shell=True)",
    ],
)
def test_the_check_for_code_out_of_data_sees_each_kind(source: str) -> None:
    assert unsafe(source)
    assert not unsafe("re.compile(x); yaml.safe_load(text); numpy.load(path, allow_pickle=False)")


# --- nothing of the machine it was written on

MACHINE_PATH = re.compile(r"(?<![\w.~$}])/(?:root|home|Users|work|opt)/\w+")
ADDRESS = re.compile(r"\b(?:https?|ftp|git|file|ssh)://([^/\s:\"'`)>]*)")
HARMLESS_HOSTS = re.compile(
    r"127\.0\.0\.1|localhost|\[::1\]|\{\w+\}|(?:[\w-]+\.)*example\.(?:com|org|net)|a\.org|www\.w3\.org|"
)
TOP_FILES = ("*.md", "*.toml", "*.lock", "Makefile", ".*.yaml", ".gitignore", ".ci/run", "docker/*", "docs/**/*.md")


def project_texts() -> Iterator[Path]:
    for package in (*PACKAGES, "tests"):
        yield from modules(package)
    for pattern in TOP_FILES:
        yield from (path for path in ROOT.glob(pattern) if path.is_file())


def test_no_path_of_one_machine_is_written_down() -> None:
    found = {
        str(path.relative_to(ROOT)): paths for path in project_texts() if (paths := MACHINE_PATH.findall(text_of(path)))
    }
    assert found == {}


def test_no_registry_or_other_host_is_written_into_code_and_set_up() -> None:
    explained = {".md"}  # documentation may link
    found = {
        str(path.relative_to(ROOT)): hosts
        for path in project_texts()
        if path.suffix not in explained
        and (hosts := [host for host in ADDRESS.findall(text_of(path)) if not HARMLESS_HOSTS.fullmatch(host)])
    }
    assert found == {}


# --- dependencies and locks


def requirements(extra: str | None = None) -> dict[str, Requirement]:
    wanted = PROJECT["dependencies"] if extra is None else PROJECT["optional-dependencies"][extra]
    parsed = [Requirement(line) for line in wanted]
    return {canonicalize_name(requirement.name): requirement for requirement in parsed}


def pins(lock: str) -> dict[str, Version]:
    pinned: dict[str, Version] = {}
    for line in text_of(lock).splitlines():
        stated = line.partition("#")[0].strip()
        if stated:
            name, _, version = stated.partition("==")
            assert re.fullmatch(r"[a-z0-9-]+", name), f"{lock}: not an exact pin: {line}"
            pinned[name] = Version(version)
    return pinned


def test_what_is_imported_is_declared_and_what_is_declared_is_needed() -> None:
    providers = importlib.metadata.packages_distributions()
    names = {name for package in PACKAGES for path in modules(package) for name in imported_names(path)}
    foreign = names - set(PACKAGES) - sys.stdlib_module_names
    declared = set(requirements())
    imported = set()
    for name in sorted(foreign):
        candidates: set[str] = {canonicalize_name(provider) for provider in providers[name]}
        candidates = {COMES_WITH.get(candidate, candidate) for candidate in candidates}
        assert candidates & declared, f"{name} is imported, but none of {candidates} is in pyproject.toml"
        imported |= candidates & declared
    assert declared - imported == set(NEEDED_UNIMPORTED)


@pytest.mark.parametrize(("lock", "extra"), [("requirements.lock", None), ("requirements-dev.lock", "dev")])
def test_the_lock_has_a_pin_for_every_dependency(lock: str, extra: str | None) -> None:
    pinned = pins(lock)
    unsatisfied = {
        str(requirement)
        for name, requirement in (requirements() | (requirements(extra) if extra else {})).items()
        if name not in pinned or not requirement.specifier.contains(pinned[name])
    }
    assert unsatisfied == set(), "run `make lock`"


def test_tests_run_with_the_very_versions_that_the_service_runs_with() -> None:
    service = pins("requirements.lock")
    assert service.items() <= pins("requirements-dev.lock").items()


def test_torch_is_pinned_without_asking_for_one_of_its_builds() -> None:
    assert str(pins("requirements.lock")["torch"]) == "2.13.0"
    assert "TORCH := 2.13.0\n" in text_of("Makefile")
