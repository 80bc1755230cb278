"""An encoder folder -> ``onnx/model_int8.onnx`` in it: the transformer with 8-bit weights for ONNX Runtime on a CPU.

Dynamic quantisation: weights are stored as 8-bit integers with one scale per output channel, activations are
quantised as they come. What was measured, and why these settings, is in docs/MODELS.md:

- weights keep seven of the eight bits: CPUs without VNNI add pairs of products in 16 bits and overflow with eight;
- the feed-forward's down-projection stays fp32: its inputs have a few very large values, and quantising them costs
  more accuracy than all the rest together;
- the word embeddings are quantised too: they are four fifths of the file and lose nothing.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
import transformers
from onnxruntime.quantization import QuantType, quantize_dynamic

from index.errors import WeightsCorrupt

INT8_FILE = Path("onnx") / "model_int8.onnx"

_HARMLESS_LOGS = {
    "torch.onnx._internal.exporter._registration": "torchvision is not installed",
    "root": "Please consider to run pre-processing before quantization",
}


class TokenVectors(torch.nn.Module):
    """The bare transformer as a function of token ids (B, T) and mask (B, T), int64, to vectors (B, T, D), fp32."""

    def __init__(self, transformer: torch.nn.Module) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return the last hidden state; token types, where the model has them, are all 0."""
        output = self.transformer(input_ids=input_ids, attention_mask=attention_mask)
        vectors: torch.Tensor = output.last_hidden_state
        return vectors


def export_int8(folder: Path) -> Path:
    """Write the quantised copy of the encoder in ``folder``; returns the path of the file written.

    Inputs ``input_ids`` and ``attention_mask`` (B, T) int64, output ``last_hidden_state`` (B, T, D) float32, for any
    B and any T up to the model's positions. Takes about a minute and 3.5 GB of memory for 118 million weights.
    Raises ``WeightsCorrupt`` if the folder holds no transformer that can be read.
    """
    target = folder / INT8_FILE
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        exact = Path(temporary) / "model_fp32.onnx"
        with _without_known_noise():
            _export_fp32(_load(folder), exact)
            _quantise(exact, target)
    return target


def _load(folder: Path) -> torch.nn.Module:
    try:
        model: torch.nn.Module = transformers.AutoModel.from_pretrained(
            str(folder), dtype=torch.float32, attn_implementation="eager", local_files_only=True
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise WeightsCorrupt(
            f"no encoder can be read from {folder}: {error}",
            hint="run `asknotes models --fetch` to get the weights again",
        ) from error
    return model


def _export_fp32(model: torch.nn.Module, target: Path) -> None:
    # Two texts of different length, so that neither dimension nor the mask is taken for a constant.
    input_ids = torch.arange(16).reshape(2, 8)
    attention_mask = torch.ones_like(input_ids)
    attention_mask[1, 5:] = 0
    dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    torch.onnx.export(
        TokenVectors(model).eval(),
        (input_ids, attention_mask),
        target,
        input_names=["input_ids", "attention_mask"],
        output_names=["last_hidden_state"],
        dynamic_shapes={"input_ids": dynamic, "attention_mask": dynamic},
        external_data=False,
        dynamo=True,
        verbose=False,
    )


def _quantise(source: Path, target: Path) -> None:
    quantize_dynamic(
        source,
        target,
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=_down_projections(source),
    )


def _down_projections(path: Path) -> list[str]:
    """Names of the products with a constant matrix that has more rows than columns: wide layer to narrow."""
    graph = onnx.load(path).graph
    shapes = {weight.name: tuple(weight.dims) for weight in graph.initializer}
    matrices = [(node.name, shapes.get(node.input[1], ())) for node in graph.node if node.op_type == "MatMul"]
    return [name for name, shape in matrices if len(shape) == 2 and shape[0] > shape[1]]  # noqa: PLR2004 - a matrix


@contextmanager
def _without_known_noise() -> Iterator[None]:
    """Hide the libraries' progress bars and the few messages that say nothing about this export."""
    filters = {logging.getLogger(name): _Without(text) for name, text in _HARMLESS_LOGS.items()}
    bars = transformers.utils.logging.is_progress_bar_enabled()
    for logger, unwanted in filters.items():
        logger.addFilter(unwanted)
    transformers.utils.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # torch.export's own use of a name that torch deprecates
            warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)", category=FutureWarning)
            yield
    finally:
        if bars:
            transformers.utils.logging.enable_progress_bar()
        for logger, unwanted in filters.items():
            logger.removeFilter(unwanted)


class _Without(logging.Filter):
    """Drops the records whose message contains a text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def filter(self, record: logging.LogRecord) -> bool:
        return self.text not in record.getMessage()
