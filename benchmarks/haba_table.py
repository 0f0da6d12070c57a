"""HaBa on top of an objective beside that objective alone, at equal storage; and HaBa's ablation. `quick` presets and protocol, real images.

Sides: `alone` (plain images, as many as the budget), `haba` (bases and hallucinators; an epoch shows every basis once), `haba, all pairs` (the same, with all pairs stored as plain images),
and with --ablation `no game` (no adversary, no likeness), `bases only` and `hallucinators only` (the other factor stays as it began)."""
import tempfile
import pandas as pd
from common import RESULTS, arguments, merge, stamp
from dd_nb import distill, evaluate, load_data
from dd_nb.loop import method_config

args = arguments(__doc__, data=dict(default="cifar10"), objectives=dict(default="dm,dsa,mtt,atom"), ipc=dict(default="2,10", help="budgets in images a class"), seeds=dict(type=int, default=1, help="distillation seeds"),
                 students=dict(type=int, default=3), nets=dict(default="convnet:width=64;resnet18;vgg11;alexnet", help="students, with semicolons; the first also judges all pairs"),
                 sides=dict(default="alone,haba"), all_pairs=dict(type=int, default=1, help="students of the set of all pairs (it is H times as large)"), ablation=dict(action="store_true"), set=dict(default="", help="hyper-parameters of HaBa that differ, with semicolons"), times=dict(type=int, default=1, help="this many times the objective's steps, for either side; the rows say so"), epochs=dict(type=int, default=0, help="of students; 0: the protocol's"), precision=dict(default="bfloat16", help="of the students"),
                 root=dict(default=None, help="folder of runs, to go on after a stop"))
KEY, out = ["data", "objective", "budget", "side", "net"], args.out or RESULTS/"haba_table.csv"
ABLATION = {"no game": dict(l_cos=0.), "bases only": dict(learn="bases"), "hallucinators only": dict(learn="hallucinators")}
changes = dict(c.split("=", 1) for c in args.set.split(";") if c)
data, nets, students, root = load_data(args.data), args.nets.split(";"), 1 if args.quick else args.students, args.root or tempfile.mkdtemp()
judge = lambda what, nets, students=students: evaluate(what, data, nets, students, precision=args.precision, progress=False, **(dict(epochs=5) if args.quick else dict(epochs=args.epochs) if args.epochs else {}))

for objective in args.objectives.split(","):
    for ipc in map(int, args.ipc.split(",")):
        for side in (list(ABLATION) if args.ablation else args.sides.split(",")):
            parts = []
            for s in range(1 if args.quick else args.seeds):
                alone = side == "alone"
                steps = 2 if args.quick else args.times*method_config(objective, data.name, ipc).n_steps if args.times > 1 else 0
                hyper = (dict(steps=steps) if steps else {}) if alone else dict(changes, objective=objective, **ABLATION.get(side, {})) | (dict(options=f"steps={steps}") if steps else {})
                run = distill(objective if alone else "haba", data, ipc=ipc, seed=s, root=root, progress=False, **hyper)
                tables = {side: judge(run, nets)}
                if side == "haba" and args.all_pairs: tables["haba, all pairs"] = judge(run.distilled.to_images(), nets[:1], args.all_pairs)
                about = dict(objective=objective, budget=ipc, stored=round(run.distilled.storage_ipc, 2), distil_seed=s, distil_seconds=run.progress["seconds"], precision=args.precision)
                parts += [t.assign(side=f"{k}, {args.times} x steps" if args.times > 1 else k, **about) for k, t in tables.items()]
                print(data.name, objective, ipc, s, f"{run.progress['seconds']:.0f} s", {k: t.groupby("net", sort=False).accuracy.mean().round(4).tolist() for k, t in tables.items()}, flush=True)
            table = pd.concat(parts, ignore_index=True).drop(columns="artifact").assign(**stamp())
            if not args.quick: table = merge(table, out, KEY)
print(table.groupby(KEY, sort=False).accuracy.agg(["mean", "std", "count"]).round(4).to_string())
