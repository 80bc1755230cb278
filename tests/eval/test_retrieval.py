"""A whole evaluation over small notes: figures, comparisons, saved runs, the gate; and what it refuses to measure."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import ir_measures
import pytest
from ir_measures import RR, Success

from eval.gate import GATED, BaselineInvalid, falls, make_baseline, read_baseline, write_baseline
from eval.gold import GoldInvalid, read_gold
from eval.indexes import NotesChanged
from eval.results import ALL, Figure, RetrievalResults
from eval.retrieval import evaluate_retrieval
from eval.run import SystemRun
from eval.systems import choose_systems
from eval.trec import file_names, save_runs
from index.errors import AsknotesError, IndexMissing
from index.progress import Unheard
from index.snapshot import snapshot_names
from tests.eval.small_notes import QUESTIONS, TeaNotes, question, read_lines, reference_scorer, write_lines

FOUR = "lexical,dense,hybrid,hybrid+late"


def evaluated(tea: TeaNotes, systems: str = FOUR) -> tuple[RetrievalResults, list[SystemRun]]:
    return evaluate_retrieval(
        read_gold(tea.gold), choose_systems(systems.split(",")), tea.settings, notes=(), listener=Unheard()
    )


class TestFigures:
    def test_they_are_the_reference_scorers_on_the_saved_runs_to_the_last_digit(
        self, tea: TeaNotes, tmp_path: Path
    ) -> None:
        found, runs = evaluated(tea)
        save_runs(tmp_path / "report", runs, read_gold(tea.gold), found.provenance)
        score = reference_scorer()
        for system, name in zip(found.systems, file_names(FOUR.split(",")), strict=True):
            saved = read_lines(tmp_path / "report" / "runs" / f"{name}.jsonl")
            table, extra = score.evaluate(read_lines(tea.gold), {row["id"]: row for row in saved})
            assert extra["missing"] == []
            assert system.mean_chunk_chars == extra["mean_chunk_chars"]
            for slice_name, figures in system.figures.items():
                kind, _, value = slice_name.partition(":")
                expected = table[{"all": "ALL", "type": value, "language": f"lang:{value}"}[kind]]
                assert expected.pop("n") == figures["hit@1"].n
                assert {measure: figures[measure].mean for measure in expected} == expected

    def test_any_trec_tool_gets_the_same_from_the_trec_files(self, tea: TeaNotes, tmp_path: Path) -> None:
        found, runs = evaluated(tea, "hybrid+late")
        save_runs(tmp_path, runs, read_gold(tea.gold), found.provenance)
        folder = tmp_path / "runs"
        judged = list(ir_measures.read_trec_qrels(str(folder / "hybrid+late.qrels")))
        ranked = list(ir_measures.read_trec_run(str(folder / "hybrid+late.trec")))
        figures = found.systems[0].figures[ALL]
        measured = ir_measures.calc_aggregate([Success @ 5, RR @ 10], judged, ranked)
        assert measured[Success @ 5] == pytest.approx(figures["hit@5"].mean)
        assert measured[RR @ 10] == pytest.approx(figures["mrr@10"].mean)

    def test_runs_say_what_they_were_made_with(self, tea: TeaNotes, tmp_path: Path) -> None:
        found, runs = evaluated(tea, "lexical")
        save_runs(tmp_path, runs, read_gold(tea.gold), found.provenance)
        said = json.loads((tmp_path / "runs" / "runs.json").read_text(encoding="utf-8"))
        assert said["gold"]["sha256"] == read_gold(tea.gold).sha256
        assert said["systems"]["lexical"]["fingerprints"]["encoder"].startswith("toy")
        assert {"sha256", "bytes"} == set(said["systems"]["lexical"]["files"]["chunks.jsonl"])
        assert said["versions"]["faiss-cpu"]
        assert said["machine"]["cores"]

    def test_every_pair_is_compared_and_the_changed_questions_named(self, tea: TeaNotes) -> None:
        found, _ = evaluated(tea)
        pairs = {(one.base, one.other) for one in found.comparisons}
        assert len(pairs) == 6
        for one in found.comparisons:
            assert one.wins + one.losses + one.ties == len(read_gold(tea.gold).answerable)
            assert one.p <= one.p_corrected <= 1
            before, after = (
                {system.name: system.per_question for system in found.systems}[name] for name in (one.base, one.other)
            )
            assert set(one.gained) == {q for q in before if after[q]["hit@5"] > before[q]["hit@5"]}
            assert set(one.lost) == {q for q in before if after[q]["hit@5"] < before[q]["hit@5"]}

    def test_latency_counts_the_encoding_for_every_system_though_it_is_done_once(self, tea: TeaNotes) -> None:
        found, runs = evaluated(tea)
        for run in runs:
            for each, spent in run.timings.items():
                text = next(one.text for one in read_gold(tea.gold).questions if one.id == each)
                assert spent["question"] >= round(run.index.encoder.milliseconds(text), 3)
                assert spent["total"] >= spent["question"]
        assert set(found.systems[0].latency_ms) >= {"question", "lexical", "total"}

    def test_evidence_that_no_chunk_holds_is_said(self, tea: TeaNotes) -> None:
        note = tea.notes / "tea.md"
        note.write_text("---\nremark: 只在抬头里的一句话谁也找不到\n---\n" + note.read_text("utf-8"), "utf-8")
        write_lines(tea.gold, [*QUESTIONS, question(9, "抬头里写了什么？", "只在抬头里的一句话谁也找不到")])
        tea.index()
        found, _ = evaluated(tea, "lexical")
        assert found.systems[0].unreachable == ("T9",)
        assert found.systems[0].per_question["T9"]["hit@10"] == 0


class TestIndexes:
    def test_systems_that_fit_the_published_snapshot_search_it_and_others_get_their_own(self, tea: TeaNotes) -> None:
        found, _ = evaluated(tea, "lexical,hybrid@ingest.chunker.target_tokens=16@ingest.chunker.max_tokens=32")
        own, other = found.systems
        assert other.chunks > own.chunks
        assert own.fingerprints["chunker"] != other.fingerprints["chunker"]
        assert snapshot_names(tea.settings.data) == ["000001"]
        built = list((tea.settings.data / "cache" / "eval" / "indexes").iterdir())
        assert len(built) == 1
        evaluated(tea, "hybrid@ingest.chunker.target_tokens=16@ingest.chunker.max_tokens=32")
        assert snapshot_names(built[0]) == ["000001"]

    def test_systems_that_differ_in_answering_only_search_with_their_own_settings(self, tea: TeaNotes) -> None:
        found, _ = evaluated(tea, "hybrid,hybrid@answering.span_chars=400")
        alone, together = found.systems
        assert together.mean_chunk_chars > alone.mean_chunk_chars

    def test_notes_can_be_named_instead_of_indexed(self, tea: TeaNotes, tmp_path: Path) -> None:
        gold = read_gold(tea.gold)
        elsewhere = tea.settings.model_copy(update={"data": tmp_path / "fresh"})
        found, _ = evaluate_retrieval(
            gold, choose_systems(["lexical"]), elsewhere, notes=[tea.notes], listener=Unheard()
        )
        assert found.systems[0].figures[ALL]["hit@10"].mean > 0
        with pytest.raises(IndexMissing):
            evaluate_retrieval(gold, choose_systems(["lexical"]), elsewhere, notes=(), listener=Unheard())

    def test_notes_that_changed_since_they_were_indexed_are_not_measured(self, tea: TeaNotes) -> None:
        (tea.notes / "tea.md").write_text((tea.notes / "tea.md").read_text("utf-8") + "\n再加一句。\n", "utf-8")
        with pytest.raises(NotesChanged, match=r"1 notes changed .* tea\.md"):
            evaluated(tea)


class TestRefusals:
    def test_fewer_chunks_than_the_measures_look_at(self, tea: TeaNotes) -> None:
        (tea.notes / "tea.md").write_text("# 茶\n\n绿茶用八十度的水冲泡两分钟，水太烫会把嫩叶烫熟。\n", "utf-8")
        write_lines(tea.gold, QUESTIONS[:1])
        tea.index()
        with pytest.raises(GoldInvalid, match="has 1 chunks: the best 10 of them say nothing"):
            evaluated(tea)

    def test_only_unanswerable_questions(self, tea: TeaNotes) -> None:
        write_lines(tea.gold, QUESTIONS[4:])
        with pytest.raises(GoldInvalid, match="no question is answerable"):
            evaluated(tea)

    def test_a_reranker_that_there_is_not(self, tea: TeaNotes, tmp_path: Path) -> None:
        file = tmp_path / "s.toml"
        file.write_text(f'[systems.mine]\nrerank = "{tmp_path / "no-such-model"}"\n', encoding="utf-8")
        with pytest.raises(AsknotesError, match="no-such-model"):
            evaluate_retrieval(
                read_gold(tea.gold), choose_systems(["mine"], file), tea.settings, notes=(), listener=Unheard()
            )

    def test_questions_in_another_language_than_the_notes_are_said_to_be(self, tea: TeaNotes) -> None:
        english = [question(1, "How hot should the water be?", "绿茶用八十度的水冲泡两分钟", lang="en")]
        write_lines(tea.gold, english)
        found, _ = evaluated(tea, "dense")
        assert found.notices == [
            "1 of 1 questions are in 'en' and most of the notes in 'zh': this measures searching across languages."
        ]


class TestGate:
    def test_what_was_reached_passes_and_a_planted_regression_does_not(self, tea: TeaNotes, tmp_path: Path) -> None:
        found, _ = evaluated(tea, "lexical")
        path = tmp_path / "baseline.json"
        write_baseline(path, make_baseline(found, tolerance=0.0))
        assert falls(found, read_baseline(path)) == []

        worse, _ = evaluated(tea, "hybrid@index.fusion.lexical_weight=0")
        renamed = json.loads(path.read_text("utf-8").replace('"lexical"', f'"{worse.systems[0].name}"'))
        path.write_text(json.dumps(renamed), encoding="utf-8")
        fallen = falls(worse, read_baseline(path))
        assert {fall.measure for fall in fallen} >= {"mrr@10"}
        before, now = (
            {q for q, values in one.systems[0].per_question.items() if values["hit@5"]} for one in (found, worse)
        )
        assert all(set(fall.lost) == before - now for fall in fallen)

    def test_a_fall_within_the_tolerance_passes(self, tea: TeaNotes, tmp_path: Path) -> None:
        found, _ = evaluated(tea, "lexical")
        generous = make_baseline(found, tolerance=1.0)
        worse, _ = evaluated(tea, "dense")
        renamed = generous.model_copy(update={"systems": {"dense": generous.systems["lexical"]}})
        assert falls(worse, renamed) == []

    @pytest.mark.parametrize("questions", [3, 7, 56, 68, 997])
    def test_one_question_fewer_passes_and_two_do_not(self, tea: TeaNotes, questions: int) -> None:
        found, _ = evaluated(tea, "lexical")

        def reached(count: int) -> RetrievalResults:
            figure = Figure(count / questions, 0.0, 1.0, questions)
            system = dataclasses.replace(found.systems[0], figures={ALL: dict.fromkeys(GATED, figure)})
            gold = dataclasses.replace(found.gold, answerable=questions)
            return dataclasses.replace(found, systems=[system], gold=gold)

        for count in range(2, questions + 1):
            baseline = make_baseline(reached(count))
            assert falls(reached(count - 1), baseline) == []
            assert [fall.measure for fall in falls(reached(count - 2), baseline)] == list(GATED)

    def test_other_questions_or_systems_cannot_be_held_against_it(self, tea: TeaNotes) -> None:
        found, _ = evaluated(tea, "lexical")
        baseline = make_baseline(found)
        dense, _ = evaluated(tea, "dense")
        with pytest.raises(BaselineInvalid, match="also knows lexical, which was not run"):
            falls(dense, baseline)
        write_lines(tea.gold, QUESTIONS[:2])
        other, _ = evaluated(tea, "lexical")
        with pytest.raises(BaselineInvalid, match="other questions"):
            falls(other, baseline)

    def test_a_file_that_is_no_baseline(self, tmp_path: Path) -> None:
        (tmp_path / "b.json").write_text('{"gold": 1}', encoding="utf-8")
        for name, said in (("b.json", "gold"), ("none.json", "cannot be read")):
            with pytest.raises(BaselineInvalid, match=said):
                read_baseline(tmp_path / name)
