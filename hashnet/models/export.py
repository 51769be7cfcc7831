"""A trained network as one graph for other runtimes: ONNX, or torch.export's own format.

The graph takes what every picture library has, the resized and cropped picture as bytes, and gives what an
index holds, packed codes. Normalisation, sign and packing are inside, so that whoever runs it has only two
steps of :class:`~hashnet.models.Preprocessing` left to do: resize the shorter side and crop the centre.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from hashnet.errors import HashnetError
from hashnet.models.directory import Model
from hashnet.models.network import HashNetwork
from hashnet.models.preprocessing import Preprocessing

OPSET = 20
"""Version of the ONNX operators that are used."""

INPUT, CODES, RELAXED = "pixels", "codes", "z"
TORCH_FACTS = "hashnet.json"
# What a node remembers of the Python that it was traced from, with the paths of this machine.
_TRACES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


class HashGraph(nn.Module):
    """Pixels uint8 ``(n, size, size, 3)`` to packed codes uint8 ``(n, n_bits / 8)`` and z ``(n, n_bits)``."""

    def __init__(self, network: HashNetwork, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.network = network
        self.mean = nn.Buffer(torch.tensor(preprocessing.mean, dtype=torch.float32))
        self.std = nn.Buffer(torch.tensor(preprocessing.std, dtype=torch.float32))
        # The first dimension is the most significant bit of byte 0, as in numpy.packbits.
        self.place = nn.Buffer(2 ** torch.arange(7, -1, -1, dtype=torch.int32))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return codes and z; a bit is 1 where z > 0."""
        # The same operations in the same order as Preprocessing.normalize, so that the network sees the
        # same numbers to the last bit.
        images = ((pixels.float() / 255 - self.mean) / self.std).permute(0, 3, 1, 2).contiguous()
        z: Tensor = self.network(images)
        bits = (z > 0).to(torch.int32).reshape(-1, z.shape[1] // 8, 8)
        return (bits * self.place).sum(dim=2, dtype=torch.int32).to(torch.uint8), z


def describe_export(model: Model) -> dict[str, str]:
    """Return what a user of the graph must know, as it is written into the exported file."""
    p = model.preprocessing
    return {
        "hashnet.fingerprint": model.fingerprint,
        "hashnet.n_bits": str(model.n_bits),
        "hashnet.backbone": model.config.backbone,
        "hashnet.preprocessing": json.dumps(p.to_json()),
        "hashnet.input": (
            f"{INPUT}: uint8 (n, {p.size}, {p.size}, 3), RGB, upright by EXIF; the shorter side resized to "
            f"{p.resize} (Pillow, bilinear, antialiased), the longer in proportion, then the centre "
            f"{p.size} x {p.size} cropped. Normalisation is inside."
        ),
        "hashnet.output": (
            f"{CODES}: uint8 (n, {model.n_bits // 8}), packed, a bit is 1 where {RELAXED} > 0, the first is "
            "the most significant of byte 0 (numpy.packbits). "
            f"{RELAXED}: float32 (n, {model.n_bits}), before tanh and sign."
        ),
    }


def export_onnx(model: Model) -> bytes:
    """Return the model as an ONNX file of opset ``OPSET``, with a free batch size.

    What must be known to use it stands in the file's metadata, see :func:`describe_export`. Raises
    HashnetError where onnx, onnxscript or onnxruntime is missing.
    """
    demand_onnx()
    with _quiet():
        program: Any = torch.onnx.export(
            _graph(model),
            (_example(model),),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[CODES, RELAXED],
            dynamic_shapes={INPUT: {0: torch.export.Dim("n")}},
            verbose=False,
        )
        graph = program.model
        # Here too each node carries the stack of its Python source.
        for node in graph.graph.all_nodes():
            node.metadata_props.clear()
        graph.metadata_props.clear()
        graph.metadata_props.update(describe_export(model))
        graph.producer_name = "hashnet"
        proto: bytes = program.model_proto.SerializeToString()
    return proto


def export_torch(model: Model) -> bytes:
    """Return the model as a file of ``torch.export`` (.pt2), with a free batch size.

    ``torch.export.load(path).module()`` is the graph; :func:`describe_export` lies in it as the extra file
    hashnet.json. Nothing in it is pickled. The format is torch's own, for this torch or a newer one.
    """
    with _quiet():
        program: Any = torch.export.export(
            _graph(model), (_example(model),), dynamic_shapes={INPUT: {0: torch.export.Dim("n")}}
        )
        for node in program.graph.nodes:
            for trace in _TRACES:
                node.meta.pop(trace, None)
        # It would be pickled into the file, and nothing needs it.
        program.example_inputs = None
        file = io.BytesIO()
        torch.export.save(program, file, extra_files={TORCH_FACTS: json.dumps(describe_export(model))})
    return file.getvalue()


def demand_onnx() -> None:
    """Raise HashnetError, with the remedy, unless what ONNX export and its check need is installed."""
    for name in _PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise HashnetError(
                f"ONNX export needs {', '.join(_PACKAGES)}, and {name} does not import ({error}); "
                "install them with pip install 'hashnet[export]'"
            ) from error


def _graph(model: Model) -> nn.Module:
    return HashGraph(model.network, model.preprocessing).eval()


def _example(model: Model) -> Tensor:
    # Two images, because an example of one would fix the batch size at one.
    size = model.preprocessing.size
    return torch.zeros((2, size, size, 3), dtype=torch.uint8)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what exporters say about their own insides off the terminal."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
