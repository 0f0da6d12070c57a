"""A run in a process of its own, for tests that end it: python resume_worker.py METHOD ROOT [key=value ...]"""
import sys
from dd_nb.loop import distill
method, root, *pairs = sys.argv[1:]
hyper = dict(p.split("=", 1) for p in pairs)
ipc = int(hyper.pop("ipc", 1))
distill(method, "digits", ipc=ipc, root=root, progress=False, **hyper)
