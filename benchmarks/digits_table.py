"""Random and DM at IPC 1 and 10 on digits, the whole data above them: ConvNet, `quick` protocol, 5 distillation seeds, one student each."""
import tempfile
import pandas as pd
from common import arguments, stamp, write
from dd_nb import bounds, distill, evaluate, load_data

args = arguments(__doc__, seeds=dict(type=int, default=5))
seeds = range(1 if args.quick else args.seeds)
data, root, parts = load_data("digits"), tempfile.mkdtemp(), []
for ipc in (1, 10):
    for method in ("random", "herding", "kcenter", "dm"):
        for s in seeds:
            run = distill(method, data, ipc=ipc, seed=s, root=root, progress=False)
            parts.append(evaluate(run, data, seeds=[s], progress=False).assign(distil_seed=s, distil_seconds=run.progress["seconds"]))
            print(method, ipc, s, parts[-1].accuracy.round(4).tolist(), flush=True)
parts.append(bounds(data, 1, seeds=list(seeds), kinds=("whole",), root=root, progress=False))
write(pd.concat(parts, ignore_index=True).drop(columns="artifact").assign(**stamp()), "digits_table", args)
