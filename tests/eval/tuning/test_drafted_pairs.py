"""Questions that a language model writes become pairs with the chunk that holds their sentence."""

from __future__ import annotations

from eval.tuning.drafted_pairs import WRITTEN_BY_MODEL, drafted_pairs
from eval.tuning.pairs import pairs_of_notes
from index.progress import Unheard
from index.schema import Chunk, Note
from tests.service.answering.toy_language_model import ToyLanguageModel

TEA = "绿茶要用八十度左右的水冲泡，水太烫茶汤会发苦。"
OTHER = "咖啡豆研磨之后马上冲煮，放久了香气就散掉，一周内喝完。"
QUESTION = "为什么热水会让绿茶变苦？"
CHUNKS = [
    Chunk(name, "tea.md", ("茶", name), text, (1, 1), title="茶") for name, text in (("冲泡", TEA), ("咖啡", OTHER))
]


def test_a_draft_that_passes_the_checks_is_a_pair_with_its_chunk() -> None:
    notes = [Note("tea.md", f"{TEA}\n\n{OTHER}\n", "", "茶")]
    written = drafted_pairs(CHUNKS, notes, ToyLanguageModel([QUESTION]), count=2, seed=0, listener=Unheard())
    (pair,) = written.pairs  # of the other sentence the question says nothing, and is rejected
    assert (pair.question, pair.passage, pair.origin) == (QUESTION, "冲泡", WRITTEN_BY_MODEL)

    among = pairs_of_notes(CHUNKS, [written], few=0)
    assert among.origins == {"heading": 2, WRITTEN_BY_MODEL: 1}
    assert among.section(pair) == "tea.md > 冲泡"
    assert [passage.text for passage in among.passages] == [TEA, OTHER]


def test_a_model_that_asks_nothing_gives_no_pair() -> None:
    notes = [Note("tea.md", f"{TEA}\n\n{OTHER}\n", "", "茶")]
    assert drafted_pairs(CHUNKS, notes, ToyLanguageModel(["好的。"]), count=2, seed=0, listener=Unheard()).pairs == ()
