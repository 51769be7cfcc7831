"""The processes of an encode job on Ray: workers with the network, and tasks that decode for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import ray

from hashnet.datasets.entries import Part
from hashnet.encoding.batches import DecodedBatch, batched, decode
from hashnet.encoding.encoder import Encoder, EncodeSession
from hashnet.encoding.job import commit_unit
from hashnet.encoding.units import WorkUnit
from hashnet.models import Preprocessing

from .encode_units import WorkerSpec, check_same_model

# Batches that a decoder has ready before it waits for its worker.
BATCHES_AHEAD = 2


class UnitWorker:
    """An actor that encodes units and commits them. It opens the model when it gets its first unit.

    Several calls run at a time: one reads and computes while another waits for its last batches and for the
    disk, or for its decoder.
    """

    def __init__(self, spec: WorkerSpec) -> None:
        self._spec = spec
        self._opening = Lock()
        self._opened: tuple[Encoder, EncodeSession] | None = None

    def encode(self, unit: WorkUnit) -> str:
        """Encode and commit a unit; return its verdict as JSON."""
        encoder, session = self._open()
        if self._spec.decoders:
            started = session.start(self._decoded_elsewhere(unit, encoder), in_turn=False)
        else:
            started = session.start(session.read(unit.part.entries()))
        return commit_unit(Path(self._spec.output), unit.number, started()).to_json()

    def _decoded_elsewhere(self, unit: WorkUnit, encoder: Encoder) -> Iterator[Callable[[], DecodedBatch]]:
        """Yield the batches of a unit, decoded by a task that waits when ``BATCHES_AHEAD`` were not taken."""
        # A task that died is not repeated here: the whole unit is, and its order stays plain.
        task = decode_part.options(num_cpus=self._spec.decoder_cpus, max_retries=0)
        for reference in task.remote(unit.part, encoder.model.preprocessing, encoder.batch_size):
            yield partial(_fetched, reference)

    def _open(self) -> tuple[Encoder, EncodeSession]:
        with self._opening:
            if self._opened is None:
                spec = self._spec
                encoder = Encoder.load(spec.model_dir, device=spec.settings.device, threads=spec.threads)
                check_same_model(encoder.fingerprint, wanted=spec.settings)
                self._opened = encoder, encoder.session()
            return self._opened


@ray.remote(num_returns="streaming", _generator_backpressure_num_objects=BATCHES_AHEAD)
def decode_part(part: Part, preprocessing: Preprocessing, batch_size: int) -> Iterator[DecodedBatch]:
    """Yield the rows of a part, decoded."""
    for entries in batched(part.entries(), batch_size):
        yield decode(entries, preprocessing)


def _fetched(reference: Any) -> DecodedBatch:
    try:
        batch: DecodedBatch = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        # What the decoder raised, without the wrapping of Ray.
        raise error.cause from None
    return batch
