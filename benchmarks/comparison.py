"""Every method x data set x budget x architecture, by one sweep: the comparison table.

What two cores cannot do at full length is reduced alike for all methods, and said in every row: `preset` and `hyper` of the method (--less), `net` with its width (--nets), `steps` of the student (--steps), and `reduced` in words; `--less "" --steps "" --nets "convnet;resnet18;
vgg11;alexnet;vit" --preset paper --protocol dc --students 20 --seeds 5` reduces nothing. A cell that cannot be (a budget a method does not fit) or that fails is a row with `error` and without accuracy. Rows are written as they are done; called again it goes on: by the runs and
students in --root, and with --resume also where another machine ended, by the rows of the CSV, which must have been made with the same settings. Data sets one after another; parts with --data, --ipc, --methods, --nets, also side by side. --ray ADDRESS uses a cluster."""
import pandas as pd
from common import RESULTS, arguments, merge, stamp
from dd_nb import bounds, list_methods
from dd_nb.compare.sweep import Sweep, as_grid, planned_run, sweep_iter
from dd_nb.core import DDError
from dd_nb.judge import STUDENTS, get_protocol
from dd_nb.settings import fast_bfloat16, get_device, settings

args = arguments(__doc__, methods=dict(default="*", help="with commas; *: all"), data=dict(default="digits,fashion_mnist,cifar10"), ipc=dict(default="1,10"), nets=dict(default="convnet:width=64;resnet18:width=16;vgg11:width=16;alexnet:width=32;vit:depth=3,dim=96", help="with semicolons"),
                 seeds=dict(type=int, default=1, help="distillation seeds"), students=dict(type=int, default=3, help="students a set and network; with two an interval says nothing"), preset=dict(default="quick"), protocol=dict(default="quick", help="name or file"),
                 steps=dict(default="resnet18*=60;vgg11*=100;alexnet*=150;vit*=60", help="steps of a student of these networks, with semicolons; others, and vit on digits, as the protocol says; '': all"),
                 less=dict(default="mtt:steps=50;rcig:steps=100;frepo:steps=500;kip:steps=300;haba:options=steps=100", help="hyper-parameters of costly methods on images larger than 8 x 8; '': as the preset says"),
                 precision=dict(default="fast", help="of the students; fast: bfloat16 where the device computes in it; equal accuracy in both (student_speed.csv), so a row made in the other one counts too"), whole=dict(action="store_true", help="the upper bound too"), root=dict(default=None, help="folder of runs; default the setting's"),
                 workers=dict(type=int, default=1, help="tasks at once, of one thread each"), ray=dict(default="", help="address of a Ray cluster"), gpus=dict(type=float, default=0, help="GPUs a task, on a cluster"), resume=dict(action="store_true", help="rows that the CSV has by these settings are not made again, whoever made them"), plan=dict(action="store_true", help="only say what is done and what is to do"))
if args.precision == "fast": args.precision = "bfloat16" if fast_bfloat16(get_device()) else "float32"
KEY, out, about = ["data", "method", "ipc", "net", "distil_seed", "seed"], args.out or RESULTS/"comparison.csv", stamp(get_device())
names = lambda s, sep=",": [p.strip() for p in s.split(sep) if p.strip()]
methods, nets, fewer = list_methods() if args.methods == "*" else names(args.methods), names(args.nets, ";"), {k: int(v) for k, _, v in (p.rpartition("=") for p in names(args.steps, ";"))}
grid = dict(methods=methods, data=names(args.data), ipc=[int(i) for i in names(args.ipc)], nets=nets, seeds=args.seeds, students=args.students, presets=args.preset, protocol=args.protocol)
QUICK = dict(steps=2, train_steps=2, net="convnet:width=8", batch_real=8, real="float32", outer=2, inner=1, pool=2, pool_steps=2, inner_steps=2, adjoint_steps=2, draws=2, experts=1, max_start=1, span=1, syn_steps=2, expert_images=200, gan_steps=2, width=8,
             adversary="convnet:width=8", pool_nets="convnet:width=8", batch_gan=16, batch_match=16, pool_batch=16, options="steps=2;net=convnet:width=8;batch_real=8")
if args.quick:
    small = {"convnet": "convnet:width=8", "resnet18": "resnet18:width=8,blocks=1"}
    nets = [small.get(base, n) for n in nets if (base := n.partition(":")[0]) in ("convnet", "resnet18", "vit")]
    grid |= dict(data=["digits"], ipc=grid["ipc"][:2], nets=nets, seeds=1, students=1)
    fewer = {n: 2 for n in nets}

