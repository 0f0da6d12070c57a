"""DiM beside its controls: accuracy at several IPCs from one generator, `quick` preset and protocol, real images.

Sides: `dim` (fresh images every epoch), `gan` (the same run when its first phase ended: the plain GAN), `dim, frozen` and `gan, frozen` (as many images drawn once: the storage of an image set), `random` (random real images, frozen by nature; as many training steps),
and with --ablation `no match` (second phase without matching: a GAN that is trained on), `match x 30` (thirty times the released weight), `feature` and `gradient` (what is matched). Both costs stand in every row: `bytes` stored, `epoch_images` shown to a student in an epoch.
A cell is written when its students are done; what the CSV has is not computed again, and a generator that was cut short goes on (--root)."""
from dataclasses import fields
from pathlib import Path
import pandas as pd
from common import RESULTS, arguments, merge, stamp
from dd_nb import distill, evaluate, load_data
from dd_nb.core import generator
from dd_nb.distilled import Distilled, Images
from dd_nb.loop import distill_iter, get_method
from dd_nb.settings import settings

args = arguments(__doc__, data=dict(default="fashion_mnist", help="one data set"), ipc=dict(default="1,10,50"), first=dict(type=int, default=0, help="seed of the first generator: parts can be made side by side"), seeds=dict(type=int, default=2, help="generators"), students=dict(type=int, default=3, help="students a generator"),
                 nets=dict(default="convnet:width=64;resnet18", help="students, with semicolons"), sides=dict(default="dim;gan;dim, frozen;gan, frozen;random", help="with semicolons"), ablation=dict(action="store_true"),
                 preset=dict(default="quick"), set=dict(default="", help="hyper-parameters that differ, with semicolons"), epochs=dict(type=int, default=0, help="of students; 0: the protocol's"),
                 precision=dict(default="bfloat16", help="of the students"), root=dict(default=None, help="folder of runs; default the setting's"))
KEY, out = ["data", "side", "ipc", "net", "distil_seed"], args.out or RESULTS/"dim_table.csv"
QUICK = dict(gan_steps=3, steps=2, width=4, batch_gan=16, batch_match=16, pool_nets="convnet:width=4", pool_steps=1)
ABLATION = {"no match": dict(l_match=0.), "match x 30": dict(l_match=.3), "feature": dict(match="feature", l_match=-1.), "gradient": dict(match="gradient", l_match=-1.)}
changes = dict(c.split("=", 1) for c in args.set.split(";") if c) | (QUICK if args.quick else {})
sides = list(ABLATION) if args.ablation else [s.strip() for s in args.sides.split(";")]
data, nets, root = load_data(args.data), args.nets.split(";") if not args.quick else ["convnet:width=4", "resnet18:width=4"], Path(args.root or settings().runs)
ipcs, epochs = (list(map(int, args.ipc.split(","))) if not args.quick else [1, 10]), dict(epochs=2) if args.quick else dict(epochs=args.epochs) if args.epochs else {}

def learned(seed, **more):
    "(plain GAN, DiM, seconds to the end of the second phase, of the first) of a seed from one run: the generator is put aside when its first phase ends."
    for e in distill_iter("dim", data, preset=args.preset, seed=seed, root=root, **(changes | more)):
        aside = e.run.path/"gan.safetensors"
        if e.step == e.run.config["hyper"]["gan_steps"]: e.distilled.save(aside)
    if not aside.exists():                            # killed between that step and the file: the plain GAN is the same bits by its own name
        mine = {f.name: e.run.config["hyper"][f.name] for f in fields(get_method("gan"))}
        distill("gan", data, preset=args.preset, seed=seed, root=root, progress=False, **mine).distilled.save(aside)
    plain = Distilled.load(aside)
    plain.recipe["method"] = "gan"
    return plain, e.run.distilled, e.run.progress["seconds"], float(e.run.metrics.set_index("step").seconds[e.run.config["hyper"]["gan_steps"]])

def shown(side, plain, dim, ipc, seed):
    if side == "random": return Images.start(data, ipc, generator(seed, "random side"), recipe=dict(method="random", data=data.name))
    d = plain if side.startswith("gan") else dim
    return d.freeze(ipc, seed) if side.endswith("frozen") else d.at(ipc)

done = set() if args.quick or not out.exists() else set(pd.read_csv(out).set_index(KEY).index)
tables = []
for seed in range(args.first, args.first + (1 if args.quick else args.seeds)):
    made = {}
    for net in nets:
        for ipc in ipcs:
            for side in sides:
                if (data.name, side, ipc, net, seed) in done: continue
                kind = side if side in ABLATION else "dim"
                if side != "random" and kind not in made: made[kind] = learned(seed, **ABLATION.get(kind, {}))
                plain, dim, whole, first = made[kind] if side != "random" else (None, None, 0., 0.)
                t = evaluate(shown(side, plain, dim, ipc, seed), data, net, 1 if args.quick else args.students, precision=args.precision, progress=False, **epochs)
                t = t.assign(side=side, distil_seed=seed, distil_seconds=first if side.startswith("gan") else whole, precision=args.precision, preset=args.preset, **stamp()).drop(columns="artifact")
                print(data.name, net, ipc, side, seed, t.accuracy.round(4).tolist(), flush=True)
                tables.append(t)
                if not args.quick or args.out: merge(t, out, KEY)
if tables:
    t = pd.concat(tables, ignore_index=True)
    print(t.groupby(["data", "net", "ipc", "side"], sort=False).agg(mean=("accuracy", "mean"), std=("accuracy", "std"), students=("accuracy", "count"), bytes=("bytes", "first"), epoch_images=("epoch_images", "first"), steps=("steps", "first")).round(4).to_string())
