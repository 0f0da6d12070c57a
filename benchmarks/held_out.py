"""Settings of a method compared without the test images: distilled on four fifths of the training images, students judged on the rest (2,000 at most). This is how `quick` presets are chosen.

    python held_out.py --method rcig --set "steps=300;batch_real=128" --label "rcig, 300 steps"
"""
import tempfile
from dataclasses import replace
import pandas as pd
import torch
from common import RESULTS, arguments, merge, stamp
from dd_nb import distill, evaluate, load_data
from dd_nb.core import generator

args = arguments(__doc__, data=dict(default="digits"), ipc=dict(type=int, default=1), method=dict(default="rcig"), set=dict(default="", help="hyper-parameters that differ, with semicolons"), label=dict(default="", help="name of the row; default the method and what differs"),
                 seeds=dict(type=int, default=3, help="distillation seeds"), students=dict(type=int, default=2), nets=dict(default="convnet", help="students, with semicolons"), precision=dict(default="float32"))
full = load_data(args.data)
data, rest = full.subset(.8, generator(0, "held out"))
pick = torch.randperm(len(rest.y_train), generator=generator(0, "judged"))[:2_000]
data = replace(data, x_test=rest.x_train[pick], y_test=rest.y_train[pick])
changes, parts = dict(c.split("=", 1) for c in args.set.split(";") if c), []
for s in range(1 if args.quick else args.seeds):
    run = distill(args.method, data, ipc=args.ipc, seed=s, root=tempfile.mkdtemp(), progress=False, **changes, **(dict(steps=2) if args.quick else {}))
    m = run.metrics
    t = evaluate(run.distilled, data, args.nets.split(";"), 1 if args.quick else args.students, precision=args.precision, progress=False)
    parts.append(t.assign(setting=args.label or "; ".join([args.method, *changes]), changes=args.set, distil_seed=s, distil_seconds=run.progress["seconds"], regression=m.real_accuracy.tail(30).mean() if "real_accuracy" in m else float("nan")))
    print(args.data, args.ipc, parts[-1].setting[0], s, f"{run.progress['seconds']:.0f} s", t.accuracy.round(4).tolist(), flush=True)
table = pd.concat(parts, ignore_index=True).drop(columns="artifact").assign(precision=args.precision, **stamp())
KEY = ["data", "setting", "ipc", "net"]
if not args.quick: table = merge(table, args.out or RESULTS/"held_out.csv", KEY)
print(table.groupby(KEY, sort=False)[["accuracy", "regression", "distil_seconds"]].agg(["mean", "std"]).round(4).to_string())
