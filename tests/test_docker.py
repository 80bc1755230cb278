"""The image files, checked without an engine: against the project, the settings, and by running their scripts."""

from __future__ import annotations

import fnmatch
import http.server
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import ENVIRONMENT_PREFIX, Settings, load_settings
from tests.test_project import PACKAGES, PROJECT, ROOT, text_of


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (INSTRUCTION, rest), continued lines joined."""
    lines = [line for line in text_of("docker/Dockerfile").splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    parts = [line.partition(" ") for line in joined.splitlines() if line.strip()]
    return [(name, rest.strip()) for name, _, rest in parts]


def stated(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def image_environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for rest in stated("ENV") for pair in shlex.split(rest))


def copied() -> set[str]:
    own = [shlex.split(rest) for rest in stated("COPY") if "--from=" not in rest]
    return {source for words in own for source in [word for word in words if not word.startswith("--")][:-1]}


def compose(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(text_of(f"docker/{name}"))
    return loaded


def set_environment(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> Settings:
    for name in list(os.environ):
        if name.startswith(ENVIRONMENT_PREFIX):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def test_the_image_holds_every_package_and_what_installing_them_needs() -> None:
    ours = {package for package in PACKAGES if (ROOT / package / "__init__.py").exists()}
    assert copied() >= ours | {"pyproject.toml", "requirements.lock", PROJECT["readme"], *PROJECT["license-files"]}
    assert all((ROOT / source).exists() for source in copied())


def test_the_build_is_given_exactly_what_it_copies() -> None:
    patterns = [line for line in text_of("docker/Dockerfile.dockerignore").splitlines() if line[:1] not in {"#", ""}]
    assert patterns[0] == "*"
    assert {pattern[1:] for pattern in patterns if pattern.startswith("!")} == copied()
    assert not any(fnmatch.fnmatch(source, pattern) for source in copied() for pattern in patterns[1:])


def test_the_image_has_the_locks_python_and_the_locks_versions() -> None:
    (base,) = [rest.partition("=")[2] for rest in stated("ARG") if rest.startswith("BASE_IMAGE=")]
    version = re.fullmatch(r"python:([\d.]+)-slim-\w+", base)
    assert version is not None
    assert f"on Python {version[1]};" in text_of("requirements.lock").splitlines()[0]
    installs = [rest for rest in stated("RUN") if "pip install" in rest]
    assert "--requirement requirements.lock" in installs[0]
    assert "--no-deps --no-build-isolation" in installs[-1]


def test_the_build_is_for_the_cpu_unless_told_and_checks_a_cuda_one() -> None:
    assert "DEVICE=cpu" in stated("ARG")
    check = re.search(r'if \[ "\$DEVICE" = cuda \]; then\s+/venv/bin/python -c "([^"]+)"', "\n".join(stated("RUN")))
    assert check is not None
    for version, message in [("13.0", ""), (None, "This PyTorch has no CUDA")]:
        version_module = f"types.SimpleNamespace(cuda={version!r})"
        torch = f"import sys, types; sys.modules['torch'] = types.SimpleNamespace(version={version_module})"
        ended = subprocess.run(
            [sys.executable, "-c", f"{torch}\n{check[1]}"], capture_output=True, text=True, check=False
        )
        assert ended.stderr.startswith(message)
        assert (ended.returncode != 0) == bool(message)


def test_the_container_runs_without_privileges() -> None:
    assert stated("USER") == ["asknotes"]
    after_user = instructions()[instructions().index(("USER", "asknotes")) :]
    assert not [rest for name, rest in after_user if name == "COPY"]
    service = compose("compose.yml")["services"]["asknotes"]
    assert service["cap_drop"] == ["ALL"]
    assert "privileged" not in service


def test_the_images_settings_are_accepted_and_lead_to_its_volumes_and_port(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {name: value for name, value in image_environment().items() if name.startswith(ENVIRONMENT_PREFIX)}
    settings = set_environment(monkeypatch, environment)
    assert settings.notes is not None
    kept = json.loads(stated("VOLUME")[0])
    assert kept == [str(settings.data), str(settings.index.models_cache)]
    assert settings.server.host == "0.0.0.0"  # noqa: S104 — inside a container; compose publishes it on loopback only
    assert stated("EXPOSE") == [str(settings.server.port)]

    service = compose("compose.yml")["services"]["asknotes"]
    mounts = dict(reversed(volume.removesuffix(":ro").rsplit(":", 1)) for volume in service["volumes"])
    assert set(mounts) == {*kept, str(settings.notes[0])}
    assert {mounts[folder] for folder in kept} == set(compose("compose.yml")["volumes"])
    assert [volume for volume in service["volumes"] if volume.endswith(f":{settings.notes[0]}:ro")]
    (published,) = service["ports"]
    assert published.startswith("127.0.0.1:")
    assert published.endswith(f":{settings.server.port}")


def test_compose_builds_this_dockerfile_and_lets_running_answers_end() -> None:
    service = compose("compose.yml")["services"]["asknotes"]
    build = service["build"]
    assert (ROOT / "docker" / build["context"] / build["dockerfile"]).resolve() == ROOT / "docker" / "Dockerfile"
    arguments = {rest.partition("=")[0] for rest in stated("ARG")}
    assert set(build["args"]) <= arguments
    assert int(service["stop_grace_period"].removesuffix("s")) > Settings().server.shutdown_grace_s
    cuda = compose("compose.cuda.yml")["services"]["asknotes"]
    assert cuda["build"]["args"] == {"DEVICE": "cuda"}
    assert cuda["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]


def docker_compose_is_there() -> bool:
    return (
        shutil.which("docker") is not None
        and not subprocess.run(["docker", "compose", "version"], check=False).returncode
    )


@pytest.mark.skipif(not docker_compose_is_there(), reason="docker compose is not installed")
@pytest.mark.parametrize("files", [["compose.yml"], ["compose.yml", "compose.cuda.yml"]])
def test_docker_compose_reads_the_files(files: list[str]) -> None:
    named = [word for name in files for word in ("-f", f"docker/{name}")]
    subprocess.run(["docker", "compose", *named, "config", "--quiet"], cwd=ROOT, check=True)


class Health(http.server.BaseHTTPRequestHandler):
    """A service that is alive at /healthz and nowhere else."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_the_health_check_tells_a_living_service_from_a_dead_one() -> None:
    check = json.loads(stated("HEALTHCHECK")[0].partition(" CMD ")[2])
    assert check[0] == "python"
    with http.server.HTTPServer(("127.0.0.1", 0), Health) as server:
        environment = {**os.environ, "ASKNOTES_SERVER__PORT": str(server.server_port)}
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        assert subprocess.run([sys.executable, *check[1:]], env=environment, check=False).returncode == 0
        answering.join()
    dead = subprocess.run([sys.executable, *check[1:]], env=environment, capture_output=True, check=False)
    assert dead.returncode != 0


