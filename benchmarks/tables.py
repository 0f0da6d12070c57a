"""Write the tables of README.md and docs/measured.md from the CSVs in results/. `--check` only says whether they are current (`--quick`, which all scripts here take, does too)."""
import re, sys
from pathlib import Path
import pandas as pd
from common import RESULTS
from dd_nb import published

ROOT = Path(__file__).parents[1]
ORDER = ["random", "herding", "kcenter", "dc", "dsa", "dm", "dm, batch norm", "mtt", "datadam", "atom", "atom, instance norm", "kip", "frepo", "rcig", "whole"]
OWN = dict(datadam="norm=batch", atom="norm=batch")    # norm of the networks that a method's quick preset distils through; all others instance norm
LEARNED = {m: f"`{m}`, learned labels" for m in ("kip", "frepo", "rcig")}    # trained on them, by recipes of their own
SIDES = ["alone, 1 image", "alone", "alone, 3 x steps", "haba", "haba, 3 x steps", "haba, .3 x step", "haba, all pairs", "haba, all pairs, 3 x steps", "no game", "bases only", "hallucinators only"]
DIM = ["dim", "gan", "dim, frozen", "gan, frozen", "random", "no match", "match x 30", "feature", "gradient"]
ABLATION = {"atom, spatial": "spatial", "atom, channel": "channel", "atom": "mix"}
csv = lambda name: pd.read_csv(RESULTS/f"{name}.csv")

def markdown(t: pd.DataFrame) -> str:
    line = lambda cells: "| " + " | ".join(map(str, cells)) + " |"
    return "\n".join([line(t.columns), "|" + "---|"*len(t.columns), *(line(r) for r in t.itertuples(index=False))])

def source(t, name):
    one = lambda c: ", ".join(map(str, t[c].dropna().unique()))
    return f"\n\n*{one('device')}; torch {one('torch')}; {one('date')}; `benchmarks/results/{name}.csv`.*"

def spread(g, full=0):
    "Cells of mean ± standard deviation, of a table with mean, std and count; the number of students in brackets where it is less than `full`."
    return (100*g["mean"]).map("{:.1f}".format) + (100*g["std"]).map(" ± {:.1f}".format).where(g["std"].notna(), "") + g["count"].map(" ({:.0f})".format).where(g["count"] < full, "")

def accuracy(t, title, full) -> str:
    "Methods down, (data, IPC) across: mean and standard deviation over all students of all distillation seeds, as a rule `full` of them."
    cell = spread(t.groupby(["data", "ipc", "method"]).accuracy.agg(["mean", "std", "count"]), full)
    cols = [(d, i) for d in t.data.unique() for i in sorted(t[(t.data == d) & (t.method != "whole")].ipc.unique())]
    def value(m, d, i):
        if m == "whole": return next((v for k, v in cell.items() if k[0] == d and k[2] == "whole"), "") if i == cols_of(d)[0] else ""
        return cell.get((d, i, m), "")
    cols_of = lambda d: [i for dd, i in cols if dd == d]
    rows = [{title: LEARNED.get(m, f"`{m}`") if m != "whole" else "whole data"} | {f"{d}, IPC {i:g}": value(m, d, i) for d, i in cols} for m in ORDER if m in set(t.method)]
    return markdown(pd.DataFrame(rows))

def ablation(t) -> str:
    "Kinds of attention down, (data, IPC, norm of the students) across."
    t = t.assign(norm=t.net.str.contains("norm=batch").map({True: "batch norm", False: "instance norm"}))
    g = t.groupby(["method", "data", "ipc", "norm"]).accuracy.agg(["mean", "std"])
    cell = ((100*g["mean"]).map("{:.1f}".format) + " ± " + (100*g["std"]).map("{:.1f}".format)).unstack(["data", "ipc", "norm"]).sort_index(axis=1).loc[list(ABLATION.values())].fillna("")
    cell.columns = [f"{d}, IPC {i}, {n}" for d, i, n in cell.columns]
    return markdown(cell.rename_axis("attention").reset_index())

