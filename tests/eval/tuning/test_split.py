"""Splitting pairs: by section, by hash, and without a leak."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from eval.gold import Evidence, Gold, Question
from eval.tuning.pairs import Collection, Pair, TuningRefused
from eval.tuning.split import split_by_gold, split_by_section
from index.schema import Chunk

SECTIONS, PASSAGES, QUESTIONS = 30, 3, 2


def collection(*, sections: int = SECTIONS) -> Collection:
    """Passages 0.0, 0.1, … of sections 0, 1, …, each with two questions."""
    names = [f"{section}.{number}" for section in range(sections) for number in range(PASSAGES)]
    chunks = [Chunk(name, "n.md", (), hashlib.sha256(name.encode()).hexdigest(), (1, 1)) for name in names]
    pairs = [Pair(f"{name}?{q}", name, "file", "", frozenset({name})) for name in names for q in range(QUESTIONS)]
    return Collection(tuple(chunks), {name: name.split(".")[0] for name in names}, tuple(pairs))


def test_no_section_is_on_both_sides_and_nothing_is_lost() -> None:
    pairs = collection()
    split = split_by_section(pairs, share=0.2, seed=0)
    trained, held = ({pairs.section(pair) for pair in side} for side in (split.training, split.held_out))
    assert not trained & held
    assert {*split.training, *split.held_out} == set(pairs.pairs)
    assert len(split.held_out) == 0.2 * len(pairs.pairs)
    assert split.hidden == {passage for passage, section in pairs.sections.items() if section in held}


def test_the_split_depends_on_names_and_seed_not_on_order() -> None:
    pairs = collection()
    turned = Collection(pairs.passages[::-1], pairs.sections, pairs.pairs[::-1])
    split = split_by_section(pairs, share=0.2, seed=0)
    assert set(split.held_out) == set(split_by_section(turned, share=0.2, seed=0).held_out)
    assert set(split.held_out) != set(split_by_section(pairs, share=0.2, seed=1).held_out)


def test_a_question_that_a_held_out_passage_answers_too_is_not_trained_on() -> None:
    pairs = collection()
    held = split_by_section(pairs, share=0.2, seed=0).held_out[0].passage
    trained = split_by_section(pairs, share=0.2, seed=0).training[0]
    both = Pair("both", trained.passage, "file", "", frozenset({trained.passage, held}))
    split = split_by_section(Collection(pairs.passages, pairs.sections, (*pairs.pairs, both)), share=0.2, seed=0)
    assert both not in split.training


def test_sections_with_evidence_of_gold_questions_are_not_trained_on() -> None:
    pairs = collection()
    quote = next(chunk.text for chunk in pairs.passages if chunk.id == "4.1")
    asked = Question("G1", "?", "zh", "term", evidence=(Evidence("n.md", quote),))
    split = split_by_gold(pairs, [], Gold("g", Path("g"), (asked,), ""))
    trained = {pairs.section(pair) for pair in split.training}
    assert split.held_out == ()
    assert split.hidden == {"4.0", "4.1", "4.2"}
    assert "4" not in trained
    assert len(trained) > SECTIONS / 2


@pytest.mark.parametrize(
    ("sections", "share", "said"), [(10, 0.2, "4[0-9] pairs .* to train on"), (30, 0.03, "are held out")]
)
def test_too_few_pairs_are_refused_with_a_remedy(sections: int, share: float, said: str) -> None:
    with pytest.raises(TuningRefused, match=said) as caught:
        split_by_section(collection(sections=sections), share=share, seed=0)
    assert "--pairs" in caught.value.hint
    assert "make-gold" in caught.value.hint
