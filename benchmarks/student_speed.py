"""Students of one distilled set by network, eager, compiled, and both in bfloat16: seconds of training and of testing, and accuracy on the same seeds, in one process.

Each side trains one student more than asked for, the first; `first` are its seconds beyond the others': what is paid once, compiling above all (the compiler keeps its work on disk: `--cold` lets it begin anew). AlexNet and ViT are measured too, compiled or not: the judge leaves them eager."""
import os, tempfile
from common import arguments, merge, stamp, RESULTS

args = arguments(__doc__, data=dict(default="cifar10"), nets=dict(default="convnet:width=64;resnet18:width=16;vgg11:width=16;alexnet:width=32;vit:depth=3,dim=96", help="with semicolons"), students=dict(type=int, default=2), ipc=dict(type=int, default=10),
                 steps=dict(type=int, default=60, help="of a student"), sides=dict(default="eager;compiled;eager, bfloat16;compiled, bfloat16", help="with semicolons"), cold=dict(action="store_true"))
os.environ["DD_NB_COMPILE"] = "on"                                    # what is called compiled is
if args.cold: os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp()
import time
import pandas as pd, torch
from dd_nb import evaluate, judge, load_data
from dd_nb.core import generator
from dd_nb.distilled import Images

if args.quick: args.data, args.nets, args.steps, args.students = "digits", "convnet:width=8", 3, 1
data, about, out = load_data(args.data), stamp(), args.out or RESULTS/"student_speed.csv"
d, test = Images.start(data, args.ipc, generator(0, "student speed"), recipe=dict(method="random", data=data.name)), judge.test_net
spent = []

def timed(*a, **kw):
    start = time.perf_counter()
    result = test(*a, **kw)
    spent.append(time.perf_counter() - start)
    return result
judge.test_net = timed

for net in args.nets.split(";"):
    rows = []
    for side in args.sides.split(";"):
        judge._pays = judge._test_pays = lambda *_, on=side.startswith("compiled"): on
        spent.clear()
        t = evaluate(d, data, net, args.students + 1, steps=args.steps, precision="bfloat16" if "bfloat16" in side else "float32", together="off", progress=False)
        train = t.seconds - spent
        first = t.seconds[0] - t.seconds[1:].mean()
        for i in range(1, len(t)):
            rows.append(dict(side=side, data=data.name, net=net, ipc=args.ipc, steps=args.steps, seed=t.seed[i], train_seconds=round(train[i], 3), test_seconds=round(spent[i], 3), first=round(first, 1), accuracy=t.accuracy[i], loss=t.loss[i], threads=torch.get_num_threads(), cold=args.cold, **about))
        print(pd.DataFrame(rows[-args.students:])[["side", "net", "train_seconds", "test_seconds", "first", "accuracy"]].to_string(header=False, index=False), flush=True)
    if not args.quick or args.out: merge(pd.DataFrame(rows), out, ["side", "data", "net", "ipc", "steps", "seed", "cold", "device"])