def regression(t) -> str:
    "Methods and what students were trained on down, (data, IPC, network) across."
    g = t.groupby(["method", "trained_on", "data", "ipc", "net"]).accuracy.agg(["mean", "std"])
    cell = ((100*g["mean"]).map("{:.1f}".format) + " ± " + (100*g["std"].fillna(0)).map("{:.1f}".format)).unstack(["data", "ipc", "net"]).sort_index(axis=1)
    order = list(dict.fromkeys(t.method))
    cell = cell.loc[sorted(cell.index, key=lambda i: (order.index(i[0]), i[1] != "own"))].fillna("")
    cell.columns = [f"{d}, IPC {i:g}, {n}" for d, i, n in cell.columns]
    return markdown(cell.reset_index().rename(columns=dict(trained_on="labels")))

def haba(t, plain) -> str:
    "Objectives and sides down, (data, budget, network) across; plain images that quick_table.csv has need not be run again. One image a class is what papers set beside HaBa's 1.9."
    have = t[["data", "budget", "objective", "side", "net"]].drop_duplicates()
    more = plain[plain.method.isin(t.objective) & plain.data.isin(t.data)].assign(objective=lambda d: d.method, side="alone", budget=lambda d: d.ipc, stored=lambda d: d.ipc)
    more = more.merge(have[have.side == "haba"][["data", "budget", "objective", "net"]]).merge(have[have.side == "alone"], how="left", indicator=True)
    one = plain[plain.method.isin(t.objective) & (plain.ipc == 1)].assign(objective=lambda d: d.method, side="alone, 1 image", budget=2).merge(have[have.side == "haba"][["data", "budget", "objective", "net"]])
    t = pd.concat([t, more[more._merge == "left_only"], one])
    g = t.groupby(["objective", "side", "data", "budget", "net"]).accuracy.agg(["mean", "std"])
    cell = ((100*g["mean"]).map("{:.1f}".format) + (100*g["std"]).map(" ± {:.1f}".format).where(g["std"].notna(), "")).unstack(["data", "budget", "net"]).sort_index(axis=1)
    cell = cell.loc[sorted(cell.index, key=lambda i: (ORDER.index(i[0]), SIDES.index(i[1].removesuffix(", lr_hal .001")), i[1]))].fillna("")
    cell.columns = [f"{d}, budget {b}, {n}" for d, b, n in cell.columns]
    return markdown(cell.reset_index())

def dim(t) -> str:
    "Students and sides down, what is stored, (data, IPC) across; published figures, which are CIFAR-10's, in a column of their own."
    p = published("cifar10", 10, "dim")
    p = dict(zip(p.net, (100*p.accuracy).round(1)))
    t = t.assign(side=t.side.where(t.preset == "quick", t.side + " (" + t.preset + ")"))
    g = t.groupby(["net", "side", "data", "ipc"]).accuracy.agg(["mean", "std"])
    cell = ((100*g["mean"]).map("{:.1f}".format) + (100*g["std"]).map(" ± {:.1f}".format).where(g["std"].notna(), "")).unstack(["data", "ipc"]).sort_index(axis=1)
    cell = cell.loc[sorted(cell.index, key=lambda i: (i[0], DIM.index(i[1].split(" (")[0])))].fillna("")
    cell.columns = [f"{d}, IPC {i}" for d, i in cell.columns]
    kb = t.groupby(["net", "side"]).bytes.agg(["min", "max"]).loc[cell.index]/1000
    cell.insert(0, "stored, kB", [f"{a:,.0f}" if a == b else f"{a:,.0f} to {b:,.0f}" for a, b in kb.itertuples(index=False)])
    if "cifar10" in set(t.data): cell["published (cifar10, IPC 10)"] = [next((v for k, v in p.items() if net.startswith(k)), "") if side.startswith("dim") and "frozen" not in side else "" for net, side in cell.index]
    return markdown(cell.reset_index())

