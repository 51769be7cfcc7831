"""Checksums of the lists on which the protocols are known: a figure is traced to its data by them.

Those of published lists are over the labels of each list in its order, those of packs also over the rows.
The mosaic has two bases, Tiny-ImageNet-100 and CIFAR-10.
"""

from __future__ import annotations

from collections.abc import Mapping

CHECKSUMS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "imagenet100": {
        "database": ("sha256:5e7cef35f68d4e3c1e8aa1cf60580dfb98c6f45765df4693be03e1574063c74c",),
        "query": ("sha256:baad0157d560df59b844ca1ef0f143abab8bc01ff3a8c715e6376ca32783d91d",),
        "train": ("sha256:f5cbe8615e4bef4903f238348d423721457d7f0adfc870ac28aaf84371b0336f",),
    },
    "nuswide81": {
        "query": ("sha256:87006a66018b6016e3b58947873981a2e8a165b8b7926ffc596bcb8e74dfff61",),
        "train": ("sha256:c2ee152c6252c3c44a8655e078c8c339108b22a220db37a98fe9d7ae48ae513a",),
    },
    "coco": {
        "database": ("sha256:2d2f29158ed76b8b938c1515eb2b68f193872fa47c35cc1d31a5948e36edce56",),
        "query": ("sha256:c681ab44c9510e6fbbc4d6affa9ac40c13772f98ba2b0af816913a668b5b7a01",),
        "train": ("sha256:a2db4632789e29b63ed85f3d0dad7225d476e527ed745ebc864a5b93b1813455",),
    },
    "cifar10-1": {
        "rows": ("sha256:83d31b989e36e24949218dea901d5fe3ad4c524d805ed4818f5a363bbc1a323a",),
        "database": ("sha256:bd4a602157bdb1c30a7385050d7a2dd7cd8632d92e76d2be99f95185bfdec1a8",),
        "query": ("sha256:5dd9a0b3a5bf469c63df1a880a2a5cf9bac11a6374aff3a21727bb44b370952d",),
        "train": ("sha256:613086a75288282767ed3b629ffc2c4d89ee88c8467e335275422ef3f2e3d2a5",),
    },
    "cifar10-2": {
        "rows": ("sha256:a2dccc3142d2a87f71d9c1f1fae19bc32f0a013e2541cff232cad05fcc5f3c6c",),
        "database": ("sha256:efa350e22ab0330df5521df02fbc7aa51d1aa6133faa66506fdfefafc066b190",),
        "query": ("sha256:bb80eae2b9a18cf9760dd39dd88c5ba5a96e9be657c0d961b3f5ff4a738fb202",),
        "train": ("sha256:efa350e22ab0330df5521df02fbc7aa51d1aa6133faa66506fdfefafc066b190",),
    },
    "cifar10": {
        "rows": ("sha256:a2dccc3142d2a87f71d9c1f1fae19bc32f0a013e2541cff232cad05fcc5f3c6c",),
        "database": ("sha256:efa350e22ab0330df5521df02fbc7aa51d1aa6133faa66506fdfefafc066b190",),
        "query": ("sha256:bb80eae2b9a18cf9760dd39dd88c5ba5a96e9be657c0d961b3f5ff4a738fb202",),
        "train": ("sha256:efa350e22ab0330df5521df02fbc7aa51d1aa6133faa66506fdfefafc066b190",),
    },
    "tinyimagenet100": {
        "rows": ("sha256:32f453836e9bf41897b4afe675804ccfce67a8333dfdf6e53ecb56efe78c6c1e",),
        "database": ("sha256:cea00c262b6468665e5033291896950caa7eda4fd7e74fa09d32a60d83c89a25",),
        "query": ("sha256:395c02f8428da75a054adffbd78f33b05cc89d15bed85ec2e60ed744e9d0ada3",),
        "train": ("sha256:cea00c262b6468665e5033291896950caa7eda4fd7e74fa09d32a60d83c89a25",),
    },
    "mosaic": {
        "rows": (
            "sha256:be77a984b9eaf46cea00e62896d2b3ccbbac2a6baa8a4e5b2e4503658091e68e",
            "sha256:f9f1e8b53b0c9230281d88ae63fb3638efe4995d45f851c2de961b38ee24ec01",
        ),
        "database": (
            "sha256:adf927db7e5affa1ebbcd55da651cbfdb55d138a88f186e80e9075bc9556a507",
            "sha256:2610ca04007785f42af87e8efe9d634fc1b38e2f737e721ed6b570e605e9ae43",
        ),
        "query": (
            "sha256:68550623d60c5ad416e8e160d8e4a4dc69b8547c77016b5c36024ad7155f69c3",
            "sha256:e3fe62074b7643230de037ff9f4fba42a468bc1342af3bd6ecb009dbeae9dfa4",
        ),
        "train": (
            "sha256:00d4c4c4008dd2b9192916570178896ca7d7f32b35bfe8a6af01acd6de80e885",
            "sha256:395a8f458d2297b53c3eb87b2c86307591313598a2020b3049794211978135d1",
        ),
    },
}
