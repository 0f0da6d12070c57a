"""What every benchmark needs: who and when, and a CSV that is replaced as a whole."""
import argparse, datetime, gc, os, platform, statistics, time
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

def merge(table, out, key):
    "Rows go into the CSV in place of those with the same key; all others stay, so that a table can be made in parts, also side by side."
    import fcntl
    with open(out.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if out.exists():
            old = pd.read_csv(out)
            table = pd.concat([old[~old.set_index(key).index.isin(table.set_index(key).index)], table], ignore_index=True)
        atomic_write(out, table.to_csv(index=False))
    return table

def reset_peak(device):
    gc.collect()
    if device.type == "cuda": torch.cuda.reset_peak_memory_stats()
    else: open("/proc/self/clear_refs", "w").write("5")            # resets the process's high-water mark (Linux)

def peak_mb(device):
    if device.type == "cuda": return torch.cuda.max_memory_allocated()/2**20
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM"))/1024

def seconds(step, n, device):
    start = time.perf_counter()
    for _ in range(n): step()
    if device.type == "cuda": torch.cuda.synchronize()
    return (time.perf_counter() - start)/n

def race(sides: dict, steps: int, rounds: int, device) -> list:
    "Time sides (name -> function that makes an object with `step`) in turns, so that a busy moment meets all: rows with side, seconds, first step, peak."
    live, times, peak, warm = {k: make() for k, make in sides.items()}, {k: [] for k in sides}, {}, {}
    for k, s in live.items():                                      # the first step compiles and allocates
        start = time.perf_counter(); s.step(); warm[k] = time.perf_counter() - start
    for _ in range(rounds):
        for k, s in live.items():
            reset_peak(device)
            times[k].append(seconds(s.step, steps, device))
            peak[k] = max(peak.get(k, 0), peak_mb(device))
    best = {k: statistics.median(v) for k, v in times.items()}
    first = next(iter(best.values()))
    return [dict(side=k, seconds_a_step=round(best[k], 4), speedup=round(first/best[k], 2), first_step_seconds=round(warm[k], 1), peak_mb=round(peak[k])) for k in sides]
