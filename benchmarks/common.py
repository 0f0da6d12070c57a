"""What every benchmark needs: who and when, and a CSV that is replaced as a whole."""
import argparse, datetime, os, platform
from pathlib import Path
import pandas as pd, torch
from dd_nb.core import atomic_write

RESULTS = Path(__file__).with_name("results")

def device_name(device="cpu"):
    if str(device).startswith("cuda"): return torch.cuda.get_device_name()
    try: cpu = next(l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name"))
    except (OSError, StopIteration): cpu = platform.processor() or platform.machine()
    flags = open("/proc/cpuinfo").read() if os.path.exists("/proc/cpuinfo") else ""
    return f"{cpu}, {os.cpu_count()} cores{', AMX' if 'amx_bf16' in flags else ''}"

def stamp(device="cpu"): return dict(device=device_name(device), torch=torch.__version__, date=datetime.date.today().isoformat())

def arguments(doc, **more):
    p = argparse.ArgumentParser(description=doc)
    p.add_argument("--quick", action="store_true", help="a size that ends in a minute; writes nothing unless --out is given")
    p.add_argument("--out", type=Path, help="CSV to write; default results/NAME.csv")
    for name, kw in more.items(): p.add_argument(f"--{name}", **kw)
    return p.parse_args()

def write(rows, name, args):
    table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
    print(table.to_string())
    out = args.out or (None if args.quick else RESULTS/f"{name}.csv")
    if out: atomic_write(out, table.to_csv(index=False)); print(f"-> {out}")
