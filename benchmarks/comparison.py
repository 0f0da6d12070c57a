"""Every method x data set x budget x architecture, by one sweep: the comparison table.

What a small machine cannot do at full length is reduced alike for all methods, and said in every row: `preset` of the method, `steps` of the student (large networks take fewer, --steps), and `reduced` in words. A cell that cannot be (a budget a method does not
fit) or that fails is a row with `error` and without accuracy. Rows are written as they are done; called again it goes on (runs and students are those of --root). --ray ADDRESS uses a cluster."""
import pandas as pd
from common import RESULTS, arguments, merge, stamp
from dd_nb import bounds, list_methods
from dd_nb.compare.sweep import as_grid, cells, planned_run, sweep_iter
from dd_nb.core import DDError
from dd_nb.judge import STUDENTS
from dd_nb.settings import get_device, settings

args = arguments(__doc__, methods=dict(default="*", help="with commas; *: all"), data=dict(default="digits,fashion_mnist,cifar10"), ipc=dict(default="1,10"), nets=dict(default="convnet;resnet18;vgg11;alexnet;vit", help="with semicolons"),
                 seeds=dict(type=int, default=1, help="distillation seeds"), students=dict(type=int, default=3, help="students a set and network"), preset=dict(default="quick"), protocol=dict(default="quick", help="name or file"),
                 steps=dict(default="resnet18=60;vgg11=100;alexnet=100;vit=100", help="steps of a student of these networks, with semicolons; others as the protocol says; '': all"),
                 precision=dict(default="bfloat16", help="of the students; equal accuracy in both (student_speed.csv)"), whole=dict(action="store_true", help="the upper bound too"), root=dict(default=None, help="folder of runs; default the setting's"),
                 workers=dict(type=int, default=1, help="tasks at once, of one thread each"), ray=dict(default="", help="address of a Ray cluster"), gpus=dict(type=float, default=0, help="GPUs a task, on a cluster"), plan=dict(action="store_true", help="only say what is done and what is to do"))
KEY, out, about = ["data", "method", "ipc", "net", "distil_seed", "seed"], args.out or RESULTS/"comparison.csv", stamp(get_device())
names = lambda s, sep=",": [p.strip() for p in s.split(sep) if p.strip()]
methods, nets, fewer = list_methods() if args.methods == "*" else names(args.methods), names(args.nets, ";"), {k: int(v) for k, v in (p.split("=") for p in names(args.steps, ";"))}
grid = dict(methods=methods, data=names(args.data), ipc=[int(i) for i in names(args.ipc)], nets=nets, seeds=args.seeds, students=args.students, presets=args.preset, protocol=args.protocol)
QUICK = dict(steps=2, train_steps=2, net="convnet:width=8", batch_real=8, real="float32", outer=2, inner=1, pool=2, pool_steps=2, inner_steps=2, adjoint_steps=2, draws=2, experts=1, max_start=1, span=1, syn_steps=2, expert_images=200, gan_steps=2, width=8,
             adversary="convnet:width=8", pool_nets="convnet:width=8", batch_gan=16, batch_match=16, pool_batch=16, options="steps=2;net=convnet:width=8;batch_real=8")
if args.quick:
    small = {"convnet": "convnet:width=8", "resnet18": "resnet18:width=8,blocks=1"}
    nets = [small.get(n, n) for n in nets if n in ("convnet", "resnet18", "vit")]
    grid |= dict(data=["digits"], ipc=grid["ipc"][:2], nets=nets, seeds=1, students=1, hyper={"*": QUICK})
    fewer = {n: 2 for n in nets}
# per_net stands after what an artifact brings, so that a method that asks for many steps gets no more than the others
grid["changes"] = dict(precision=args.precision, per_net=[*STUDENTS, *([n, dict(steps=k, warmup=k//10)] for n, k in fewer.items())])

def reduced(r):
    "What is less than the field's protocol (paper preset, 1,000 epochs, 20 students of each of 5 sets), in words."
    parts = [f"preset {r['preset']}"] if r["preset"] != "paper" and r["method"] not in ("random", "herding", "kcenter") else []
    if r["steps"] < 1_000: parts.append(f"{r['steps']} student steps of 1,000 and more")
    return "; ".join([*parts, f"{args.students} students of {args.seeds} set{'s'*(args.seeds > 1)}"])

def keep(rows):
    t = pd.DataFrame(rows).assign(precision=args.precision, **about)
    if not args.quick or args.out: merge(t.drop(columns=[c for c in ("artifact", "run") if c in t]), out, KEY)
    return t

if args.plan:
    for c in cells(as_grid(grid)):
        try: print(f"{planned_run(c, args.root or settings().runs).state:<8} {c}")
        except DDError as e: print(f"cannot   {c}: {e}")
    raise SystemExit
last = None
for e in sweep_iter(grid, "ray" if args.ray else "local", args.root, **(dict(address=args.ray, gpus=args.gpus) if args.ray else dict(workers=args.workers))):
    last = e.sweep
    at = e.sweep.plan.index(e.cell), e.sweep.grid.nets.index(e.net) if e.net else None
    if e.what in ("judged", "reused") and (rows := [r for k, r in sorted(e.sweep.rows.items()) if k[:2] == at]):
        keep([r | dict(reduced=reduced(r), error="") for r in rows])
        print(f"{e.sweep.done:6.1%} {e.cell}, {e.net}: {', '.join(format(100*r['accuracy'], '.1f') for r in rows)}", flush=True)
    if e.what == "failed":
        keep([e.cell.said | dict(net=n, seed=-1, reduced="", error=e.message.strip().splitlines()[-1][:300]) for n in ([e.net] if e.net else nets)])
        print(f"{e.sweep.done:6.1%} {e.cell}{', ' + e.net if e.net else ''} FAILED: {e.message.strip().splitlines()[-1][:200]}", flush=True)
if args.whole:
    for data in grid["data"]:
        for net in nets:
            t = bounds(data, 1, net, args.students, args.protocol, kinds=("whole",), root=args.root, progress=False, precision=args.precision)
            keep([r | dict(preset="", distil_seed=0, hyper="", distil_seconds=0., reduced=f"{r['steps']} student steps", error="") for r in t.to_dict("records")])
print(f"{last}\n{last.table.groupby(['data', 'ipc', 'method', 'net'], sort=False).accuracy.agg(['mean', 'std', 'count']).round(4).to_string() if last.rows else ''}")
