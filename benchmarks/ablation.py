"""ATOM's ablation: spatial, channel and mixed attention with the `quick` preset."""
import tempfile
import pandas as pd
from common import RESULTS, arguments, stamp, write
from dd_nb import distill, evaluate, load_data

args = arguments(__doc__, data=dict(default="cifar10,fashion_mnist"), ipc=dict(default="1,10"), seeds=dict(type=int, default=2), students=dict(type=int, default=3),
                 net=dict(default="convnet:width=64"), precision=dict(default="bfloat16"))
parts, root = [], tempfile.mkdtemp()
for name in args.data.split(","):
    data = load_data(name)
    for ipc in map(int, args.ipc.split(",")):
        for variant in ("spatial", "channel", "mix"):
            for s in range(1 if args.quick else args.seeds):
                run = distill("atom", data, ipc=ipc, seed=s, root=root, progress=False, attention=variant)
                t = evaluate(run, data, args.net, 1 if args.quick else args.students, precision=args.precision, progress=False)
                parts.append(t.assign(variant=variant, distil_seed=s, distil_seconds=run.progress["seconds"]))
                print(name, ipc, variant, s, f"{run.progress['seconds']:.1f} s", t.accuracy.round(4).tolist(), flush=True)
write(pd.concat(parts, ignore_index=True).drop(columns="artifact").assign(precision=args.precision, **stamp()), "ablation", args)
