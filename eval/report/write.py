"""Results into a folder: a page for people, Markdown, and JSON with everything."""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass
from pathlib import Path

from eval.answers.results import AnswerResults
from eval.report.markdown import markdown_page
from eval.report.page import html_page
from eval.results import AnnResults, RetrievalResults, SweepResults
from index.durable import make_folder, replace_file
from index.errors import StorageFailed


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where the report was written."""

    html: Path
    markdown: Path
    json: Path


def write_report(
    folder: Path,
    *,
    retrieval: RetrievalResults | None = None,
    sweep: SweepResults | None = None,
    ann: AnnResults | None = None,
    answers: AnswerResults | None = None,
    command: str | None = None,
) -> ReportFiles:
    """Write report.html, report.md and results.json, each atomically; the folder is made if it is missing.

    results.json is one object with the results by kind (``retrieval``, ``sweep``, ``ann``, ``answers``), those that
    there are. ``command`` is the command line that made them; without it, one that would is shown. Nothing is written
    unless all three could be made. Raises ValueError without any result, StorageFailed where the folder cannot be
    written.
    """
    given = {"retrieval": retrieval, "sweep": sweep, "ann": ann, "answers": answers}
    found = {kind: results.as_json() for kind, results in given.items() if results is not None}
    if not found:
        raise ValueError("a report of no results")
    files = ReportFiles(folder / "report.html", folder / "report.md", folder / "results.json")
    contents = {
        files.html: html_page(retrieval=retrieval, sweep=sweep, ann=ann, answers=answers, command=command),
        files.markdown: markdown_page(retrieval=retrieval, sweep=sweep, ann=ann, answers=answers, command=command),
        files.json: json.dumps(found, ensure_ascii=False, allow_nan=False, indent=1) + "\n",
    }
    try:
        make_folder(folder)
        for path, content in contents.items():
            # Half a character of a broken file is shown as its escape, which in JSON is what it stands for.
            replace_file(path, content.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise StorageFailed(f"Writing the report failed: {error}", hint=_remedy(error, folder)) from error
    return files


def _remedy(error: OSError, folder: Path) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "The disk is full: free some space or choose another folder with --report."
    return f"Check that {folder} is a folder that can be written, or choose another with --report."
