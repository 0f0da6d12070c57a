"""What every test may rely on: its own run and data folders, one device, and few threads. Nothing of a person's workspace is read or written."""
import os, re, shutil, subprocess, sysconfig, tempfile
from pathlib import Path
import pytest

TREE = Path(__file__).resolve().parents[1]

# before torch is imported, and for every process a test starts
os.environ.setdefault("OMP_NUM_THREADS", "1")     # two threads on a busy machine wait for each other: 14 s instead of 2
os.environ.setdefault("DD_NB_DEVICE", "cpu")     # bit-equality is promised there
_home = tempfile.mkdtemp(prefix="dd_nb-tests-")
os.environ["DD_NB_RUNS"] = f"{_home}/runs"
os.environ.setdefault("DD_NB_DATA", f"{_home}/data")

def pytest_unconfigure(config): shutil.rmtree(_home, ignore_errors=True)

LONG = "explorer_browser course app wheel latents_browser methods compare_browser course_browser generator_browser labels_browser bases_browser ray docs together resume".split()

def pytest_collection_modifyitems(items):
    "The files that take longest come first, the longest before all: begun last, one would run alone beside idle cores. (`--no-loadscope-reorder` leaves them so.)"
    place = {f"test_{n}": i for i, n in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONG)))

def sources(tree=TREE) -> list:
    "The files of the project: what git tracks or would track; outside git, what is no build product."
    try: out = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=tree, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        skip = {".git", ".venv", "build", "dist", "runs", "data", "__pycache__", ".pytest_cache", ".ipynb_checkpoints", "screenshots"}
        return sorted(p.relative_to(tree) for p in tree.rglob("*") if p.is_file() and not skip & {*p.relative_to(tree).parts} and ".egg-info" not in str(p))
    return sorted(Path(os.fsdecode(f)) for f in out.split(b"\0") if f and (tree/os.fsdecode(f)).is_file())

def copy_tree(to) -> Path:
    "A copy of the project's files to work on, so that no test touches a developer's uncommitted work."
    for f in sources():
        (to/f).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(TREE/f, to/f)
    return to

@pytest.fixture(scope="module", autouse=True)
def runs_of_this_file(request):
    "A run folder for each file of tests, also for the servers it starts: what another file distilled in the same process is not seen."
    with pytest.MonkeyPatch.context() as m:
        m.setenv("DD_NB_RUNS", f"{_home}/{request.module.__name__}")
        yield

@pytest.fixture
def tree_copy(tmp_path): return copy_tree(tmp_path/"tree")

@pytest.fixture
def own_runs(tmp_path, monkeypatch):
    "A run folder for this test alone."
    monkeypatch.setenv("DD_NB_RUNS", str(tmp_path/"runs"))
    return tmp_path/"runs"

def run(*cmd, check=True, timeout=300, **kw):
    "Run a command to its end; what it said is in the failure."
    p = subprocess.run([str(c) for c in cmd], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, **kw)
    assert not check or p.returncode == 0, f"{' '.join(map(str, cmd))} ended with {p.returncode}\n{p.stdout[-3000:]}\n{p.stderr[-5000:]}"
    return p

DD_NB = Path(sysconfig.get_path("scripts"))/"dd-nb"   # the command as pip installed it beside this Python

def python_blocks(markdown) -> list:
    "The ```python examples of a text."
    return re.findall(r"(?ms)^```python\n(.*?)^```", markdown)
