"""The `paper` presets on CIFAR-10, judged by the field's protocol, beside the published figures. Meant for a GPU: hours on one, weeks on two CPU cores."""
import tempfile
import pandas as pd
from common import RESULTS, arguments, stamp, write
from dd_nb import distill, evaluate, load_data, published
args = arguments(__doc__, data=dict(default="", help="default cifar10, with --quick digits"), methods=dict(default="dm,datadam,atom"), ipc=dict(default="1,10"), seeds=dict(type=int, default=1, help="distillation seeds"),
                 students=dict(type=int, default=5), nets=dict(default="convnet;convnet:norm=batch", help="students, with semicolons"), root=dict(default=None, help="folder of runs, to go on after a stop"))
# what --quick changes: the same code and presets, cut down to what ends in minutes on two cores
SMALL = dict(steps=3, batch_real=32, net="convnet:width=16,norm=batch") if args.quick else {}
judged = dict(epochs=5) if args.quick else {}

def figure(method, ipc):
    p = published(ipc=ipc, net="convnet*")
    p = p[(p.method == method) & (p.data == data.name)]
    return dict(published=100*p.accuracy.iloc[0], published_std=100*p["std"].iloc[0], published_source=p.source.iloc[0]) if len(p) else dict(published_source="no figure on file")

data, root, parts = load_data(args.data or ("digits" if args.quick else "cifar10")), args.root or tempfile.mkdtemp(), []
for method in args.methods.split(","):
    for ipc in map(int, args.ipc.split(",")):
        for s in range(args.seeds):
            run = distill(method, data, ipc=ipc, preset="paper", seed=s, root=root, **SMALL)
            t = evaluate(run, data, args.nets.split(";"), 1 if args.quick else args.students, protocol="dc", **judged)
            parts.append(t.assign(distil_seed=s, distil_seconds=run.progress["seconds"], preset="paper", **figure(method, ipc)))
write(pd.concat(parts, ignore_index=True).drop(columns="artifact").assign(**stamp()), "paper_table", args)
