"""Settings of a training run: a frozen dataclass whose defaults run, and what the open ones become."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from hashnet.codes import check_n_bits
from hashnet.losses import LossSettings, complete_settings
from hashnet.models import backbone_info
from hashnet.models.blocks import n_blocks
from hashnet.training.schedule import betas

Augment = Literal["none", "shift", "flip"]
Optimizer = Literal["adam", "sgd"]
Amp = Literal["auto", "on", "off"]

# Where a run is made, not what comes out of it: a run may be resumed with these changed.
_NOT_PART_OF_THE_RESULT = ("checkpoint_every", "device", "data_workers", "tensorboard")


@dataclass(frozen=True)
class TrainConfig:
    """What to train and how; ``None`` means what suits backbone, weights and mode (see ``resolved``).

    ``method`` names the objective: "hashnet", "hashnet-c" (Jaccard weights), "hashnet-w", "hashnet-sgn" or
    another of ``hashnet.losses.OBJECTIVES``. ``alpha``, ``quantization``, ``margin``, ``scale`` and
    ``epsilon`` are the settings of its loss (``LossSettings``); a method refuses those that it does not take.

    ``weights`` is "torchvision", a .safetensors or .pth file, or None. ``freeze_backbone`` computes the
    features once and trains only the head. ``image_size`` is in pixels, ``hidden`` the width of a ReLU
    layer before the hash layer (0 for none), ``dropout`` the share of its units left out in training.
    ``augment`` is "none", "shift" (up to an eighth of the side) or "flip" (shift and mirror).

    beta grows from 1 to ``beta_max`` over all stages but the last, which has ``beta_final``; methods without
    continuation only report by stages. ``lr`` is that of the head and of what the objective learns; the
    backbone's is ``lr * backbone_lr_factor`` (a tenth in the authors' code).
    ``lr_decay`` "cosine" ends at 0; ``stage_lr_factors`` multiplies the rate in each stage.

    ``train_last_blocks`` trains only so many of the backbone's last blocks (see
    ``hashnet.models.blocks``) beside the head; with ``augment`` "none" what the others give out is computed
    once. ``init_from`` begins at the weights of a model directory: those of the backbone, and of the head
    where it is alike. ``micro_batch`` is how many images the network sees at once, for batches that do not
    fit into memory: all pairs of the batch remain in the loss. ``ema`` is the decay of an average of the
    weights over the steps, which then is the model; 0 for none.

    ``validation`` is a share of the images kept out of training, on which MAP is measured after each stage;
    the best stage becomes the model, and after ``patience`` stages without a better one training ends (0:
    never). ``amp`` computes in bfloat16: "auto" on a CUDA device, "on" anywhere, "off" nowhere.
    ``data_workers`` is the number of threads that prepare batches ahead of the step; it changes no code.
    ``tensorboard`` is a directory for the events of the training.
    """

    backbone: str = "small_cnn"
    n_bits: int = 32
    method: str = "hashnet"
    weights: str | None = None
    freeze_backbone: bool = False
    same_padding: bool = False
    freeze_norm: bool | None = None
    hidden: int | None = None
    dropout: float | None = None
    image_size: int | None = None
    augment: Augment | None = None
    stages: int = 10
    beta_max: float = 64.0
    beta_final: float = 1e4
    iterations: int | None = None
    batch_size: int | None = None
    optimizer: Optimizer = "adam"
    lr: float | None = None
    lr_decay: Literal["cosine", "none"] = "cosine"
    backbone_lr_factor: float | None = None
    weight_decay: float | None = None
    alpha: float | None = None
    quantization: float | None = None
    margin: float | None = None
    scale: float | None = None
    epsilon: float | None = None
    seed: int = 0
    train_last_blocks: int | None = None
    init_from: str | None = None
    micro_batch: int | None = None
    stage_lr_factors: tuple[float, ...] | None = None
    ema: float = 0.0
    validation: float = 0.0
    patience: int = 0
    amp: Amp = "auto"
    channels_last: bool = False
    compile: bool = False
    data_workers: int = 2
    tensorboard: str | None = None
    device: str = "auto"
    checkpoint_every: int = 100
    max_error_rate: float = 0.05

    def __post_init__(self) -> None:
        backbone_info(self.backbone)
        check_n_bits(self.n_bits)
        for name in ("stages", "iterations", "checkpoint_every", "image_size", "micro_batch"):
            self._require(name, lambda value: value >= 1, ">= 1")
        self._require("batch_size", lambda value: value >= 2, ">= 2, a loss needs pairs")
        betas(self.stages, beta_max=self.beta_max, beta_final=self.beta_final)
        self._require("lr", lambda value: 0 < value < float("inf"), "positive and finite")
        complete_settings(self.method, self.loss_settings(), n_bits=self.n_bits)
        for name in ("hidden", "weight_decay", "backbone_lr_factor", "seed", "patience", "data_workers"):
            self._require(name, lambda value: value >= 0, ">= 0")
        for name in ("dropout", "max_error_rate"):
            self._require(name, lambda value: 0 <= value <= 1, "from 0 to 1")
        self._require("augment", lambda value: value in ("none", "shift", "flip"), "none, shift or flip")
        self._require("optimizer", lambda value: value in ("adam", "sgd"), "adam or sgd")
        self._require("lr_decay", lambda value: value in ("cosine", "none"), "cosine or none")
        self._require("amp", lambda value: value in ("auto", "on", "off"), "auto, on or off")
        for name in ("ema", "validation"):
            self._require(name, lambda value: 0 <= value < 1, "from 0 to below 1")
        self._check_combinations()

    def _check_combinations(self) -> None:
        if self.freeze_backbone and self.augment not in (None, "none"):
            raise ValueError(
                f"augment must be none with freeze_backbone, got {self.augment!r}: "
                "the features are computed once; leave it out or train the whole network"
            )
        if self.dropout and self.hidden == 0:
            raise ValueError(f"dropout {self.dropout} needs a hidden layer, got hidden=0; give a width")
        smallest = backbone_info(self.backbone).min_image_size
        if self.image_size is not None and self.image_size < smallest:
            raise ValueError(
                f"image_size must be >= {smallest} for {self.backbone}, got {self.image_size}; "
                "take a larger size (images are resized) or another backbone"
            )
        if self.train_last_blocks is not None:
            blocks = n_blocks(self.backbone)
            self._require("train_last_blocks", lambda value: 1 <= value <= blocks, f"from 1 to {blocks}")
            if self.freeze_backbone:
                raise ValueError(
                    f"freeze_backbone trains no block, train_last_blocks={self.train_last_blocks} some; "
                    "leave one of them out"
                )
        if self.init_from is not None and self.weights is not None:
            raise ValueError(
                f"init_from {self.init_from!r} and weights {self.weights!r} both say where the backbone "
                "begins; leave one of them out"
            )
        if self.patience and not self.validation:
            raise ValueError(
                f"patience {self.patience} needs images to validate on, got validation=0; "
                "give the share of them, like 0.1"
            )
        factors = self.stage_lr_factors
        if factors is not None:
            ok = len(factors) == self.stages and all(0 <= factor < float("inf") for factor in factors)
            if not ok:
                raise ValueError(
                    f"stage_lr_factors must be {self.stages} finite numbers >= 0, one a stage, got {factors}"
                )

    def _require(self, name: str, holds: Any, rule: str) -> None:
        value = getattr(self, name)
        if value is not None and not holds(value):
            raise ValueError(f"{name} must be {rule}, got {value!r}")

    def resolved(self, *, image_side: int, n_images: int) -> TrainConfig:
        """Return the settings with every None filled; ``image_side`` is that of the first image."""
        info = backbone_info(self.backbone)
        small = self.backbone == "small_cnn"
        if small:
            size = min(max(image_side, info.min_image_size), 64)
        else:
            # Small images are enlarged to twice their side: more costs time and adds no information.
            size = min(info.image_size, max(info.min_image_size, 2 * image_side))
        if self.freeze_backbone:
            defaults: dict[str, Any] = frozen_defaults(self.method)
        elif self.train_last_blocks is not None:
            defaults = LAST_BLOCKS_DEFAULTS
        elif small:
            defaults = SMALL_DEFAULTS
        else:
            defaults = WHOLE_DEFAULTS
        defaults = defaults | {
            "image_size": size,
            # Weights made elsewhere carry statistics that small batches would spoil.
            "freeze_norm": self.freeze_backbone or self.weights is not None or self.init_from is not None,
        }
        if not self.freeze_backbone:
            epoch = max(1, n_images // (self.batch_size or defaults["batch_size"]))
            defaults["iterations"] = min(max(20 * epoch, 250), 5000)
        complete = complete_settings(self.method, self.loss_settings(), n_bits=self.n_bits)
        defaults |= {name: getattr(complete, name) for name in LossSettings.names()}
        filled = {name: value for name, value in defaults.items() if getattr(self, name) is None}
        if filled.get("dropout") and (self.hidden == 0 or not (self.hidden or filled.get("hidden"))):
            filled["dropout"] = 0.0
        return replace(self, **filled)

    def loss_settings(self) -> LossSettings:
        """Return the settings of the loss."""
        return LossSettings(**{name: getattr(self, name) for name in LossSettings.names()})

    def identity(self) -> dict[str, Any]:
        """Return, as plain JSON values, the settings that the result depends on."""
        values = {k: v for k, v in asdict(self).items() if k not in _NOT_PART_OF_THE_RESULT}
        if self.weights not in (None, "torchvision"):
            values["weights"] = Path(str(self.weights)).name
        if self.init_from is not None:
            values["init_from"] = Path(self.init_from).name
        if self.stage_lr_factors is not None:
            values["stage_lr_factors"] = list(self.stage_lr_factors)
        return values

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of all settings."""
        return tuple(field.name for field in fields(cls))


