"""Checkpoints: what is saved comes back to the bit, and nothing else is accepted."""

from __future__ import annotations

import pytest
import torch

from hashnet.errors import DamagedError, ResumeError
from hashnet.training.checkpoint import load_checkpoint, load_tensors, restore, save_checkpoint

IDENTITY = {"lr": 0.1, "seed": 1}


def stepped(kind, steps, model=None, optimizer=None):
    if model is None:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 2))
        optimizer = kind(model.parameters())
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).square().sum().backward()
        optimizer.step()
    return model, optimizer


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.9)


@pytest.fixture
def path(tmp_path):
    model, optimizer = stepped(torch.optim.AdamW, 3)
    save_checkpoint(
        tmp_path / "state",
        iteration=3,
        model=model,
        optimizer=optimizer,
        identity=IDENTITY,
        history=[{"stage": 0}],
    )
    return tmp_path / "state"


@pytest.mark.parametrize("kind", [torch.optim.AdamW, sgd])
def test_steps_after_a_restore_equal_uninterrupted_steps(tmp_path, kind):
    straight, _ = stepped(kind, 7)
    model, optimizer = stepped(kind, 3)
    save_checkpoint(
        tmp_path / "s", iteration=3, model=model, optimizer=optimizer, identity=IDENTITY, history=[]
    )
    fresh, fresh_optimizer = stepped(kind, 0)
    restore(load_checkpoint(tmp_path / "s", identity=IDENTITY), fresh, fresh_optimizer)
    stepped(kind, 4, fresh, fresh_optimizer)
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), fresh.parameters(), strict=True))


def test_iteration_and_history_come_back(path):
    checkpoint = load_checkpoint(path, identity=IDENTITY)
    assert (checkpoint.iteration, checkpoint.values["history"]) == (3, [{"stage": 0}])


def test_another_setting_is_refused_naming_both_values(path):
    with pytest.raises(ResumeError, match=r"lr was 0\.1, is 0\.2"):
        load_checkpoint(path, identity={**IDENTITY, "lr": 0.2})


@pytest.mark.parametrize("position", [3, 40, -1])
def test_a_flipped_bit_is_damage(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 4
    path.write_bytes(bytes(data))
    with pytest.raises(DamagedError):
        load_checkpoint(path, identity=IDENTITY)


@pytest.mark.parametrize("size", [0, 10, 500])
def test_a_truncated_checkpoint_is_damage(path, size):
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DamagedError):
        load_tensors(path)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none does not exist"):
        load_tensors(tmp_path / "none")


def test_no_temporary_file_remains(path):
    assert [file.name for file in path.parent.iterdir()] == ["state"]