def ddoq(t) -> str:
    "Sides and strengths down, (data, IPC) across."
    g = t.groupby(["net", "side", "strength", "data", "ipc"]).accuracy.agg(["mean", "std"])
    cell = ((100*g["mean"]).map("{:.1f}".format) + (100*g["std"]).map(" ± {:.1f}".format).where(g["std"].notna(), "")).unstack(["data", "ipc"]).sort_index(axis=1)
    order = ["random", "random, decoded", "nearest, decoded", "d4m", "ddoq mass", "ddoq sqrt"]
    cell = cell.loc[sorted(cell.index, key=lambda i: (i[0], i[2], order.index(i[1])))].fillna("")
    cell.columns = [f"{d}, IPC {i}" for d, i in cell.columns]
    cell = cell.reset_index()
    return markdown(cell.assign(strength=cell.strength.map(lambda s: "" if s < 0 else f"{s:g}")))

def ddoq_w2(t) -> str:
    "Distances in latent space: random real images, and centroids with equal weights and with masses."
    t = t.drop_duplicates(["data", "ipc", "side", "distil_seed", "strength"])
    rows = []
    for (d, i), g in t.groupby(["data", "ipc"], sort=False):
        r, c = g[g.side == "random"], g[g.strength >= 0]
        mean = lambda x: "" if not len(x) else f"{x.mean():.3f}"
        rows.append({"data": d, "IPC": i, "random real images, equal weights": mean(r.w2_uniform), "their cells' masses": mean(r.w2_mass), "centroids, equal weights (D4M)": mean(c.w2_uniform), "centroids, masses (DDOQ)": mean(c.w2_mass),
                     "smaller by": "" if not len(c) else f"{100*(1 - c.w2_mass.mean()/c.w2_uniform.mean()):.1f} %"})
    return markdown(pd.DataFrame(rows))

def quantize(t, *what) -> str:
    t = t[t.what.isin(what)].copy()
    for c in ("K", "batch", "passes", "a_second", "more_mb", "own_mb", "n"):
        if c in t: t[c] = t[c].map(lambda v: "" if v != v else f"{v:,.0f}")
    return markdown(t[[c for c in ("what", "side", "n", "d", "K", "batch", "passes", "seconds", "a_second", "speedup", "distortion", "more_mb", "own_mb") if c in t and t[c].notna().any() and (t[c] != "").any()]].fillna(""))

def speed(t) -> str:
    t = t.assign(s=t.seconds_a_step.map("{:.3f}".format), times=t.speedup.map("{:.1f} x".format), gap=t.loss_difference.map("{:.0e}".format))
    return markdown(t[["size", "net", "batch_real", "ipc", "side", "s", "times", "peak_mb", "gap"]].rename(columns=dict(batch_real="real a class", ipc="IPC", s="s a step", times="faster", peak_mb="peak MB", gap="loss difference")))

LABELS = dict(dict.fromkeys(("kip", "frepo", "rcig"), "learned"), **dict.fromkeys(("d4m", "ddoq"), "a teacher's"))

def precisions(t) -> str:
    "In which precision students trained, and which methods' did in the rarer one."
    by = t.groupby("method").precision.agg(lambda p: " and ".join(sorted(set(p))))
    common = by.mode()[0]
    return common + "".join(f", of {', '.join(by.index[by == p])} in {p}" for p in sorted(set(by) - {common}))

