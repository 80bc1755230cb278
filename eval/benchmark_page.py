"""The tables of docs/benchmarks.md that are made from baselines, so that page and gate cannot disagree.

``python -m eval.benchmark_page`` writes them between their marks, ``--check`` exits 1 and names what is stale. A
baseline is held against what is really reached by ``asknotes eval retrieval --baseline``, in CI too.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from eval.gate import GATED, Baseline, read_baseline

PAGE = Path("docs/benchmarks.md")
BASELINES = Path("docs/baselines")


def table(baseline: Baseline) -> str:
    """Return a baseline as a Markdown table, the best figure of each column in bold."""
    best = {measure: max(system.figures[measure] for system in baseline.systems.values()) for measure in GATED}
    lines = [
        f"| system | {' | '.join(GATED)} | mean chunk, characters | chunks |",
        f"| --- |{' --- |' * (len(GATED) + 2)}",
    ]
    for name, system in baseline.systems.items():
        figures = [
            f"**{system.figures[measure]:.3f}**"
            if system.figures[measure] == best[measure]
            else f"{system.figures[measure]:.3f}"
            for measure in GATED
        ]
        lines.append(f"| {name} | {' | '.join(figures)} | {system.mean_chunk_chars:.0f} | {system.chunks} |")
    return "\n".join([*lines, "", f"{baseline.questions} answerable questions; one is {1 / baseline.questions:.3f}."])


def filled(page: str, baselines: Path) -> str:
    """Return the page with every marked table made anew; BaselineInvalid, or ValueError for no such marks."""
    marks = re.compile(r"(<!-- baseline: ([\w-]+) -->\n).*?(\n<!-- end -->)", re.DOTALL)
    if not marks.search(page):
        raise ValueError("the page has no place for a table")
    return marks.sub(
        lambda match: match[1] + table(read_baseline(baselines / f"{match[2]}.json")) + match[3],
        page,
    )


def main(arguments: list[str] | None = None) -> int:
    """Write the tables, or check them; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m eval.benchmark_page", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a table is stale")
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--baselines", type=Path, default=BASELINES)
    options = parser.parse_args(arguments)
    before = options.page.read_text(encoding="utf-8")
    after = filled(before, options.baselines)
    if not options.check:
        options.page.write_text(after, encoding="utf-8")
        return 0
    if before != after:
        sys.stderr.write(f"{options.page} is stale: run `python -m eval.benchmark_page`\n")
    return int(before != after)


if __name__ == "__main__":
    sys.exit(main())
