"""The table of named protocols: where each comes from, and what it fixes.

Counts and R of ``imagenet100``, ``nuswide81`` and ``coco`` are those of HashNet's lists and tables. The
names cifar10-1 and cifar10-2, their counts and those of nuswide21 are the ones that swuxyj/DeepHash-pytorch
documents and reports by; no lists of cifar10-1 were published, so ours are drawn by a seed of our own. (That
project's plain "cifar10" has a database of 54,000 without the training images; ours is another one.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from hashnet.datasets.protocol import Protocol
from hashnet.datasets.protocol_checksums import CHECKSUMS

_HASHNET = "Cao, Long, Wang, Yu: HashNet, ICCV 2017; lists of the authors' repository (thuml/HashNet)"
_AS_PUBLISHED = "the published lists, read as they are"
_OWN_SPLIT = "the split of the data: 0 is database and training set, 1 is queries"

_TABLE = (
    Protocol(
        name="imagenet100",
        title="ImageNet-100",
        source=_HASHNET,
        rule="lists",
        split=_AS_PUBLISHED,
        # The paper says 100 a class; the lists hold 130.
        sampling="100 classes of ILSVRC 2012: queries from its validation set, 130 training images a class",
        at=1000,
        n_classes=100,
        n_database=128_503,
        n_query=5_000,
        n_train=13_000,
    ),
    Protocol(
        name="nuswide81",
        title="NUS-WIDE, 81 concepts",
        source=_HASHNET,
        rule="lists",
        split=_AS_PUBLISHED,
        sampling="images of the 81 concepts of NUS-WIDE (Chua et al., CIVR 2009), some without a label",
        at=5000,
        n_classes=81,
        # The database differs from release to release, from 193k to 223k.
        n_database=0,
        n_query=5_000,
        n_train=10_000,
    ),
    Protocol(
        name="nuswide21",
        title="NUS-WIDE, 21 most frequent concepts",
        source="Lai, Pan, Liu, Yan: Simultaneous feature learning and hash coding, CVPR 2015 (DNNH); "
        "lists as in swuxyj/DeepHash-pytorch",
        rule="lists",
        split=_AS_PUBLISHED,
        sampling="195,834 images of the 21 concepts: 100 queries a concept, the rest is the database; "
        "500 a concept of it are trained on",
        at=5000,
        n_classes=21,
        n_database=193_734,
        n_query=2_100,
        n_train=10_500,
    ),
    Protocol(
        name="coco",
        title="MS COCO 2014",
        source=_HASHNET,
        rule="lists",
        split=_AS_PUBLISHED,
        sampling="images of COCO 2014, train and val, with a category; 10,000 are trained on",
        at=5000,
        n_classes=80,
        n_database=112_218,
        n_query=5_000,
        n_train=10_000,
        # The paper's 117,218 = 112,218 - 5,000 + 10,000; ProtocolData.repair gives it.
        known_faults=(
            "the published database contains the 5,000 queries and lacks the 10,000 training images",
        ),
    ),
    Protocol(
        name="cifar10-1",
        title="CIFAR-10, 1,000 queries",
        source="after Li, Wang, Kang: DPSH, IJCAI 2016; counts and name as in swuxyj/DeepHash-pytorch",
        rule="per class",
        split="of all 60,000 images 100 a class are queries, the other 59,000 the database",
        sampling="500 a class of the database, other than the queries, are trained on",
        at=None,
        n_classes=10,
        n_database=59_000,
        n_query=1_000,
        n_train=5_000,
        query_per_class=100,
        train_per_class=500,
    ),
    Protocol(
        name="cifar10-2",
        title="CIFAR-10, 10,000 queries",
        source="after Su, Zhang, Han, Tian: GreedyHash, NeurIPS 2018; counts and name as in "
        "swuxyj/DeepHash-pytorch",
        rule="own",
        split="the 10,000 test images are queries, the 50,000 training images the database",
        sampling="the whole database is trained on",
        at=None,
        n_classes=10,
        n_database=50_000,
        n_query=10_000,
        n_train=50_000,
    ),
    Protocol(
        name="cifar10",
        title="CIFAR-10, R = 1000",
        source="of this project: the lists of cifar10-2 with an R that says more about the first answers",
        rule="own",
        split=_OWN_SPLIT,
        sampling="the whole database is trained on",
        at=1000,
        n_classes=10,
        n_database=50_000,
        n_query=10_000,
        n_train=50_000,
    ),
    Protocol(
        name="tinyimagenet100",
        title="Tiny-ImageNet-100",
        source="of this project: 101 classes of Tiny ImageNet, 130 + 30 images each, with the imbalance "
        "of 100:1 that HashNet's weights were made for",
        rule="own",
        split=_OWN_SPLIT,
        sampling="the whole database is trained on",
        at=1000,
        n_classes=101,
        n_database=13_130,
        n_query=3_030,
        n_train=13_130,
    ),
    Protocol(
        name="mosaic",
        title="mosaics of 2 x 2 tiles",
        source="of this project: multi-label images where none are at hand",
        rule="mosaic",
        split="database mosaics are made of training tiles, query mosaics of test tiles",
        sampling="1 to 4 classes a mosaic, each number equally often; the first 10,000 of the database are "
        "trained on",
        at=5000,
        n_classes=0,
        n_database=20_000,
        n_query=2_000,
        n_train=10_000,
    ),
)

PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {one.name: replace(one, checksums=CHECKSUMS.get(one.name, {})) for one in _TABLE}
)
