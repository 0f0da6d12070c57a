"""The sweep behind the comparison goes on where another machine ended: what was measured stays, whatever fails."""
import sys
import pandas as pd
from conftest import TREE, run

def test_measured_rows_stay(tmp_path):
    out, cell = tmp_path/"rows.csv", ["method", "net", "seed"]
    def made(root, *more):
        run(sys.executable, "comparison.py", "--quick", "--ipc", "1", "--methods", "random,haba", "--nets", "convnet;vit", "--out", out, "--root", tmp_path/root, *more, cwd=TREE/"benchmarks")
        return pd.read_csv(out).set_index(cell).sort_index()
    t = made("here")
    assert list(t.index) == [("haba", "convnet:width=8", 0), ("haba", "vit", 0), ("random", "convnet:width=8", 0), ("random", "vit", 0)]
    assert t.accuracy.isna().tolist() == t.error.notna().tolist() == [True, True, False, False]
    assert t.error.iloc[0].startswith("a budget of 1 images a class is too small for HaBa") and t.date.notna().all() and t.reduced.iloc[2:].str.contains("2 student steps").all()

    kept, lost = ("random", "convnet:width=8", 0), ("random", "vit", 0)
    t.loc[kept, ["accuracy", "date"]] = [.5, "2020-01-01"]                        # measured elsewhere
    t.loc[("haba", "vit", 0), ["accuracy", "error", "protocol"]] = [.25, None, t.protocol.iloc[0]]
    said, t.loc[("haba", "convnet:width=8", 0), "error"] = t.error.iloc[0], "an older failure"
    t.drop(index=[lost]).reset_index().to_csv(out, index=False)
    n = made("elsewhere", "--resume")                                            # no run or student of before is there
    assert list(n.index) == list(t.index)
    assert (n.accuracy[kept], n.date[kept], n.accuracy[("haba", "vit", 0)]) == (.5, "2020-01-01", .25)
    assert n.accuracy[lost] == t.accuracy[lost] and n.error[("haba", "convnet:width=8", 0)] == said