def entered(tmp_path: Path, arguments: list[str], *, failing: str = "none") -> tuple[int, list[str]]:
    """Run the image's entry with an ``asknotes`` that writes down how it is called: exit status and calls."""
    calls = tmp_path / "calls"
    fake = tmp_path / "asknotes"
    fake.write_text(f'#!/bin/sh\necho "$*" >> "{calls}"\ntest "$1" != {failing}\n')
    fake.chmod(0o755)
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.defpath}"}
    ended = subprocess.run(
        ["sh", ROOT / "docker/entry.sh", *arguments], env=environment, capture_output=True, check=False
    )
    return ended.returncode, calls.read_text().splitlines()


def test_the_entry_fetches_indexes_and_serves(tmp_path: Path) -> None:
    assert entered(tmp_path, ["serve", "--port", "9"]) == (0, ["models --fetch", "index", "serve --port 9"])


def test_notes_that_cannot_be_indexed_do_not_stop_the_service(tmp_path: Path) -> None:
    assert entered(tmp_path, ["serve"], failing="index") == (0, ["models --fetch", "index", "serve"])


def test_missing_weights_stop_the_service(tmp_path: Path) -> None:
    assert entered(tmp_path, ["serve"], failing="models") == (1, ["models --fetch"])


def test_any_other_command_is_run_as_it_is(tmp_path: Path) -> None:
    assert entered(tmp_path, ["status", "--json"]) == (0, ["status --json"])
