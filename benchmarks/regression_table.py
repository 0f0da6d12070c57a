"""RCIG, FRePo and KIP with their `quick` presets on real images: students on the learned labels and on the class numbers alone, across networks; and RCIG's ablation (--ablation). Rows of the first network join the table of all methods (tables.py)."""
import tempfile
import pandas as pd
from common import RESULTS, arguments, merge, stamp
from dd_nb import distill, evaluate, load_data

ABLATION = {"rcig, no reparameterisation": dict(reparam=False), "rcig, not convex": dict(linearize=False, solver="adam"), "rcig, labels fixed": dict(learn_labels=False), "rcig, direct gradient only": dict(adjoint_steps=0),
            "rcig, body fixed": dict(inner_steps=0, adjoint_steps=0)}
args = arguments(__doc__, data=dict(default="digits,cifar10,fashion_mnist", help="data sets, with commas"), methods=dict(default="rcig,frepo,kip"), ipc=dict(default="1,10"), seeds=dict(type=int, default=2, help="distillation seeds"),
                 students=dict(type=int, default=3, help="students a set"), nets=dict(default="convnet:width=64;resnet18;vgg11;alexnet", help="students, with semicolons"), labels=dict(default="own,hard"),
                 ablation=dict(action="store_true", help="RCIG's parts switched off, in place of --methods"), set=dict(default="", help="hyper-parameters that differ, with semicolons"), label=dict(default="", help="name of such a variant in the table"),
                 precision=dict(default="bfloat16", help="of the students"), root=dict(default=None, help="folder of runs, to go on after a stop"))
KEY, out = ["data", "method", "ipc", "net", "trained_on"], args.out or RESULTS/"regression_table.csv"
changes = dict(c.split("=", 1) for c in args.set.split(";") if c)
variants = {k: ("rcig", v) for k, v in ABLATION.items()} if args.ablation else {args.label or m: (m, changes) for m in args.methods.split(",")}
nets, root = args.nets.split(";"), args.root or tempfile.mkdtemp()

for name in args.data.split(","):
    data = load_data(name)
    for ipc in map(int, args.ipc.split(",")):
        for variant, (method, hyper) in variants.items():
            parts = []
            for s in range(1 if args.quick else args.seeds):
                run = distill(method, data, ipc=ipc, seed=s, root=root, progress=False, **hyper, **(dict(steps=2) if args.quick else {}))
                for labels in args.labels.split(","):
                    few = dict(steps=5, student="protocol") if args.quick else {}
                    t = evaluate(run, data, nets, 1 if args.quick else args.students, precision=args.precision, labels=labels, progress=False, **few)
                    parts.append(t.assign(method=variant, trained_on=labels, distil_seed=s, distil_seconds=run.progress["seconds"]))
                    print(name, ipc, variant, s, labels, f"{run.progress['seconds']:.0f} s", t.groupby("net", sort=False).accuracy.mean().round(4).to_dict(), flush=True)
            table = pd.concat(parts, ignore_index=True).drop(columns="artifact").assign(precision=args.precision, **stamp())
            if not args.quick: table = merge(table, out, KEY)
print(table.groupby(KEY, sort=False).accuracy.agg(["mean", "std", "count"]).round(4).to_string())
