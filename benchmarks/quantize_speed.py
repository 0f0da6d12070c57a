"""The quantiser beside scikit-learn's MiniBatchKMeans: seconds at equal distortion; memory from 10,000 to 1,000,000 latents, each in a fresh process; encoding from disk to disk beside loading everything.

Synthetic latents: Gaussian clouds around 200 places, standard deviation 1 of the places and of the clouds. Both sides get the same points, batch, number of passes and k-means++ start; the sides take turns, and the median counts. `distortion` is the mean squared distance of all points to the centroids found, computed alike for both.
Memory is what a process takes at its peak beyond what it had after its imports (`more_mb`), and of that what is not mapped from a file, which the system can take back at any time (`own_mb`)."""
import json, statistics, subprocess, sys, tempfile, threading, time
from pathlib import Path
import numpy as np, torch
from common import arguments, stamp, write
from dd_nb.core import generator
from dd_nb.data import ImageData, Space
from dd_nb.methods.codecs import Latents, RowFile, Rows, codec_plan
from dd_nb.methods.quantize import Quantiser, census

args = arguments(__doc__, rounds=dict(type=int, default=5), part=dict(default="speed,memory,encode", help="with commas"), child=dict(default=None, help="a job of the memory parts, as JSON"))
D = 256

def clouds(n, d, seed=0):
    rng = np.random.default_rng(seed)
    places = rng.standard_normal((200, d), np.float32)
    return places[rng.integers(0, 200, n)] + rng.standard_normal((n, d), np.float32)

def scikit(x, K, batch, passes, seed=0):
    from sklearn.cluster import MiniBatchKMeans
    return MiniBatchKMeans(K, batch_size=batch, max_iter=passes, n_init=1, max_no_improvement=None, random_state=seed, compute_labels=False).fit(x).cluster_centers_

def speed():
    rows = []
    for n, d, K in [(4_000, 16, 5)] if args.quick else [(5_000, 256, 10), (5_000, 256, 50), (100_000, 64, 10), (100_000, 256, 50), (20_000, 4_096, 50)]:
        x, batch, passes = clouds(n, d), min(4_096, 10*K if n <= 5_000 else 4_096), 10 if n*d < 3e7 else 3
        z = torch.from_numpy(x)
        sides = {"scikit-learn": lambda s: scikit(x, K, batch, passes, s), "ours": lambda s: Quantiser("minibatch", passes, batch).fit(z, K, generator(s))}
        if torch.cuda.is_available():
            zc = z.cuda()
            def on_gpu(s): c = Quantiser("minibatch", passes, batch).fit(zc, K, generator(s)); torch.cuda.synchronize(); return c
            sides["ours, GPU"] = on_gpu
        times, far = {k: [] for k in sides}, {k: [] for k in sides}
        for f in sides.values(): f(99)
        for r in range(1 if args.quick else args.rounds):
            for k, f in sides.items():
                start = time.perf_counter(); c = f(r); times[k].append(time.perf_counter() - start)
                far[k].append(census(z, torch.as_tensor(c).float().cpu())[1])
        best = {k: statistics.median(v) for k, v in times.items()}
        for k in sides: rows.append(dict(what="quantiser", side=k, n=n, d=d, K=K, batch=batch, passes=passes, seconds=round(best[k], 4), a_second=round(n*passes/best[k]), speedup=round(best["scikit-learn"]/best[k], 2), distortion=round(statistics.mean(far[k]), 4))); print(rows[-1], flush=True)
    return rows

class Watch:
    "Peak memory of this process beyond what it had at the start, in all and not mapped from files."
    def __init__(self): self.base, self.most, self.on = self.now(), [0, 0], True; self.thread = threading.Thread(target=self.look, daemon=True); self.thread.start()
    def now(self): s = dict(l.split(":", 1) for l in open("/proc/self/status")); return [int(s[k].split()[0])/1024 for k in ("VmRSS", "RssAnon")]
    def look(self):
        while self.on: self.most = [max(m, v - b) for m, v, b in zip(self.most, self.now(), self.base)]; time.sleep(.005)
    def end(self): self.on = False; self.thread.join(); return dict(more_mb=round(self.most[0]), own_mb=round(self.most[1]))

