"""Students of one distilled set, eager, compiled, and compiled in bfloat16: seconds each and accuracy on the same seeds, in one process."""
import torch
from common import arguments, stamp, write
from dd_nb import evaluate, load_data
from dd_nb.core import generator
from dd_nb.distilled import Images
from dd_nb import judge

args = arguments(__doc__, data=dict(default="cifar10"), net=dict(default="convnet:width=64"), students=dict(type=int, default=4), ipc=dict(type=int, default=10), epochs=dict(type=int, default=300))
data, rows = load_data(args.data), []
d = Images.start(data, args.ipc, generator(0, "student speed"), recipe=dict(method="random", data=data.name))
for side, compiled, precision in (("eager", False, "float32"), ("compiled", True, "float32"), ("compiled, bfloat16", True, "bfloat16")):
    judge._pays = lambda *_: compiled
    t = evaluate(d, data, args.net, 1 if args.quick else args.students, epochs=5 if args.quick else args.epochs, precision=precision, progress=False)
    for _, r in t.iterrows():
        rows.append(dict(side=side, data=data.name, net=args.net, ipc=args.ipc, epochs=r.epochs, seed=r.seed, seconds=r.seconds, accuracy=r.accuracy, loss=r.loss, threads=torch.get_num_threads(), **stamp()))
        print(rows[-1], flush=True)
write(rows, "student_speed", args)