# Chosen on a validation part of the Tiny-ImageNet-100 training images (frozen MobileNetV2, 48 bits). The
# large batch matters: with 100 classes a batch of 256 has few similar pairs, and their noise costs much MAP.
FROZEN_DEFAULTS: dict[str, Any] = {
    "hidden": 1024,
    "dropout": 0.5,
    "augment": "none",
    "iterations": 500,
    "batch_size": 1024,
    "lr": 1e-3,
    "backbone_lr_factor": 0.0,
    "weight_decay": 0.0,
}
# What a method changes of them. Methods with a target for each item do better with a higher rate on the same
# validation part: by .03 to .08 MAP in 200 steps of batch 512, CSQ .600 against .584 with the steps above.
FROZEN_DEFAULTS_OF: dict[str, dict[str, Any]] = {
    name: {"lr": 3e-3} for name in ("cnnh", "greedyhash", "csq", "dpn", "orthohash")
}


def frozen_defaults(method: str) -> dict[str, Any]:
    """Return the defaults of training the head of ``method`` on a frozen backbone."""
    return FROZEN_DEFAULTS | FROZEN_DEFAULTS_OF.get(method, {})


LAST_BLOCKS_DEFAULTS: dict[str, Any] = {
    "hidden": 0,
    "dropout": 0.0,
    "augment": "none",
    "batch_size": 256,
    "lr": 1e-3,
    "backbone_lr_factor": 0.1,
    "weight_decay": 0.0,
}
SMALL_DEFAULTS: dict[str, Any] = {
    "hidden": 0,
    "dropout": 0.0,
    "augment": "shift",
    "batch_size": 128,
    "lr": 1e-3,
    "backbone_lr_factor": 1.0,
    "weight_decay": 0.0,
}
WHOLE_DEFAULTS: dict[str, Any] = {
    "hidden": 0,
    "dropout": 0.0,
    "augment": "flip",
    "batch_size": 64,
    "lr": 1e-3,
    "backbone_lr_factor": 0.1,
    "weight_decay": 0.0,
}
