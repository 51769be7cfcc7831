"""Events for TensorBoard: what is written, by iteration, also after an interruption."""

from __future__ import annotations

import builtins
from dataclasses import replace

import numpy as np
import pytest
from training_runs import Interrupt, N, blobs

from hashnet.errors import HashnetError
from hashnet.training import TrainConfig, train

IMAGES, ROWS = blobs(), np.arange(N)
CONFIG = TrainConfig(
    n_bits=16,
    iterations=60,
    batch_size=32,
    stages=3,
    freeze_backbone=True,
    hidden=32,
    validation=0.2,
    checkpoint_every=20,
    device="cpu",
)


def scalars(directory):
    """Values by name and iteration, of all event files in the order in which they were written."""
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    found = {}
    for path in sorted(directory.glob("events*")):
        data = path.read_bytes()
        while data:
            length, check = data[:8], data[8:12]
            assert int.from_bytes(check, "little") == masked_crc32c(length)
            n = int.from_bytes(length, "little")
            event = Event.FromString(data[12 : 12 + n])
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
            data = data[12 + n + 4 :]
    return found


def test_steps_and_stages_are_written_by_iteration(tmp_path):
    result = train(IMAGES, ROWS, replace(CONFIG, tensorboard=str(tmp_path / "events")), output=tmp_path / "m")
    found = scalars(tmp_path / "events")
    for name in ("loss", "beta", "learning_rate", "images_per_s"):
        assert sorted(found[f"step/{name}"]) == [10, 20, 30, 40, 50, 60], name
    stages = result.metrics["stages"][1:]
    for name, key in (
        ("quantisation_gap", "gap"),
        ("bit_balance", "bit_balance"),
        ("loss_on_sgn_codes", "loss_sgn"),
        ("validation_MAP", "validation_map"),
    ):
        expected = {stage["iteration"]: pytest.approx(stage[key], rel=1e-6) for stage in stages}
        assert found[f"stage/{name}"] == expected, name
    assert found["step/beta"][60] == 1e4
    assert found["step/learning_rate"][10] > found["step/learning_rate"][60]
    assert all(rate > 0 for rate in found["step/images_per_s"].values())


def test_events_change_no_code(tmp_path):
    plain = train(IMAGES, ROWS, CONFIG, output=tmp_path / "p")
    with_events = train(IMAGES, ROWS, replace(CONFIG, tensorboard=str(tmp_path / "e")), output=tmp_path / "m")
    assert with_events.fingerprint == plain.fingerprint


def test_a_resumed_run_goes_on_writing_where_its_checkpoint_is(tmp_path):
    config = replace(CONFIG, tensorboard=str(tmp_path / "events"))
    with pytest.raises(KeyboardInterrupt):
        train(IMAGES, ROWS, config, output=tmp_path / "m", progress=Interrupt(55))
    train(IMAGES, ROWS, config, output=tmp_path / "m", resume=True)
    assert sorted(scalars(tmp_path / "events")["step/loss"]) == [10, 20, 30, 40, 50, 60]


def test_without_tensorboardx_a_training_is_refused_before_it_begins(tmp_path, monkeypatch):
    load = builtins.__import__

    def without(name, *arguments, **named):
        if name.startswith("tensorboardX"):
            raise ImportError("No module named 'tensorboardX'")
        return load(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(HashnetError, match=r"needs tensorboardX.*pip install 'hashnet\[tensorboard\]'"):
        train(IMAGES, ROWS, replace(CONFIG, tensorboard=str(tmp_path / "e")), output=tmp_path / "m")
    assert not (tmp_path / "m").exists()
