"""D4M and DDOQ with the decoder that is trained here: weights, strength and number of centroids, on the same images, beside random real ones with the same labels.

Sides: `random` (random real images, soft labels of the same teacher), `random, decoded` (the same images through encoder and decoder and nothing else: what the autoencoder costs), `nearest, decoded` (the real images nearest to the centroids, likewise: what it costs that a centroid is a mean), `d4m` (decoded centroids, all alike), `ddoq mass` and `ddoq sqrt` (the SAME images, each counting by its cell's mass or the root of that). Strength 0 is the plain picture of a centroid, strength 1 a plain sample of the class.
`w2_mass` and `w2_uniform` are distances between each class and its centroids in latent space, with masses and with equal weights (mean over classes; on at most --w2_rows latents a class, the same for both). With one centroid a class the three sides are the same students: they are trained once and written thrice.
A cell is written when its students are done; what the CSV has is not computed again, and a run that was cut short goes on (--root). Encoder, denoiser and teacher are trained once a data set. Parts can be made side by side (--data, --ipc, --first, --strength), once the networks of a data set are trained; --what train does only that.
To save time, students of many images may take fewer epochs (--epochs 50:100: a hundred at 50 images a class, as many as the protocol says elsewhere), be narrower (--nets), and distances be measured on fewer latents (--w2_rows); `epochs`, `steps`, `net` and `w2_rows` of every row say so. All sides of a cell are treated alike, and a table has one number of epochs for an IPC of a data set: rows of another are not mixed in.
Students of one size are trained one after the other in one process, so that what was compiled serves them all."""
from pathlib import Path
import pandas as pd, torch
from common import RESULTS, arguments, merge, stamp
from dd_nb import distill, judge, load_data, method_config
from dd_nb.core import generator
from dd_nb.artifacts.quantized import Quantized
from dd_nb.judge import evaluate_iter, get_protocol, test_net
from dd_nb.methods.codecs import Latents
from dd_nb.methods.prototypes import teacher_of
from dd_nb.methods.quantize import census, uniform_w2
from dd_nb.settings import get_device, settings

args = arguments(__doc__, data=dict(default="digits,fashion_mnist,cifar10", help="with commas"), ipc=dict(default="1,10,50"), strength=dict(default="0,.3,.5,.7,1"), seeds=dict(type=int, default=3, help="of quantising, decoding and students"), first=dict(type=int, default=0, help="the first seed, for tables made in parts"),
                 students=dict(type=int, default=1, help="students a seed"), nets=dict(default="convnet:width=64", help="students, with semicolons"), sides=dict(default="random;random, decoded;nearest, decoded;d4m;ddoq mass;ddoq sqrt", help="with semicolons"), preset=dict(default="quick"),
                 set=dict(default="", help="hyper-parameters that differ, with semicolons"), epochs=dict(default="", help="of students: 100, or by images a class: 50:100,10:200; else the protocol's"), precision=dict(default="bfloat16", help="of the students"), w2_rows=dict(type=int, default=10_000, help="latents of a class on which distances are measured, at most"),
                 what=dict(default="all", choices=("all", "train", "images"), help="all; only train the networks; only make the images and measure distances"), compile_from=dict(type=int, default=8_000_000, help="pixels a student sees in its training from which on it is compiled; less than the judge's own limit, which is for one student alone"), root=dict(default=None, help="folder of runs; default the setting's"))