def comparison(t) -> str:
    "A table for each data set and IPC: methods down, architectures across, what each cost, and what was reduced."
    from dd_nb import list_methods, summarize
    out, fine = [], t[t.accuracy.notna()]
    rank = lambda m: (ORDER.index(m) if m in ORDER[:-1] else 99 if m != "whole" else 100, m)
    for (data, ipc), part in fine[fine.method != "whole"].sort_values("ipc", kind="stable").groupby(["data", "ipc"], sort=False):
        s = summarize(pd.concat([part, fine[(fine.method == "whole") & (fine.data == data)]]), by=("method", "net"))
        s["cell"] = (100*s["mean"]).map("{:.1f}".format) + (100*s.ci95).map(" ± {:.1f}".format).where(s.ci95.notna(), "")
        wide = s.pivot(index="method", columns="net", values="cell").reindex(index=sorted(set(s.method), key=rank), columns=list(dict.fromkeys(s.net))).fillna("")
        first = pd.concat([part, fine[(fine.method == "whole") & (fine.data == data)]]).groupby("method").first()
        wide.insert(0, "bytes", [f"{first.bytes[m]:,.0f}" for m in wide.index])
        wide.insert(1, "labels", [LABELS.get(m, first.labels[m]) for m in wide.index])
        wide.insert(2, "min", [f"{first.distil_seconds[m]/60:.1f}" for m in wide.index])
        said = []
        for n, g in part.groupby("net", sort=False):
            most, each = g.steps.mode()[0], g.groupby("method").steps.first()
            said.append(f"{n} {most:,.0f}" + "".join(f" ({', '.join(each.index[each == k])} {k:,.0f})" for k in sorted(set(each) - {most})))
        said = ", ".join(said)
        if len(bound := fine[(fine.method == "whole") & (fine.data == data)]): said += f", on the whole set {bound.steps.max():,.0f} (in {' and '.join(sorted(bound.precision.unique()))})"
        less = "; ".join(dict.fromkeys(x for r in part.reduced.dropna() for x in r.split("; ") if "student steps" not in x))
        failed = sorted(set(t[(t.data == data) & (t.ipc == ipc) & t.accuracy.isna()].method) - set(part.method))
        yet = sorted(set(list_methods()) - set(part.method) - set(failed))
        out.append(f"**{data}, IPC {ipc:g}** (± half the 95 % interval)\n\n" + markdown(wide.reset_index()) + f"\n\nReduced: {less or 'nothing'}. Steps of a student: {said} (the field: 1,000 epochs). Augmentation: {', '.join(sorted(part.augment.unique())).replace('_', ' ')}. Students in {precisions(part)}." + (f" Could not be: {', '.join(failed)}." if failed else "") + (f" Not run yet: {', '.join(yet)}." if yet else ""))
    return "\n\n".join(out)

def scored(t) -> str:
    "DD-Ranking's scores: accuracies in percent, HLR and IOR in points, LRS and ARS on their scale."
    from dd_nb.compare.scores import score_table
    out = []
    for (data, preset, _), part in t.groupby(["data", "preset", "epochs_asked"], sort=False):
        for r in score_table(part).to_dict("records"):
            points, scale = (lambda k: f"{100*r[k]:.1f} ± {100*r[k + ' ±']:.1f}"), (lambda k: f"{r[k]:.3f} ± {r[k + ' ±']:.3f}")
            out.append(dict(method=f"`{r['artifact']}`", data=f"{data}, IPC {r['ipc']}", network=r["net"], **{k: f"{100*r[k]:.1f}" for k in ("real-hard", "syn-hard", "syn-any", "rdm-any")}, HLR=points("HLR"), IOR=points("IOR"), LRS=scale("LRS"), ARS=scale("ARS"), students=r["seeds"]))
    return markdown(pd.DataFrame(out))

