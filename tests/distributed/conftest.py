"""What several tests of distributed work share."""

import pytest


@pytest.fixture(scope="module")
def lasting_cluster():
    """A Ray of 2 CPUs that outlives the drivers which join it."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "object_store_memory": 200 * 2**20, "include_dashboard": False},
    )
    yield cluster
    cluster.shutdown()
