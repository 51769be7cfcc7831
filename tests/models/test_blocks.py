"""A backbone as a chain of blocks computes what the backbone computes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hashnet.models.backbones import BACKBONES, build_backbone
from hashnet.models.blocks import backbone_blocks, n_blocks

COUNTS = {
    "resnet18": 1 + 8,
    "resnet50": 1 + 16,
    "mobilenet_v2": 19,
    "small_cnn": 4,
    "alexnet": 5 + 2,
    "vgg16": 13 + 2,
}


def backbone_of(name):
    torch.manual_seed(0)
    return build_backbone(name).eval()


@pytest.mark.parametrize("name", [name for name in BACKBONES if name != "vgg16"])
def test_the_blocks_compute_to_the_bit_what_the_backbone_computes(name):
    backbone = backbone_of(name)
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = backbone(x)
        for block in backbone_blocks(name, backbone):
            x = block(x)
    assert torch.equal(x, expected)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_parameter_lies_in_exactly_one_block(name):
    with torch.device("meta"):
        backbone = build_backbone(name)
    found = [id(p) for block in backbone_blocks(name, backbone) for p in block.parameters()]
    assert sorted(found) == sorted(id(p) for p in backbone.parameters())


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_the_number_of_blocks_is_that_of_the_published_architecture(name, count):
    assert n_blocks(name) == count


@pytest.mark.parametrize("name", BACKBONES)
def test_no_block_begins_with_what_belongs_to_the_layer_before_it(name):
    """Dropout belongs to what follows it: a block that is not trained must leave nothing out."""
    with torch.device("meta"):
        backbone = build_backbone(name)
    blocks = backbone_blocks(name, backbone)
    assert not any(isinstance(block[-1], nn.Dropout) for block in blocks[:-1])
    for block in blocks:
        assert next(block.parameters(), None) is not None
        assert not isinstance(block[0], (nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d))
