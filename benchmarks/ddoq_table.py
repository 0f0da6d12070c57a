"""D4M and DDOQ with the decoder that is trained here: weights, strength and number of centroids, on the same images, beside random real ones with the same labels.

Sides: `random` (random real images, soft labels of the same teacher), `d4m` (decoded centroids, all alike), `ddoq mass` and `ddoq sqrt` (the SAME images, each counting by its cell's mass or the root of that). Strength 0 is the plain picture of a centroid, strength 1 a plain sample of the class.
`w2_mass` and `w2_uniform` are distances between each class and its centroids in latent space, with masses and with equal weights (mean over classes; on at most --w2_rows latents a class, the same for both). With one centroid a class the three sides are the same students: they are trained once and written thrice.
A cell is written when its students are done; what the CSV has is not computed again, and a run that was cut short goes on (--root). Encoder, denoiser and teacher are trained once a data set."""
from pathlib import Path
import pandas as pd, torch
from common import RESULTS, arguments, merge, stamp
from dd_nb import distill, evaluate, load_data, method_config
from dd_nb.core import generator
from dd_nb.artifacts.quantized import Quantized
from dd_nb.judge import test_net
from dd_nb.methods.codecs import Latents
from dd_nb.methods.prototypes import teacher_of
from dd_nb.methods.quantize import census, uniform_w2
from dd_nb.settings import get_device, settings

args = arguments(__doc__, data=dict(default="digits,fashion_mnist,cifar10", help="with commas"), ipc=dict(default="1,10,50"), strength=dict(default="0,.3,.5,.7,1"), seeds=dict(type=int, default=3, help="of quantising, decoding and students"), first=dict(type=int, default=0, help="the first seed, for tables made in parts"),
                 students=dict(type=int, default=1, help="students a seed"), nets=dict(default="convnet:width=64", help="students, with semicolons"), sides=dict(default="random;d4m;ddoq mass;ddoq sqrt", help="with semicolons"), preset=dict(default="quick"),
                 set=dict(default="", help="hyper-parameters that differ, with semicolons"), epochs=dict(type=int, default=0, help="of students; 0: the protocol's"), precision=dict(default="bfloat16", help="of the students"), w2_rows=dict(type=int, default=10_000), root=dict(default=None, help="folder of runs; default the setting's"))
KEY, out = ["data", "side", "strength", "ipc", "net", "distil_seed"], args.out or RESULTS/"ddoq_table.csv"
QUICK = dict(codec="local:width=8,steps=4,batch=8,unet=16,unet_steps=4,unet_batch=8,portion=2", teacher="mlp", teacher_steps=100, decode_steps=4)
MODES = {"d4m": "uniform", "ddoq mass": "mass", "ddoq sqrt": "sqrt"}
changes = dict(c.split("=", 1) for c in args.set.split(";") if c) | (QUICK if args.quick else {})
sets, ipcs, strengths = (["digits"], [1, 4], [0., .5, 1.]) if args.quick else (args.data.split(","), list(map(int, args.ipc.split(","))), list(map(float, args.strength.split(","))))
sides, nets, students = [s.strip() for s in args.sides.split(";")], ["convnet:width=4"] if args.quick else args.nets.split(";"), 1 if args.quick else args.students
epochs, root = dict(epochs=2) if args.quick else dict(epochs=args.epochs) if args.epochs else {}, Path(args.root or settings().runs)

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
    def ddoq(self, ipc, s):
        if (ipc, s) not in self.made:
            run = distill("ddoq", self.data, ipc, args.preset, self.seed, strength=s, root=root, progress=False, **changes)
            self.made[ipc, s] = run.distilled, run.progress["seconds"]
            if ipc not in self.far: self.far[ipc] = distances(self.lat, run.distilled, self.seed)      # the centroids are the same at any strength
        return (*self.made[ipc, s], self.far[ipc])
    def random(self, ipc):
        "Random real images with the teacher's labels; cells are those of their latents."
        like, _, _ = self.ddoq(ipc, strengths[0])
        rows = self.data.sample_index(ipc, generator(self.seed, "random side")).flatten()
        d = Quantized(self.data.space, self.data.shape, self.data.classes, ipc, like.recipe | dict(method="random"), latent=like.latent, weight_mode="uniform", soft=True, temperature=like.temperature)
        d.pixels.copy_(self.data.x_train[rows])
        with torch.no_grad(): d.latents.copy_(self.codec.encode(self.data.x_train[rows])), d.logits.copy_(self.teacher(self.data.space.encode(d.pixels)))
        return d, 0., distances(self.lat, d, self.seed)
    @property
    def teacher(self):
        if not hasattr(self, "_teacher"): self._teacher = teacher_of(self.m, self.data, root, get_device()).trained().eval()
        return self._teacher
    @property
    def teacher_accuracy(self):
        if not hasattr(self, "_right"): self._right = test_net(self.teacher, self.data)[0]
        return self._right

done = set() if args.quick or not out.exists() else set(pd.read_csv(out).set_index(KEY).index)
tables = []
for seed in range(args.first, args.first + (1 if args.quick else args.seeds)):
    for name in sets:
        images = Sides(name, seed)
        for net in nets:
            for ipc in ipcs:
                for side, s in [(side, s) for s in strengths for side in sides if side != "random"] + [(side, -1.) for side in sides if side == "random"]:
                    if (name, side, s, ipc, net, seed) in done or (ipc == 1 and side in ("ddoq mass", "ddoq sqrt") and "d4m" in sides): continue
                    d, seconds, (mass, uniform) = images.random(ipc) if side == "random" else images.ddoq(ipc, s)
                    d = d if side == "random" else d.weighted(MODES[side])
                    t = evaluate(d, images.data, net, [seed*1000 + i for i in range(students)], precision=args.precision, progress=False, **epochs)
                    t = t.assign(strength=s, distil_seed=seed, distil_seconds=seconds, w2_mass=mass, w2_uniform=uniform, latents_bytes=d.latent_bytes, decoder=d.decoder["name"], decoder_hash=d.decoder["hash"], guidance=images.m.guidance, decode_steps=images.m.decode_steps,
                                 teacher_accuracy=images.teacher_accuracy, precision=args.precision, preset=args.preset, **stamp(get_device())).drop(columns="artifact")
                    alike = [x for x in sides if x in MODES] if ipc == 1 and side == "d4m" else [side]
                    t = pd.concat([t.assign(side=x) for x in alike], ignore_index=True)
                    print(name, net, ipc, "strength", s, alike, seed, t.accuracy.round(4).tolist(), f"W2 {mass} with masses, {uniform} with equal weights", flush=True)
                    tables.append(t)
                    if not args.quick or args.out: merge(t, out, KEY)
if tables:
    t = pd.concat(tables, ignore_index=True)
    print(t.groupby(["data", "net", "ipc", "side", "strength"], sort=False).agg(mean=("accuracy", "mean"), std=("accuracy", "std"), students=("accuracy", "count"), w2_mass=("w2_mass", "mean"), w2_uniform=("w2_uniform", "mean")).round(4).to_string())
