"""A run in a process of its own, for tests that end it: python resume_worker.py METHOD ROOT [key=value ...]"""
import os, sys
import torch
from dd_nb.data import load_data
from dd_nb.loop import distill, list_methods

def work(method, root, hyper, threads=1):
    "Every step is a checkpoint, so that a kill meets many writes."
    os.environ["DD_NB_CHECKPOINT_SECONDS"] = "0"
    torch.set_num_threads(threads)
    distill(method, "digits", root=root, progress=False, **hyper)

if __name__ == "__main__":
    method, root, *pairs = sys.argv[1:]
    hyper = dict(p.split("=", 1) for p in pairs)
    work(method, root, hyper | dict(ipc=int(hyper.pop("ipc", 1))), torch.get_num_threads())
else: list_methods(), load_data("digits")      # a server of forks begins with all that a run loads
