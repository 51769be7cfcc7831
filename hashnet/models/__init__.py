"""Networks that turn images into relaxed codes, and the directory a trained one is kept in."""

from hashnet.models.backbones import BACKBONES, BackboneInfo, backbone_info, build_backbone
from hashnet.models.card import model_card, record_evaluation, record_protocol, training_protocol, write_card
from hashnet.models.directory import Model, fingerprint, load_model, save_model
from hashnet.models.export import describe_export, export_onnx, export_torch
from hashnet.models.network import HashHead, HashNetwork, NetworkConfig, build_network, relaxed
from hashnet.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing

__all__ = [
    "BACKBONES",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "BackboneInfo",
    "HashHead",
    "HashNetwork",
    "Model",
    "NetworkConfig",
    "Preprocessing",
    "backbone_info",
    "build_backbone",
    "build_network",
    "describe_export",
    "export_onnx",
    "export_torch",
    "fingerprint",
    "load_model",
    "model_card",
    "record_evaluation",
    "record_protocol",
    "relaxed",
    "save_model",
    "training_protocol",
    "write_card",
]
