"""Many seeds at once: students of a ConvNet trained one by one, stacked, and in processes, in one run of this script: seconds, accuracy, and how far accuracies lie apart on the same seeds.

Sides: `off` (one by one), on a CPU `processes`, on a GPU `stack, grouped` and `stack, vmap`, each with everything it needs: starting processes, compiling, testing. `--epochs` keeps a CPU's share small; the
time of one student stands beside. A row is written as soon as it is measured, and what the CSV has for this device is not measured again."""
import time
import pandas as pd, torch
from common import RESULTS, arguments, merge, stamp
from dd_nb import evaluate, load_data
from dd_nb.compare import stack
from dd_nb.core import generator
from dd_nb.distilled import Images
from dd_nb.judge import cores
from dd_nb.settings import get_device

gpu = get_device().type == "cuda"
args = arguments(__doc__, data=dict(default="cifar10"), net=dict(default="convnet"), ipc=dict(default="1,10,50"), seeds=dict(default="1,5,20" if gpu else "1,6"), epochs=dict(type=int, default=300, help="of a student"),
                 sides=dict(default="off;stack, grouped;stack, vmap" if gpu else "off;processes", help="with semicolons; also stack, grouped and stack, vmap on a CPU"), precision=dict(default="bfloat16" if gpu else "float32", help="float32, bfloat16, or both with a comma"))
if args.quick: args.data, args.net, args.ipc, args.seeds, args.epochs = "digits", "convnet:width=16", "1", "1,3", 5
KEY, out = ["device", "data", "net", "precision", "ipc", "seeds", "epochs", "side"], args.out or RESULTS/"harness_speed.csv"
data, about = load_data(args.data), stamp(get_device())
done = set() if args.quick or not out.exists() else set(pd.read_csv(out).set_index(KEY).index)
numbers = lambda s: list(map(int, s.split(",")))

def measure(side, d, seeds, precision):
    stack.FORM = side.split(", ")[1] if side.startswith("stack") else "auto"
    if gpu: torch.cuda.synchronize()
    start = time.perf_counter()
    t = evaluate(d, data, args.net, seeds, epochs=args.epochs, precision=precision, together=side.split(",")[0], progress=False)
    return t, time.perf_counter() - start

for precision in args.precision.split(","):
    for ipc in numbers(args.ipc):
        d = Images.start(data, ipc, generator(0, "harness speed"), recipe=dict(method="random", data=data.name))
        measure("off", d, 1, precision)                                # what the first student pays once: libraries, compiled code
        for n in numbers(args.seeds):
            alone = None
            for side in args.sides.split(";"):
                key = dict(device=about["device"], data=data.name, net=args.net, precision=precision, ipc=ipc, seeds=n, epochs=args.epochs, side=side)
                if n == 1 and side != "off" or side != "off" and tuple(key.values()) in done and alone is None: continue
                t, seconds = measure(side, d, n, precision)
                alone = (t, seconds) if side == "off" else alone or measure("off", d, n, precision)     # both sides in the same process, one after the other
                row = key | dict(seconds=round(seconds, 2), seconds_a_student=round(seconds/n, 3), speedup=round(alone[1]/seconds, 2), accuracy=t.accuracy.mean(), std=t.accuracy.std(), apart=(t.accuracy - alone[0].accuracy).abs().max(),
                                 mean_apart=abs(t.accuracy.mean() - alone[0].accuracy.mean()), threads=torch.get_num_threads(), cores=cores(), **{k: about[k] for k in ("torch", "date")})
                print(row, flush=True)
                if not args.quick or args.out: merge(pd.DataFrame([row]), out, KEY)
