"""Coresets and DM with the `quick` preset on real images: IPC 1 and 10, ConvNet of width 64, `quick` protocol."""
import tempfile
import pandas as pd
from common import RESULTS, arguments, stamp, write
from dd_nb import bounds, distill, evaluate, load_data

args = arguments(__doc__, data=dict(default="cifar10,mnist,fashion_mnist", help="data sets, with commas"), methods=dict(default="random,herding,kcenter,dm"),
                 ipc=dict(default="1,10"), seeds=dict(type=int, default=2, help="distillation seeds"), students=dict(type=int, default=3, help="students a set"),
                 net=dict(default="convnet:width=64"), whole=dict(action="store_true", help="the upper bound too (1,000 steps)"))
parts, root = [], tempfile.mkdtemp()
for name in args.data.split(","):
    data = load_data(name)
    for ipc in map(int, args.ipc.split(",")):
        for method in args.methods.split(","):
            for s in range(1 if args.quick else args.seeds):
                run = distill(method, data, ipc=ipc, seed=s, root=root, progress=False)
                t = evaluate(run, data, args.net, 1 if args.quick else args.students, progress=False)
                parts.append(t.assign(distil_seed=s, distil_seconds=run.progress["seconds"]))
                print(name, ipc, method, s, f"{run.progress['seconds']:.1f} s", t.accuracy.round(4).tolist(), flush=True)
    if args.whole: parts.append(bounds(data, 1, args.net, 1, kinds=("whole",), root=root, progress=False)); print(name, "whole", parts[-1].accuracy.tolist(), flush=True)
table = pd.concat(parts, ignore_index=True).drop(columns="artifact").assign(**stamp())
table["data"] = table.data.map(lambda d: "Imagenette subset, 128 px (WebP q75)" if "imagenette128" in d else d)
old = args.out or RESULTS/"quick_table.csv"
if not args.quick and old.exists():       # rows of other data sets stay, so that the table can be made in parts
    before = pd.read_csv(old)
    table = pd.concat([before[~before.data.isin(table.data)], table], ignore_index=True)
write(table, "quick_table", args)
