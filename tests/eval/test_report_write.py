from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from eval.report.write import write_report
from index.errors import StorageFailed
from tests.eval import small_results


def test_three_files_in_a_folder_that_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "report"

    files = write_report(folder, retrieval=small_results.retrieval(), sweep=small_results.sweep())

    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.md", "results.json"]
    assert files.html.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert files.markdown.read_text(encoding="utf-8").startswith("# Evaluation")


def test_json_holds_every_kind_in_full(tmp_path: Path) -> None:
    files = write_report(
        tmp_path,
        retrieval=small_results.retrieval(),
        sweep=small_results.sweep(),
        ann=small_results.ann(),
        answers=small_results.answers(),
    )

    read = json.loads(files.json.read_text(encoding="utf-8"))
    given = {
        "retrieval": small_results.retrieval().as_json(),
        "sweep": small_results.sweep().as_json(),
        "ann": small_results.ann().as_json(),
        "answers": small_results.answers().as_json(),
    }
    assert read == json.loads(json.dumps(given))  # tuples are lists in JSON
    assert read["retrieval"]["gold"]["questions"]["Q1"]["text"] == "为什么要除以根号 $d_k$？"


def test_writing_again_replaces_and_equal_results_give_equal_bytes(tmp_path: Path) -> None:
    files = write_report(tmp_path, ann=small_results.ann())
    before = [path.read_bytes() for path in (files.html, files.markdown, files.json)]
    write_report(tmp_path, retrieval=small_results.retrieval())
    write_report(tmp_path, ann=small_results.ann())

    assert [path.read_bytes() for path in (files.html, files.markdown, files.json)] == before
    assert len(list(tmp_path.iterdir())) == 3


def test_half_a_character_is_written_as_its_escape(tmp_path: Path) -> None:
    results = small_results.retrieval()
    broken = replace(results, notices=["half \ud83d"])

    files = write_report(tmp_path, retrieval=broken)

    assert "half \\ud83d" in files.html.read_text(encoding="utf-8")
    assert json.loads(files.json.read_text(encoding="utf-8"))["retrieval"]["notices"] == ["half \ud83d"]


def test_a_folder_that_cannot_be_written_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")

    with pytest.raises(StorageFailed, match="Writing the report failed") as refused:
        write_report(tmp_path / "file", ann=small_results.ann())

    assert "--report" in refused.value.hint


def test_a_report_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no results"):
        write_report(tmp_path)

    assert list(tmp_path.iterdir()) == []
