"""A sweep on a real Ray cluster of several nodes: one is killed while it works, and the table is the one made here."""
import os, threading, time
import pytest, ray
from browser import free_port
from dd_nb.compare.sweep import planned_run, cells, as_grid, sweep, sweep_iter
from dd_nb.core import ConfigError

GRID = dict(methods=["random", "dm"], nets=["mlp:width=16", "lenet"], seeds=2, students=1, changes=dict(epochs=4), hyper=dict(dm=dict(steps=800, net="convnet:width=8", batch_real=16)))
SECONDS = ["seconds", "distil_seconds"]

@pytest.fixture(scope="module")
def cluster():
    "A head that only leads, and two nodes of one core."
    from ray.cluster_utils import Cluster
    os.environ |= dict(RAY_DEDUP_LOGS="0", RAY_USAGE_STATS_ENABLED="0", DD_NB_CHECKPOINT_SECONDS="1", DD_NB_DEVICE="cpu")
    PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
    def size(): return dict(object_store_memory=80 << 20, include_dashboard=False, **{k: free_port() for k in PORTS})      # ports that are known need not be waited for: on a busy machine a node gives up
    soon = dict(health_check_initial_delay_ms=0, health_check_period_ms=1_000)      # a dead node is known within seconds
    c = Cluster(initialize_head=True, head_node_args=dict(num_cpus=0, _system_config=soon, **size()))
    nodes = [c.add_node(num_cpus=1, **size()) for _ in range(2)]
    yield c, nodes
    ray.shutdown()
    c.shutdown()
    os.environ.pop("DD_NB_CHECKPOINT_SECONDS")

def same(a, b): assert a.drop(columns=SECONDS).to_dict("records") == b.drop(columns=SECONDS).to_dict("records")

def test_without_a_cluster_it_is_said_in_words(tmp_path):
    with pytest.raises(ConfigError, match="no Ray cluster at 'auto'.*ray start --head"): next(sweep_iter(GRID, "ray", tmp_path))

def test_a_node_dies_and_the_table_is_the_same(cluster, tmp_path):
    c, nodes = cluster
    far, killed = tmp_path/"far", []
    running = [planned_run(cell, far) for cell in cells(as_grid(GRID)) if cell.method == "dm"]
    def kill():
        while not all(r.busy for r in running): time.sleep(.05)      # both nodes are in the middle of a run
        while not all((r.path/"checkpoint.safetensors").exists() and r.step > 0 for r in running): time.sleep(.05)
        c.remove_node(nodes[0], allow_graceful=False)
        killed.append(sum(r.state_done for r in running))
    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    s = sweep(GRID, "ray", far, address=c.address, progress=False)
    thread.join(1)
    assert killed and killed[0] < 2, "the node was to be killed while both were at work"
    assert sum(n["Alive"] for n in ray.nodes()) == 2 if ray.is_initialized() else len(c.list_all_nodes()) == 2
    assert not len(s.failed) and s.done == 1 and not list(far.glob(".sweep-*"))
    same(s.table, sweep(GRID, "local", tmp_path/"near", progress=False).table)

def test_nodes_that_do_not_see_our_files(cluster, tmp_path):
    "A run comes back with the answer, and a failure is told as here."
    grid = dict(methods=["random", "kcenter"], nets="mlp:width=16", students=[3], ipc=2, changes=dict(epochs=3))
    s = sweep(grid, "ray", tmp_path/"far", address=cluster[0].address, shared=False, progress=False)
    same(s.table, sweep(grid, "local", tmp_path/"near", progress=False).table)
    names = lambda k: sorted(p.name for p in (tmp_path/k).glob("*/*") if p.is_file() and p.name != ".lock" and p.parent.name not in ("sweeps", "bounds"))
    assert names("far") == names("near")
    with pytest.raises(ConfigError, match="the cluster has 0"): next(sweep_iter(grid, "ray", tmp_path, address=cluster[0].address, gpus=1))
