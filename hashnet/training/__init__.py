"""Training: the settings, the continuation, the trainer, and checkpoints that resume exactly."""

from hashnet.training.config import TrainConfig
from hashnet.training.config_file import read_config, write_config
from hashnet.training.diagnostics import StageMetrics
from hashnet.training.features import extract_features
from hashnet.training.inputs import FeatureInputs
from hashnet.training.task import TrainResult
from hashnet.training.trainer import train

__all__ = [
    "FeatureInputs",
    "StageMetrics",
    "TrainConfig",
    "TrainResult",
    "extract_features",
    "read_config",
    "train",
    "write_config",
]
