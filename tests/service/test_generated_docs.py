from __future__ import annotations

import json
from pathlib import Path

import pytest

from service.generated_docs import config_page, main, openapi_page, pages

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", ["openapi.json", "CLI.md", "CONFIG.md"])
def test_the_committed_page_is_what_the_code_says(name: str) -> None:
    stale = "stale: run `python -m service.generated_docs`"
    assert (DOCS / name).read_text(encoding="utf-8") == pages()[name], stale


def test_check_fails_on_a_stale_page_and_writing_mends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", "--docs", str(tmp_path)]) == 1
    assert main(["--docs", str(tmp_path)]) == 0
    assert main(["--check", "--docs", str(tmp_path)]) == 0
    capsys.readouterr()
    (tmp_path / "CLI.md").write_text("old")
    assert main(["--check", "--docs", str(tmp_path)]) == 1
    assert "CLI.md is stale" in capsys.readouterr().err


def test_every_operation_has_a_summary_an_example_and_the_one_error_shape() -> None:
    described = json.loads(openapi_page())
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            for status, response in operation["responses"].items():
                content = response.get("content", {})
                if int(status) >= 400:
                    schema = content["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (method, path, status)
                assert content
                assert all("example" in kind for kind in content.values()), (method, path, status)


def test_every_setting_is_described() -> None:
    page = config_page()
    for key in ("data", "notes", "index.encoder.model", "ingest.chunker.target_tokens", "server.port"):
        assert f"| `{key}` |" in page
    assert "None |" not in page
