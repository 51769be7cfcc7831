"""`benchmarks.finetune`: just the blocks that are asked for are trained, and stored runs hold."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from image_packs import N_CLASSES, small_pack
from safetensors.torch import save_file

from benchmarks import finetune, reproduce
from hashnet.models import load_model
from hashnet.models.backbones import build_backbone
from hashnet.models.blocks import backbone_blocks

# Six steps are no training.
pytestmark = pytest.mark.filterwarnings("ignore::hashnet.errors.CollapseWarning")

SETTINGS = {"hidden": 16, "batch_size": 32, "stages": 2}


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finetune")
    pack = small_pack(folder / "tiny.npz")
    torch.manual_seed(0)
    save_file(build_backbone("small_cnn").state_dict(), folder / "weights.safetensors")
    chosen = {name: {"settings": SETTINGS} for name in ("hashnet", "csq")}
    (folder / "settings.json").write_text(json.dumps({"tinyimagenet100": chosen}))

    def run(*options):
        stored, trained, true_train = {}, [], finetune.train

        def train(images, rows, config, **rest):
            trained.append((config.method, config.train_last_blocks, rows))
            return true_train(images, rows, config, **rest)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reproduce, "SETTINGS", folder / "settings.json")
            patch.setattr(reproduce, "VALIDATION_PER_CLASS", 6)
            patch.setattr(finetune, "keep", lambda name, result: stored.update({name: result}))
            patch.setattr(finetune, "train", train)
            line = ["--protocol", "tinyimagenet100", "--data", pack, "--work", folder / "work"]
            line += ["--weights", folder / "weights.safetensors", "--no-same-padding"]
            line += ["--backbone", "small_cnn", "--image-size", 8, "--progress", "none"]
            line += ["--methods", "hashnet,csq", "--bits", 8, "--iterations", 6, "--tune-at", 20]
            patch.setattr(sys, "argv", [str(one) for one in ("finetune", *line, *options)])
            finetune.main()
        return stored["finetune_tinyimagenet100"], trained, folder

    return run


@pytest.fixture(scope="module")
def first(call):
    return call("--blocks", 0, 1, "all")


def test_every_method_and_number_of_blocks_is_measured(first):
    result, trained, _ = first
    assert [(method, blocks) for method, blocks, _ in trained] == [
        ("hashnet", 1),
        ("hashnet", None),
        ("csq", 1),
        ("csq", None),
    ]
    assert {method: list(blocks) for method, blocks in result["figures"].items()} == {
        "hashnet": ["0", "1", "all"],
        "csq": ["0", "1", "all"],
    }
    figures = result["figures"]["csq"]["1"]["8"]
    assert 0 < figures["map_tie_aware"][0] <= 1
    assert f"{6 * N_CLASSES} validation rows on {18 * N_CLASSES} rows" in result["measured_by"]
    assert all(len(rows) == 18 * N_CLASSES for _, _, rows in trained)


def test_only_the_last_block_changes(first):
    folder = first[2] / "work" / "finetune"
    torch.manual_seed(0)
    before = [list(block.parameters()) for block in backbone_blocks("small_cnn", build_backbone("small_cnn"))]
    for blocks, changed in ((1, [len(before) - 1]), ("all", list(range(len(before))))):
        (path,) = folder.glob(f"hashnet_{blocks}_8_0_*/model.safetensors")
        backbone = load_model(path.parent).network.backbone
        after = [list(block.parameters()) for block in backbone_blocks("small_cnn", backbone)]
        differs = [
            not all(torch.equal(a, b) for a, b in zip(old, new, strict=True))
            for old, new in zip(before, after, strict=True)
        ]
        assert [number for number, one in enumerate(differs) if one] == changed


def test_a_second_call_trains_nothing_again(first, call):
    again, trained, _ = call("--blocks", 0, 1, "all")
    assert trained == []
    assert again["figures"] == first[0]["figures"]


def test_the_queries_of_the_protocol_ask_its_database(call):
    result, trained, _ = call("--blocks", 1, "--queries")
    assert f"{4 * N_CLASSES} queries on {24 * N_CLASSES} rows" in result["measured_by"]
    assert result["measured_by"].startswith("MAP@1000")
    assert all(len(rows) == 24 * N_CLASSES for _, _, rows in trained)