KEY, out = ["data", "side", "strength", "ipc", "net", "distil_seed"], args.out or RESULTS/"ddoq_table.csv"
QUICK = dict(codec="local:width=8,steps=4,batch=8,unet=16,unet_steps=4,unet_batch=8,portion=2", teacher="mlp", teacher_steps=100, decode_steps=4)
REAL = ("random", "random, decoded", "nearest, decoded")
MODES = {"d4m": "uniform", "ddoq mass": "mass", "ddoq sqrt": "sqrt"}
changes = dict(c.split("=", 1) for c in args.set.split(";") if c) | (QUICK if args.quick else {})
sets, ipcs, strengths = (["digits"], [1, 4], [0., .5, 1.]) if args.quick else (args.data.split(","), list(map(int, args.ipc.split(","))), list(map(float, args.strength.split(","))))
sides, nets, students = [s.strip() for s in args.sides.split(";")], ["convnet:width=4"] if args.quick else args.nets.split(";"), 1 if args.quick else args.students
by_ipc, root = dict(p.split(":") if ":" in p else ("*", p) for p in args.epochs.split(",") if p), Path(args.root or settings().runs)
judge.COMPILE_FROM = args.compile_from

def epochs_of(ipc): return 2 if args.quick else int(by_ipc.get(str(ipc), by_ipc.get("*", get_protocol("quick").epochs)))

def distances(lat, d, seed):
    "(W2 with masses, W2 with equal weights), means over classes, between latents and centroids."
    pairs = []
    for k in range(d.n_classes):
        rows = lat.of_class(k)
        pick = torch.randperm(len(rows), generator=generator(seed, "w2", k))[:args.w2_rows].sort().values
        z, c = rows[pick].cpu(), d.latents[k*d.ipc:(k + 1)*d.ipc].flatten(1).cpu()
        pairs.append((census(z, c)[1]**.5, uniform_w2(z, c)))
    return [round(float(v), 5) for v in torch.tensor(pairs).mean(0)]

class Sides:
    "The images of a data set, made when they are first wanted."
    def __init__(self, name, seed):
        self.data, self.seed, self.made, self.far = load_data(name), seed, {}, {}
        self.m = method_config("ddoq", name, 1, args.preset, **changes).resolve(get_device())
        self.codec = self.m.plan.open(self.data, root, get_device(), self.m.precision)
        self.lat = Latents(root, self.codec, self.data)
    def train(self):
        "The networks and the latents, if they are not there: what every run would do first."
        for i in range(self.codec.plan.before): self.codec.train(i)
        self.lat.advance(self.lat.n)
        for i in range(self.codec.plan.after): self.codec.train_on(self.lat.all, self.lat.labels, i)
        return self.teacher_accuracy
    def ddoq(self, ipc, s):
        if (ipc, s) not in self.made:
            run = distill("ddoq", self.data, ipc, args.preset, self.seed, strength=s, root=root, progress=False, **changes)
            self.made[ipc, s] = run.distilled, run.progress["seconds"]
            if ipc not in self.far: self.far[ipc] = distances(self.lat, run.distilled, self.seed)      # the centroids are the same at any strength
        return (*self.made[ipc, s], self.far[ipc])
    def side(self, side, s, ipc):
        "(artifact, seconds it took, distances) of a cell."
        if side in REAL: return self.real(ipc, side)
        d, seconds, far = self.ddoq(ipc, s)
        return d.weighted(MODES[side]), seconds, far
    def real(self, ipc, side):
        "Real images with the teacher's labels, counting alike; cells are those of their latents. Decoded ones went through encoder and decoder."
        like, _, _ = self.ddoq(ipc, strengths[0])
        if side.startswith("nearest"): rows = torch.cat([self.nearest(k, c) for k, c in enumerate(like.latents.detach().cpu().flatten(1).split(ipc))])
        else: rows = self.data.sample_index(ipc, generator(self.seed, "random side")).flatten()
        d = Quantized(self.data.space, self.data.shape, self.data.classes, ipc, like.recipe | dict(method="random"), latent=like.latent, weight_mode="uniform", soft=True, temperature=like.temperature)
        x = self.data.x_train[rows]
        with torch.no_grad(): d.latents.copy_(self.codec.encode(x)), d.pixels.copy_((self.codec.decode(d.latents)*255).round() if side.endswith("decoded") else x), d.logits.copy_(self.teacher(self.data.space.encode(d.pixels)))
        return d, 0., distances(self.lat, d, self.seed)
    def nearest(self, k, centroids):
        "Rows of the data set whose latents are nearest to the centroids of a class."
        z = self.lat.of_class(k)
        return self.data.order[self.data.offsets[k] + torch.cdist(centroids, z[torch.arange(len(z))].cpu()).argmin(1)]
    @property
    def teacher(self):
        if not hasattr(self, "_teacher"): self._teacher = teacher_of(self.m, self.data, root, get_device()).trained().eval()
        return self._teacher
    @property
    def teacher_accuracy(self):
        if not hasattr(self, "_right"): self._right = test_net(self.teacher, self.data)[0]
        return self._right

