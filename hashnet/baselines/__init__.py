"""Classic methods on real-valued features, for comparison: ``fit(features)``, then ``encode(features)``."""

from hashnet.baselines.itq import ITQ
from hashnet.baselines.lsh import LSH

__all__ = ["ITQ", "LSH"]