def child(job):
    torch.set_num_threads(1)
    start = time.perf_counter()
    if job["what"] == "memory":
        warm = clouds(2_000, D)
        (Quantiser("minibatch", 1).fit(torch.from_numpy(warm), 10, generator(0)) if job["side"] == "ours" else scikit(warm, 10, 256, 2)); del warm
        w, start = Watch(), time.perf_counter()
        if job["side"] == "ours":
            rows = Rows(RowFile(job["file"], job["n"], D), 0, job["n"])
            c = Quantiser("minibatch", job["passes"], 4_096).fit(rows, 50, generator(0))
            far = census(rows, c)[1]
        else:
            x = np.fromfile(job["file"], np.float32).reshape(-1, D)
            c = scikit(x, 50, 4_096, job["passes"])
            far = census(torch.from_numpy(x), torch.from_numpy(c).float())[1]
        return w.end() | dict(seconds=round(time.perf_counter() - start, 2), distortion=round(far, 3))
    x = torch.from_numpy(np.memmap(job["file"], np.uint8, "c", shape=(job["n"], 3, 32, 32)))
    y = torch.arange(job["n"])*10//job["n"]
    data = ImageData("synthetic", x, y, x[:10], y[:10], [str(i) for i in range(10)], Space("meanstd", (.5,)*3, (.25,)*3), mapped=True)
    few = ImageData("synthetic", x[:2_000], torch.arange(2_000)*10//2_000, x[:10], y[:10], data.classes, data.space, mapped=True)
    codec = codec_plan(job["codec"]).open(few, Path(job["file"]).parent)        # components of the first images, which all sizes share: fitted once
    if job["codec"].startswith("local"): codec._net = lambda k, what: k.net if k.net is not None else (k._begin(), k.net.eval())[1]       # weights do not matter for the time
    codec.encode(x[:codec.batch])
    w, start = Watch(), time.perf_counter()
    if job["side"] == "ours": Latents(job["root"], codec, data).advance(job["n"])
    else:
        every = torch.from_numpy(np.fromfile(job["file"], np.uint8).reshape(-1, 3, 32, 32))[data.order]
        z = torch.cat([codec.encode(b).flatten(1) for b in every.split(codec.batch)])
        np.save(Path(job["root"])/"all.npy", z.numpy())
    s = time.perf_counter() - start
    return w.end() | dict(seconds=round(s, 2), a_second=round(job["n"]/s))

def fresh(**job): return json.loads(subprocess.run([sys.executable, __file__, "--child", json.dumps(job)], capture_output=True, text=True, check=True).stdout.splitlines()[-1])

def memory(folder):
    rows, passes = [], 3
    for n in [10_000, 20_000] if args.quick else [10_000, 100_000, 1_000_000]:
        file = folder/"latents.bin"
        with open(file, "wb") as f:
            for i in range(0, n, 50_000): f.write(clouds(min(50_000, n - i), D, i).tobytes())
        for side in ("ours", "scikit-learn, all loaded"): rows.append(dict(what="memory", side=side, n=n, d=D, K=50, batch=4_096, passes=passes, **fresh(what="memory", side=side, n=n, passes=passes, file=str(file)))); print(rows[-1], flush=True)
    return rows

def encode(folder):
    rows = []
    for codec, sizes in [("pca:components=64", [1_000])] if args.quick else [("pca:components=64", [10_000, 100_000, 400_000]), ("local", [2_000, 20_000])]:
        for n in sizes:
            file = folder/"images.bin"
            with open(file, "wb") as f:
                for i in range(0, n, 20_000): f.write(np.random.default_rng(i).integers(0, 256, (min(20_000, n - i), 3, 32, 32), np.uint8).tobytes())
            for side in ("ours", "all loaded"):
                with tempfile.TemporaryDirectory(dir=folder) as root: rows.append(dict(what=f"encoding, {codec.split(':')[0]}", side=side, n=n, d=64 if "pca" in codec else 256, **fresh(what="encode", side=side, n=n, codec=codec, file=str(file), root=root))); print(rows[-1], flush=True)
    return rows

if args.child: print(json.dumps(child(json.loads(args.child))))
else:
    parts = args.part.split(",")
    with tempfile.TemporaryDirectory() as folder: rows = (speed() if "speed" in parts else []) + (memory(Path(folder)) if "memory" in parts else []) + (encode(Path(folder)) if "encode" in parts else [])
    write([r | stamp("cuda" if "GPU" in r["side"] else "cpu") for r in rows], "quantize_speed", args)
