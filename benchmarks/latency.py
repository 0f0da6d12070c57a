"""What a person waits for: `quick` on digits, evaluation, import, --help. Each in a fresh process, median of three."""
import os, statistics, subprocess, sys, tempfile, time
from common import arguments, stamp, write

args = arguments(__doc__)
IMPORT = "import time; import torch, torchvision; a = time.perf_counter(); import dd_nb; from dd_nb import distill, evaluate, load_data, make_net; print(time.perf_counter() - a)"
QUICK = """
import tempfile, time
from dd_nb import distill, evaluate, load_data
start = time.perf_counter(); run = distill("dm", load_data("digits"), ipc=1, root=tempfile.mkdtemp(), progress=False); print(time.perf_counter() - start)
start = time.perf_counter(); t = evaluate(run, seeds=3, progress=False); print(time.perf_counter() - start)
"""
SPIN = """
import tempfile, time
from dd_nb import distill, load_data
start = time.perf_counter(); distill("dm", load_data("digits"), ipc=1, steps=100, root=tempfile.mkdtemp(), progress=False); print((time.perf_counter() - start)/100)
"""
def python(code, **env): return [float(l) for l in subprocess.run([sys.executable, "-c", code], env=os.environ | env, capture_output=True, text=True, check=True).stdout.split()]
def wall(*cmd):
    start = time.perf_counter()
    subprocess.run(cmd, capture_output=True, check=True)
    return time.perf_counter() - start

n, rows = 1 if args.quick else 3, []
def add(what, values, goal): rows.append(dict(what=what, seconds=round(statistics.median(values), 3), goal=goal, **stamp())); print(rows[-1], flush=True)
add("import dd_nb and its main functions, above torch and torchvision", [python(IMPORT)[0] for _ in range(n)], .5)
add("dd-nb --help", [wall(sys.executable, "-m", "dd_nb.cli", "--help") for _ in range(n)], 1.)
both = [python(QUICK) for _ in range(n)]
add("quick dm on digits, IPC 1", [b[0] for b in both], 15.)
add("evaluation: ConvNet, 3 seeds", [b[1] for b in both], 10.)
busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])       # something else wants a core, as a browser does
try:
    add("a step beside a busy process, threads asleep while they wait (ours)", python(SPIN), None)
    add("a step beside a busy process, threads spinning (OMP_WAIT_POLICY=ACTIVE)", python(SPIN, OMP_WAIT_POLICY="ACTIVE"), None)
finally: busy.kill()
write(rows, "latency", args)
