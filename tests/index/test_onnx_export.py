from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from transformers import AutoModel

from index.e5_conversion import convert_e5
from index.errors import WeightsCorrupt
from index.onnx_export import export_int8
from tests.index.made_up_weights import LAYERS, e5_bytes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    (folder / "source").write_bytes(e5_bytes())
    convert_e5(folder / "source", folder)
    export_int8(folder)
    return folder


@pytest.mark.parametrize(("texts", "tokens"), [(1, 1), (1, 7), (3, 20), (5, 64)])
def test_token_vectors_agree_with_torch_for_any_batch_and_length(folder: Path, texts: int, tokens: int) -> None:
    input_ids = np.random.default_rng(0).integers(4, 44, (texts, tokens))
    mask = np.ones_like(input_ids)
    mask[-1, tokens // 2 + 1 :] = 0
    session = onnxruntime.InferenceSession(folder / "onnx" / "model_int8.onnx", providers=["CPUExecutionProvider"])
    (vectors,) = session.run(["last_hidden_state"], {"input_ids": input_ids, "attention_mask": mask})
    with torch.inference_mode():
        model = AutoModel.from_pretrained(folder).eval()
        exact = model(torch.from_numpy(input_ids), torch.from_numpy(mask)).last_hidden_state.numpy()
    assert vectors.shape == exact.shape
    cosines = (vectors * exact).sum(-1) / np.linalg.norm(vectors, axis=-1) / np.linalg.norm(exact, axis=-1)
    assert cosines[mask > 0].min() > 0.99


def test_all_products_with_weights_are_quantised_but_the_down_projections(folder: Path) -> None:
    graph = onnx.load(folder / "onnx" / "model_int8.onnx").graph
    weights = {weight.name: weight for weight in graph.initializer}
    exact = [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in weights]
    assert [tuple(weights[node.input[1]].dims) for node in exact] == [(64, 32)] * LAYERS
    assert sum(node.op_type == "MatMulInteger" for node in graph.node) >= 5 * LAYERS


def test_nothing_else_is_left_behind(folder: Path) -> None:
    assert [path.name for path in (folder / "onnx").iterdir()] == ["model_int8.onnx"]
    assert not [path for path in folder.iterdir() if path.name.startswith("tmp")]


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsCorrupt, match="no encoder can be read"):
        export_int8(tmp_path)
