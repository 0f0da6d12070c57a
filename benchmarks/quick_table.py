"""Every method with its `quick` preset on real images: IPC 1 and 10, ConvNet students of width 64 with instance and with batch norm, `quick` protocol."""
import tempfile
import pandas as pd
from common import RESULTS, arguments, merge, stamp
from dd_nb import bounds, distill, evaluate, load_data

ALL = "random,herding,kcenter,dc,dsa,dm,mtt,datadam,atom"
args = arguments(__doc__, data=dict(default="cifar10,fashion_mnist,mnist", help="data sets, with commas"), methods=dict(default=ALL),
                 ipc=dict(default="1,10"), seeds=dict(type=int, default=2, help="distillation seeds"), students=dict(type=int, default=3, help="students a set"),
                 nets=dict(default="convnet:width=64;convnet:width=64,norm=batch", help="students, with semicolons"),
                 set=dict(default="", help="hyper-parameters that differ, with semicolons: net=convnet:width=64,norm=batch"), label=dict(default="", help="name of such a variant in the table"), precision=dict(default="bfloat16", help="of the students; equal accuracy in both (student_speed.csv)"),
                 whole=dict(action="store_true", help="the upper bound too (1,000 steps)"))
out = args.out or RESULTS/"quick_table.csv"
KEY = ["data", "method", "ipc", "net"]
changes = dict(c.split("=", 1) for c in args.set.split(";") if c)
label = lambda d: "Imagenette subset, 128 px (WebP q75)" if "imagenette128" in d else d

def keep(parts):
    "Rows of other data, methods and IPCs stay, so that the table can be made in parts."
    t = pd.concat(parts, ignore_index=True).drop(columns="artifact").assign(precision=args.precision, **stamp())
    t["data"] = t.data.map(label)
    return t if args.quick else merge(t, out, KEY)

root = tempfile.mkdtemp()     # experts of MTT are shared by the runs in it
for name in args.data.split(","):
    data = load_data(name)
    for method in filter(None, args.methods.split(",")):           # --methods "" --whole: the bound alone
        for ipc in map(int, args.ipc.split(",")):
            parts = []
            for s in range(1 if args.quick else args.seeds):
                run = distill(method, data, ipc=ipc, seed=s, root=root, progress=False, **changes)
                t = evaluate(run, data, args.nets.split(";"), 1 if args.quick else args.students, precision=args.precision, progress=False)
                if args.label: t["method"] = args.label
                parts.append(t.assign(distil_seed=s, distil_seconds=run.progress["seconds"]))
                print(label(name), ipc, method, s, f"{run.progress['seconds']:.1f} s", t.accuracy.round(4).tolist(), flush=True)
            table = keep(parts)
    if args.whole: table = keep([bounds(data, 1, args.nets.split(";"), 1, kinds=("whole",), precision=args.precision, root=root, progress=False).assign(distil_seed=0, distil_seconds=0.)])
print(table.groupby(KEY, sort=False).accuracy.agg(["mean", "std", "count"]).round(4).to_string())
