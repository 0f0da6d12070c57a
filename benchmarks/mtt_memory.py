"""MTT: peak memory and seconds of one update as the student takes more steps, ours (exact, and truncated) beside the graph over all steps. Each side in its own process, so that the peaks are its own,
and with large blocks given back at once (MALLOC_MMAP_THRESHOLD_), so that they are of what is alive and not of what the allocator keeps."""
import os, subprocess, sys, time
import torch
from common import arguments, peak_mb, reset_peak, stamp, write

args = arguments(__doc__, data=dict(default="cifar10"), net=dict(default="convnet:width=64"), ipc=dict(type=int, default=10), steps=dict(default="10,20,30,50"), one=dict(default="", help="internal: side,steps"))

def one(side, T):
    from dd_nb import load_data
    from dd_nb.core import generator
    from dd_nb.loop import State
    from dd_nb.methods.mtt import MTT
    from dd_nb.methods.trajectories import trajectory_gradient, unrolled_gradient, walk
    from dd_nb.settings import get_device
    device = get_device()
    data = load_data(args.data).to(device)
    m, s = MTT(net=args.net, syn_steps=T, experts=1), State(0, device)
    m.setup(s, data, args.ipc)
    flat, rate = s.cache["experts"].flat, s.modules["student"].lr
    theta = s.cache["experts"].start(0)
    target = theta + .01*torch.randn(theta.shape, generator=generator(0, "t")).to(device)
    full = s.distilled.materialize()
    rows, batches = m.student_batches(s, data, full.images, full.labels)
    reset_peak(device)
    before, start = peak_mb(device), time.perf_counter()
    total = torch.zeros_like(full.images)
    take = lambda i, g: total.index_add_(0, rows[i], g)
    if side == "unrolled":
        loss, grads, _ = unrolled_gradient(flat, theta, target, batches, rate)
        for i, g in enumerate(grads): take(i, g)
    else: loss, _ = trajectory_gradient(flat, walk(flat, theta, batches, rate), target, batches, rate, take, exact=side == "exact")
    print(peak_mb(device), before, time.perf_counter() - start, float(loss), float(total.norm()))

if args.one: one(args.one.split(",")[0], int(args.one.split(",")[1])); sys.exit()
rows = []
for side in ("exact", "truncated", "unrolled"):
    for T in ([2, 4] if args.quick else map(int, args.steps.split(","))):
        p = subprocess.run([sys.executable, __file__, "--data", args.data, "--net", args.net, "--ipc", str(args.ipc), "--one", f"{side},{T}"], capture_output=True, text=True, env=os.environ | dict(MALLOC_MMAP_THRESHOLD_="65536"))
        what = dict(side=side, syn_steps=T, data=args.data, net=args.net, ipc=args.ipc)
        if p.returncode: rows.append(what | dict(peak_mb=float("nan"), seconds=float("nan"), note="out of memory" if p.returncode < 0 else p.stderr.strip().splitlines()[-1][:80], seed=0, **stamp()))
        else:
            peak, before, secs, loss, norm = map(float, p.stdout.split())
            rows.append(what | dict(peak_mb=round(peak), before_mb=round(before), seconds=round(secs, 2), loss=loss, gradient_norm=norm, note="", seed=0, **stamp()))
        print(rows[-1], flush=True)
write(rows, "mtt_memory", args)
