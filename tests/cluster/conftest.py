"""A Ray cluster of several nodes on this machine: a head that does not work, and two that do."""

import os
import warnings

import pytest

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # else a token is written to the home folder
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"  # what Ray 2.60 warns that it will be
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_worker_niceness", "0")  # 15 starves on a machine that does other things

STORE = 80 * 2**20


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """The cluster, joined by this process; nodes may be added and killed."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("HYPERPRUNE_CACHE", str(tmp_path_factory.mktemp("nodes")))  # of the workers
        warnings.simplefilter("ignore")  # sockets and processes that Ray leaves to the collector
        head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
        made = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(2):
            made.add_node(num_cpus=1, object_store_memory=STORE)
        ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture
def node(cluster):
    """Add nodes of one CPU; those that are left are taken away afterwards."""
    added = []

    def add(**how):
        made = cluster.add_node(num_cpus=1, object_store_memory=STORE, **how)
        added.append(made)
        return made

    yield add
    for made in added:
        if made in cluster.worker_nodes:
            cluster.remove_node(made)
