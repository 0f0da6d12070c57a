"""DD-Ranking's scores of several methods: hard-label recovery, improvement over random images, and the label-robust and augmentation-robust score made of them, with the accuracies behind.

Protocol `ddranking`: learning rates chosen on held-out training images, for each side. The CSV keeps every student (`role` says what for); what it has by these settings is not made again. Parts with --data, --methods, --ipc."""
import pandas as pd
from common import RESULTS, arguments, merge, stamp
from dd_nb import distill, load_data
from dd_nb.compare.scores import score_runs, score_table
from dd_nb.settings import get_device, settings

args = arguments(__doc__, data=dict(default="digits"), methods=dict(default="herding,dm,frepo,ddoq"), ipc=dict(default="1"), net=dict(default="convnet:width=64"), preset=dict(default="quick"), seeds=dict(type=int, default=3, help="students a role"), epochs=dict(type=int, default=1_000), root=dict(default=None, help="folder of runs; default the setting's"))
if args.quick: args.methods, args.net, args.epochs, args.seeds = "herding,dm", "mlp:width=8", 5, 2
KEY, out = ["data", "scored_ipc", "scored", "net", "preset", "role", "seed"], args.out or RESULTS/"scores_table.csv"
data, about = load_data(args.data), stamp(get_device())
how = dict(whole_epochs=1, rates=(.01, .1)) if args.quick else {}
old = pd.read_csv(out) if out.exists() else pd.DataFrame()
for ipc in map(int, args.ipc.split(",")):
    for method in args.methods.split(","):
        about_it = dict(data=data.name, scored_ipc=ipc, scored=method, net=args.net, preset=args.preset, epochs_asked=args.epochs)
        if len(old) and len(there := old[(old[[*about_it]] == pd.Series(about_it)).all(axis=1)]) and there.seed.nunique() >= args.seeds: print(method, ipc, "is there"); continue
        run = distill(method, data, ipc=ipc, preset=args.preset, root=args.root or settings().runs, progress=False, **(dict(steps=2, net="convnet:width=8", batch_real=8) if args.quick and method != "herding" else {}))
        rows = score_runs(run, data, args.net, args.seeds, root=args.root, progress=False, **how, **(dict(epochs=args.epochs) if args.epochs != 1_000 else {}))
        t = score_table(rows.assign(scored=method))
        print(t.round(3).to_string(), flush=True)
        if not args.quick or args.out: merge(rows.drop(columns=["artifact", "method", "preset", "scored_ipc"], errors="ignore").assign(**about_it, **about), out, KEY)