def students(data, precision=args.precision):
    "What differs from the protocol. On the networks of --steps every method's students take as many, also those of an artifact that brings a number of its own (KIP, FRePo and RCIG: 1,000)."
    return dict(precision=precision, per_net=[*STUDENTS, *([n, dict(steps=k, warmup=k//10)] for n, k in fewer.items() if args.quick or data != "digits" or not n.startswith("vit"))])

def less(data):
    "Hyper-parameters of the grid's methods that differ from the preset on these data."
    out = {}
    for m, _, pair in (p.partition(":") for p in names(args.less, ";")):
        name, _, v = pair.partition("=")
        if m in methods: out.setdefault(m, {})[name] = int(v) if v.isdigit() else v
    return {"*": QUICK} if args.quick else {} if data == "digits" else out

def reduced(r):
    "What is less than the field's protocol (paper preset, 1,000 epochs, 20 students of each of 5 sets), in words."
    parts = [f"preset {r['preset']}"] if r["preset"] != "paper" and r["method"] not in ("random", "herding", "kcenter") else []
    if r["hyper"]: parts.append(f"{r['method']} with {r['hyper']}")
    if r["steps"] < 1_000: parts.append(f"{r['steps']} student steps of 1,000 and more")
    base, _, options = r["net"].partition(":")
    return "; ".join([*parts, *([f"{base} with {options}"] if options else []), f"{len(g.students)} students of {len(g.seeds)} sets"])

def keep(rows):
    "Rows into the CSV. One that it has already, of this accuracy and duration, stays as it is, with its device and date."
    t = pd.DataFrame(rows).assign(precision=args.precision, **about)
    if args.quick and not args.out: return
    same, old = [*KEY, "protocol", "accuracy", "seconds"], pd.read_csv(out) if out.exists() else pd.DataFrame()
    if {*same} <= {*t} & {*old}: t = t[~t.set_index(same).index.isin(old.set_index(same).index)]
    if len(t): merge(t.drop(columns=[c for c in ("artifact", "run") if c in t]), out, KEY)

def failed(s, cell, net, said):
    "A failure stands where the first student is missing, so that its success takes the place; students that are there stay."
    old = pd.read_csv(out) if out.exists() else pd.DataFrame()
    there = old[old.accuracy.notna()].set_index(KEY).index if "accuracy" in old else []
    for n in [net] if net else nets:
        row = cell.said | dict(net=n, protocol=s.protocol, reduced="", error=said)
        if left := [k for k in s.grid.students if tuple((row | dict(seed=k))[c] for c in KEY) not in there]: keep([row | dict(seed=left[0])])

def known(data):
    "Rows of the CSV that are not made again: of these settings, in either precision."
    if not args.resume or not out.exists(): return None
    ours, *others = (get_protocol(args.protocol, **students(data, k)).name for k in (args.precision, "float32", "bfloat16"))
    return pd.read_csv(out).replace(dict(protocol=dict.fromkeys(others, ours)))

grids = [as_grid(grid | dict(data=d, hyper=less(d), changes=students(d))) for d in grid["data"]]
if args.plan:
    for g in grids:
        s = Sweep(g, args.root or settings().runs, known(*g.data))
        for i, c in enumerate(s.plan):
            try: s.runs[i] = planned_run(c, s.root)
            except DDError as e: print(f"cannot: {c}: {e}"); continue
            left = {n: len(k) for n in nets if (k := s.missing(i, n))}
            print(f"{'done' if not left else 'judge' if s.runs[i].state_done else 'distil and judge'}: {c}{': ' if left else ''}{', '.join(f'{k} x {n}' for n, k in left.items())}")
    raise SystemExit
for g in grids:
    for e in sweep_iter(g, "ray" if args.ray else "local", args.root, have=(have := known(*g.data)), **(dict(address=args.ray, gpus=args.gpus) if args.ray else dict(workers=args.workers))):
        s, at = e.sweep, (e.sweep.plan.index(e.cell), e.sweep.grid.nets.index(e.net) if e.net else None)
        if e.what in ("judged", "reused") and (rows := [r for k, r in sorted(s.rows.items()) if k[:2] == at]):
            if new := [r for r in rows if "device" not in r]: keep([r | dict(reduced=reduced(r), error="") for r in new])      # a row of the CSV keeps its device and date
            print(f"{s.done:6.1%} {e.cell}, {e.net}: {', '.join(format(100*r['accuracy'], '.1f') for r in rows)}{'' if new else ', as in the CSV'}", flush=True)
        if e.what == "failed":
            said = e.message.strip().splitlines()[-1][:300]
            failed(s, e.cell, e.net, said)
            print(f"{s.done:6.1%} {e.cell}{', ' + e.net if e.net else ''} FAILED: {said[:200]}", flush=True)
    print(f"{s}\n{s.table.groupby(['data', 'ipc', 'method', 'net'], sort=False).accuracy.agg(['mean', 'std', 'count']).round(4).to_string() if s.rows else ''}", flush=True)
    if args.whole:
        there = set() if have is None else set(have[(have.method == "whole") & (have.data == g.data[0]) & have.accuracy.notna()].set_index(["net", "seed"]).index)
        for net in nets:
            if {(net, k) for k in g.students} <= there: continue
            t = bounds(g.data[0], 1, net, g.students, args.protocol, kinds=("whole",), root=args.root, progress=False, precision=args.precision)
            keep([r | dict(preset="", distil_seed=0, hyper="", distil_seconds=0., reduced=f"{r['steps']} student steps", error="") for r in t.to_dict("records")])