def cells(ipc):
    "(side, strength) of all cells of a size; with one centroid a class all weights are alike, and one side stands for all."
    alike = [x for x in sides if x in MODES][1:] if ipc == 1 else []
    return [(x, s) for s in strengths for x in sides if x in MODES and x not in alike] + [(x, -1.) for x in sides if x in REAL]

old = pd.read_csv(out) if out.exists() and not args.quick else pd.DataFrame(columns=[*KEY, "epochs"])
for ipc in ipcs:
    other = old[old["data"].isin(sets) & (old.ipc == ipc) & old.net.isin(nets) & (old.epochs != epochs_of(ipc))]
    if len(other): raise SystemExit(f"{out} has IPC {ipc} with {other.epochs.iloc[0]} epochs, and {epochs_of(ipc)} are asked for; a table has one number: --epochs {ipc}:{other.epochs.iloc[0]}, or another file (--out)")
done, tables = set(old.set_index(KEY).index), []
for seed in range(args.first, args.first + (1 if args.quick else args.seeds)):
    for name in sets:
        images = Sides(name, seed)
        if len(sets) > 1: torch.compiler.reset()                           # shapes of another data set; more than eight of them would no longer be compiled
        if args.what == "train": print(name, "teacher", round(images.train(), 4), flush=True); continue
        for net in nets:
            for ipc in ipcs:
                todo = [c for c in cells(ipc) if (name, *c, ipc, net, seed) not in done]
                shown = {c: images.side(*c, ipc) for c in todo}
                if not todo or args.what == "images": continue
                rows = {c: [] for c in todo}
                for e in evaluate_iter({c: d for c, (d, *_) in shown.items()}, images.data, net, [seed*1000 + i for i in range(students)], together="off", precision=args.precision, epochs=epochs_of(ipc)):
                    if e.row is None: continue
                    side, s = c = e.row.pop("artifact")
                    rows[c].append(e.row)
                    if len(rows[c]) < students: continue
                    d, seconds, (mass, uniform) = shown[c]
                    t = pd.DataFrame(rows[c]).assign(strength=s, distil_seed=seed, distil_seconds=seconds, w2_mass=mass, w2_uniform=uniform, w2_rows=args.w2_rows, latents_bytes=d.latent_bytes, decoder=d.decoder["name"], decoder_hash=d.decoder["hash"], guidance=images.m.guidance,
                                                     decode_steps=images.m.decode_steps, teacher_accuracy=images.teacher_accuracy, precision=args.precision, preset=args.preset, **stamp(get_device()))
                    alike = [x for x in sides if x in MODES] if ipc == 1 and side in MODES else [side]
                    t = pd.concat([t.assign(side=x) for x in alike], ignore_index=True)
                    print(name, net, ipc, "strength", s, alike, seed, t.accuracy.round(4).tolist(), f"W2 {mass} with masses, {uniform} with equal weights", flush=True)
                    tables.append(t)
                    if not args.quick or args.out: merge(t, out, KEY)
if tables:
    t = pd.concat(tables, ignore_index=True)
    print(t.groupby(["data", "net", "ipc", "side", "strength"], sort=False).agg(mean=("accuracy", "mean"), std=("accuracy", "std"), students=("accuracy", "count"), w2_mass=("w2_mass", "mean"), w2_uniform=("w2_uniform", "mean")).round(4).to_string())
