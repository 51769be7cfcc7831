"""Classic methods on real-valued features, for comparison: ``fit(X, y)``, then ``encode(X)``.

They follow scikit-learn's conventions; see :class:`FeatureHash` for what they share.
"""

from hashnet.baselines.bre import BRE
from hashnet.baselines.itq import ITQ
from hashnet.baselines.itq_cca import ITQCCA
from hashnet.baselines.ksh import KSH
from hashnet.baselines.lsh import LSH
from hashnet.baselines.method import FeatureHash
from hashnet.baselines.sdh import SDH
from hashnet.baselines.sh import SH

__all__ = ["BRE", "ITQ", "ITQCCA", "KSH", "LSH", "SDH", "SH", "FeatureHash"]
