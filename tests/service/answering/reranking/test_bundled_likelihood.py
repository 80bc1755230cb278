"""The bundled language model: a question is likelier after the passage that answers it than after another one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from index import weights
from index.errors import AsknotesError
from service.answering.config import AnsweringConfig
from service.answering.generator import TransformersModel
from service.answering.rerank import open_reranker
from service.settings import Settings

pytestmark = pytest.mark.bundled

PAIRS = {
    "为什么绿茶不能用开水泡？": "绿茶用八十度的水冲泡，水太烫会把嫩叶烫熟，茶汤发黄发苦。",
    "How do bees keep the hive warm in winter?": "In winter bees cluster and shiver their flight muscles for heat.",
}


def test_a_question_is_likeliest_after_its_own_passage() -> None:
    configured = AnsweringConfig()
    try:
        resolved = weights.resolve(configured.model, cache=weights.cache_folder(Settings().index.models_cache))
    except AsknotesError as missing:
        pytest.skip(f"{missing.message}: {missing.hint}")
    model = TransformersModel(resolved, device="cpu", dtype="auto")
    reranker = open_reranker("lm-likelihood", cache=Path(), language_model=model)
    passages = list(PAIRS.values())
    found = [reranker.scores(question, passages) for question in PAIRS]
    assert [int(scores.argmax()) for scores in found] == [0, 1], found
    assert (np.concatenate(found) < 0).all()