def blocks() -> dict:
    out = {}
    if (RESULTS/"digits_table.csv").exists(): t = csv("digits_table"); out["digits"] = accuracy(t, "digits, 5 seeds", 5) + source(t, "digits_table")
    if (RESULTS/"regression_table.csv").exists():
        r = csv("regression_table")
        plain = r[~r.method.str.contains(",")]
        out |= {k: regression(t) + source(t, "regression_table") for k, t in (("regression", plain[plain.data != "digits"]), ("regression_digits", plain[plain.data == "digits"])) if len(t)}
        varied = r[r.method.str.contains(",")][["data", "ipc", "net"]].drop_duplicates()
        if len(varied): out["rcig_ablation"] = regression(a := r[(r.trained_on == "own") & r.method.str.startswith("rcig")].merge(varied)) + source(a, "regression_table")
    if (RESULTS/"quick_table.csv").exists():
        t = csv("quick_table")
        if "regression" in out: t = pd.concat([t, r[(r.trained_on == "own") & r.net.isin(t.net) & r.data.isin(t.data) & ~r.method.str.contains(",")]], ignore_index=True)
        parts = t[t.method.isin(ABLATION)].assign(method=t.method.map(ABLATION))
        if parts.method.nunique() == 3: out["ablation"] = ablation(parts) + source(parts, "quick_table")
        own = t[t.data.isin(("cifar10", "fashion_mnist")) & (t.net.str.extract(r"(norm=\w+)")[0].fillna("") == t.method.map(OWN).fillna("")) & ~t.method.str.contains(",")]
        files = "{quick_table,regression_table}"
        out["quick_own"] = accuracy(own, "`quick`, each method with its own students", 6) + source(own, files)
        kinds = [("quick", ~t.net.str.contains("norm="), "`quick`"), ("quick_batch", t.net.str.contains("norm=batch"), "`quick`, students with batch norm")]
        out |= {name: accuracy(t[rows], title, 6) + source(t[rows], files) for name, rows, title in kinds if rows.any()}
    if (RESULTS/"haba_table.csv").exists(): t = csv("haba_table"); out |= {k: haba(t[t.data == d], csv("quick_table")) + source(t[t.data == d], "haba_table") for k, d in (("haba", "cifar10"), ("haba_digits", "digits"))}
    if (RESULTS/"dim_table.csv").exists(): t = csv("dim_table"); out["dim"] = dim(t) + source(t, "dim_table")
    if (RESULTS/"dim_speed.csv").exists(): t = csv("dim_speed"); out["dim_speed"] = markdown(t[["phase", "data", "width", "batch", "side", "precision", "images_a_second", "speedup", "peak_mb"]]) + source(t, "dim_speed")
    if (RESULTS/"ddoq_table.csv").exists(): t = csv("ddoq_table"); out["ddoq"], out["ddoq_w2"] = ddoq(t) + source(t, "ddoq_table"), ddoq_w2(t) + source(t, "ddoq_table")
    if (RESULTS/"quantize_speed.csv").exists():
        t = csv("quantize_speed")
        out |= {name: quantize(t, *what) + source(t, "quantize_speed") for name, what in (("quantize_speed", ["quantiser"]), ("quantize_memory", ["memory"]), ("encode_speed", [w for w in t.what.unique() if w.startswith("encoding")])) if t.what.isin(what).any()}
    if (RESULTS/"haba_speed.csv").exists(): t = csv("haba_speed"); out["haba_speed"] = markdown(t[["what", "bases", "channels", "hallucinators", "px", "side", "seconds_a_step", "speedup", "peak_mb", "difference"]]) + source(t, "haba_speed")
    if (RESULTS/"dm_speed.csv").exists(): t = csv("dm_speed"); out["dm_speed"] = speed(t) + source(t, "dm_speed")
    if (RESULTS/"matching_speed.csv").exists(): t = csv("matching_speed"); out["matching_speed"] = markdown(t[["method", "size", "ipc", "side", "seconds_a_step", "speedup", "peak_mb", "loss_difference"]]) + source(t, "matching_speed")
    if (RESULTS/"mtt_memory.csv").exists(): t = csv("mtt_memory"); out["mtt_memory"] = markdown(t[["side", "syn_steps", "ipc", "before_mb", "peak_mb", "seconds"]]) + source(t, "mtt_memory")
    if (RESULTS/"held_out.csv").exists():
        t = csv("held_out")
        g = t.groupby(["data", "ipc", "setting", "net"], sort=False).agg(mean=("accuracy", "mean"), std=("accuracy", "std"), count=("accuracy", "count"), seeds=("distil_seed", "nunique"), regression=("regression", "mean"), seconds=("distil_seconds", "mean")).reset_index()
        out["held_out"] = markdown(g.assign(accuracy=spread(g), regression=(100*g.regression).map("{:.1f}".format).replace("nan", ""), seconds=g.seconds.map("{:.0f}".format), seeds=g.seeds.map(str) + g["count"].map(" ({:.0f} students)".format).where(g["count"] != 2*g.seeds, ""))
            [["data", "ipc", "setting", "net", "accuracy", "regression", "seeds", "seconds"]]) + source(t, "held_out")
    if (RESULTS/"rcig_speed.csv").exists():
        t = csv("rcig_speed")
        out["rcig_speed"] = markdown(t.assign(error=t.error.map("{:.0e}".format), note=t.note.fillna(""))[["width", "ipc", "real", "side", "steps", "seconds", "more_mb", "error", "note"]].astype(dict(more_mb="Int64")).astype(object).replace("nan", "").fillna("")) + source(t, "rcig_speed")
    if (RESULTS/"rcig_growth.csv").exists():
        t = csv("rcig_growth")
        out["rcig_growth"] = markdown(t[["ipc", "width", "pool", "solver", "inner_steps", "seconds", "more_mb", "residual"]].assign(residual=t.residual.map("{:.0e}".format).replace("nan", ""))) + source(t, "rcig_growth")
    if (RESULTS/"paper_table.csv").exists():
        t = csv("paper_table")
        g = t.groupby(["method", "data", "ipc", "net"], sort=False).agg(measured=("accuracy", "mean"), std=("accuracy", "std"), published=("published", "first"), minutes=("distil_seconds", "mean")).reset_index()
        out["paper"] = markdown(g.assign(measured=(100*g.measured).round(1), std=(100*g["std"]).round(1), minutes=(g.minutes/60).round(1))) + source(t, "paper_table")
    if (RESULTS/"student_speed.csv").exists():
        t = csv("student_speed")
        warm, cold = (t[t.cold == c].groupby(["net", "side"], sort=False) for c in (False, True))
        g = warm.agg(train=("train_seconds", "min"), test=("test_seconds", "min"), first=("first", "first"), accuracy=("accuracy", "mean"))
        g = g.loc[[(n, side) for n in dict.fromkeys(t.net) for side in ("eager", "compiled", "eager, bfloat16", "compiled, bfloat16") if (n, side) in g.index]]
        g["first on a machine"] = cold["first"].first().map("{:.1f}".format)
        out["student_speed"] = markdown(g.assign(**{c: g[c].map("{:.1f}".format) for c in ("train", "test", "first")}, accuracy=(100*g.accuracy).map("{:.1f}".format)).fillna("").reset_index()) + source(t, "student_speed")
    if (RESULTS/"comparison.csv").exists(): t = csv("comparison"); out["comparison"] = comparison(t) + source(t, "comparison")
    if (RESULTS/"scores_table.csv").exists(): t = csv("scores_table"); out["scores"] = scored(t) + source(t, "scores_table")
    if (RESULTS/"harness_speed.csv").exists():
        t = csv("harness_speed")
        out["harness_speed"] = markdown(t.assign(faster=t.speedup.map("{:.2f} x".format), accuracy=(100*t.accuracy).map("{:.1f}".format) + (100*t["std"]).map(" ± {:.1f}".format).where(t["std"].notna(), ""), apart=t.apart.map("{:.1%}".format))
            [["device", "net", "precision", "ipc", "seeds", "epochs", "side", "seconds", "faster", "accuracy", "apart"]]) + source(t, "harness_speed")
    if (RESULTS/"latency.csv").exists(): t = pd.concat([csv(n) for n in ("latency", "first_image") if (RESULTS/f"{n}.csv").exists()]); out["latency"] = markdown(t[["what", "seconds", "goal"]].astype(str).replace("nan", "")) + source(t, "latency").replace("latency.csv", "{latency,first_image}.csv")
    return out

def filled(text, tables) -> str:
    for name in re.findall(r"<!-- table: (\w+) -->", text):
        tables.setdefault(name, "*Not measured yet.*")
        text = re.sub(rf"<!-- table: {name} -->.*?<!-- end -->", lambda _: f"<!-- table: {name} -->\n{tables[name]}\n<!-- end -->", text, flags=re.S)
    return text

if __name__ == "__main__":
    tables, stale, check = blocks(), [], {"--check", "--quick"} & set(sys.argv)
    for path in (ROOT/"README.md", ROOT/"docs"/"measured.md"):
        old = path.read_text()
        new = filled(old, tables)
        if new != old: stale.append(path.name); check or path.write_text(new)
    if check and stale and "--check" in sys.argv: sys.exit(f"{', '.join(stale)} do not show benchmarks/results; run benchmarks/tables.py")
