"""Events of a training for TensorBoard, written by tensorboardX."""

from __future__ import annotations

from typing import Any

from hashnet.errors import HashnetError
from hashnet.training.diagnostics import StageMetrics


class Events:
    """Scalars by iteration: ``step/...`` every few steps, ``stage/...`` at the ends of stages.

    Without a directory nothing is written. What an interrupted run wrote after its last checkpoint is marked
    as void when it is resumed.
    """

    def __init__(self, directory: str | None, *, resumed_at: int) -> None:
        self._writer: Any = None
        if directory is not None:
            self._writer = _writer(directory, resumed_at)

    def step(self, iteration: int, *, loss: float, beta: float, lr: float, images_per_s: float) -> None:
        """Write the figures of a step."""
        figures = {"loss": loss, "beta": beta, "learning_rate": lr, "images_per_s": images_per_s}
        self._write({f"step/{name}": value for name, value in figures.items()}, iteration)

    def stage(self, metrics: StageMetrics, *, n_bits: int, validation_map: float | None) -> None:
        """Write the figures after a stage."""
        figures = {
            "loss_on_relaxed_codes": metrics.loss_relaxed,
            "loss_on_sgn_codes": metrics.loss_sgn,
            "quantisation_gap": metrics.gap,
            "bit_balance": metrics.bit_balance,
            "share_of_constant_bits": metrics.constant_bits / n_bits,
            "distinct_codes": float(metrics.distinct_codes),
        }
        if validation_map is not None:
            figures["validation_MAP"] = validation_map
        self._write({f"stage/{name}": value for name, value in figures.items()}, metrics.iteration)
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()

    def _write(self, figures: dict[str, float], iteration: int) -> None:
        if self._writer is not None:
            for name, value in figures.items():
                self._writer.add_scalar(name, value, iteration)


def check_tensorboard(directory: str | None) -> None:
    """Raise HashnetError if events are wanted and cannot be written; to be asked before work begins."""
    if directory is None:
        return
    try:
        import tensorboardX  # noqa: F401
    except ImportError as error:
        raise HashnetError(
            f"tensorboard={directory!r} needs tensorboardX, which is not installed ({error}); "
            "pip install 'hashnet[tensorboard]', or leave the setting out"
        ) from error


def _writer(directory: str, resumed_at: int) -> Any:
    check_tensorboard(directory)
    from tensorboardX import SummaryWriter

    # Without this, a run that is resumed would show the steps after its checkpoint twice.
    # The suffix keeps a run that goes on within a second from writing into the same file.
    return SummaryWriter(directory, purge_step=resumed_at or None, filename_suffix=f".from{resumed_at}")
