"""The defaults learn: handwritten digits to 32-bit codes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hashnet.codes import pack
from hashnet.datasets import open_images, split
from hashnet.evaluation import evaluate
from hashnet.models import load_model
from hashnet.training import TrainConfig, train


@pytest.mark.slow
def test_digits_train_by_default_to_a_map_above_95_percent(tmp_path):
    images = open_images("digits")
    database, query = split(images)
    model = load_model(train(images, database, TrainConfig(), output=tmp_path).model_dir)

    def codes(rows):
        batch = torch.from_numpy(model.preprocess([images.load(int(row)) for row in rows]))
        return pack(model.relaxed(batch).numpy())

    labels = np.asarray(images.labels)
    result = evaluate(codes(query), labels[query], codes(database), labels[database], at=1000)
    assert result.map_tie_aware > 0.95
