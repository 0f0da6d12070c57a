"""Pictures for the docs from results/comparison.csv: a map of method x architecture for each data set and IPC, accuracy by bytes on the ConvNet; and with --page FILE the whole comparison as one HTML page. Needs the extra `pictures`."""
from pathlib import Path
import pandas as pd
from common import RESULTS, arguments
from tables import ORDER
from dd_nb.compare.figures import by_bytes, heat_map, report, save_figure

args = arguments(__doc__, source=dict(default=str(RESULTS/"comparison.csv"), help="a table of comparison.py"), folder=dict(default=str(RESULTS.parents[1]/"docs"), help="where pictures go"), page=dict(default="", help="HTML file"))
if not Path(args.source).exists(): raise SystemExit(f"no {args.source} yet: comparison.py makes it" if not args.quick else 0)
t = pd.read_csv(args.source)
t = t[t.accuracy.notna() & (t.method != "whole")]
if (kinds := t.groupby(["data", "precision"]).protocol.nunique()).max() > 1: raise SystemExit(f"rows of different protocols do not compare; expected one for each data set and precision, found {kinds[kinds > 1].to_dict()}")
t = t.assign(protocol=t.groupby("data").protocol.transform("first"))     # what is left differs in precision alone
t = t.assign(artifact=t.method + ", IPC " + t.ipc.map("{:g}".format), ipc=t.ipc.astype(int)).drop(columns="hyper")
t = t.sort_values(["data", "method"], key=lambda c: c if c.name == "data" else c.map({m: i for i, m in enumerate([*ORDER, *sorted(set(t.method) - {*ORDER})])}), kind="stable")      # a method has its place and colour in every picture
for data, part in t.groupby("data", sort=False):
    pictures = {"bytes": by_bytes(part, next((n for n in part.net if n.startswith("convnet")), part.net.iloc[0]))} | {f"map_ipc{i}": heat_map(p) for i, p in part.groupby("ipc")}
    for name, fig in pictures.items():
        if name == "bytes": fig.update_layout(width=900, height=560)
        print(save_figure(f"{args.folder}/comparison_{data}_{name}.png", fig, scale=1))
        if args.quick: raise SystemExit
if args.page: print(report(t, args.page, title="Methods x data x budgets x architectures", note="; ".join(dict.fromkeys(x for r in t.reduced.dropna() for x in r.split("; ") if "student steps" not in x))))
