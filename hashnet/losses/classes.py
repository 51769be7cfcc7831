"""Classifying items with one label or several: the cross-entropy that the classifying methods share."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def classification_loss(logits: Tensor, labels: Tensor, *, multi_label: bool) -> Tensor:
    """Return the mean cross-entropy of ``logits`` with multi-hot ``labels``, both ``(n, n_classes)``.

    With one label an item it is that of softmax, over the items that have one; with several that of a
    sigmoid for each class, over all items and classes. Zero where no item has a label.
    """
    check_classes(labels, logits.shape[1])
    labels = labels.to(logits.dtype)
    if multi_label:
        return functional.binary_cross_entropy_with_logits(logits, labels)
    per_item = -(labels * functional.log_softmax(logits, dim=1)).sum()
    return per_item / labels.sum().clamp_min(1)


def check_classes(labels: Tensor, n_classes: int) -> None:
    """Raise ValueError unless ``labels`` has a column for each class of training."""
    if labels.ndim != 2 or labels.shape[1] != n_classes:
        raise ValueError(
            f"labels must have a column for each of the {n_classes} classes of training, "
            f"got shape {tuple(labels.shape)}"
        )
