"""The wheel alone, in an environment of its own, away from the repository: `dd-nb lab` and the README's example."""
import importlib.metadata, json, os, re, signal, subprocess, sys, sysconfig, time, urllib.error, urllib.request, zipfile
from pathlib import Path
import pytest
from conftest import TREE, copy_tree, python_blocks, run

OUTER = Path(sysconfig.get_path("purelib"))

@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    "Built from the source distribution, as an index would get it; from a copy, so that no build/ is left in the tree."
    tmp = tmp_path_factory.mktemp("build")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp/"dist", copy_tree(tmp/"tree"))
    return next((tmp/"dist").glob("*.whl"))

@pytest.fixture(scope="module")
def venv(wheel, tmp_path_factory):
    """A fresh environment that holds the wheel and nothing of the repository.
    torch and JupyterLab are gigabytes and would have to be fetched, so they are borrowed: a .pth line puts the outer site-packages behind the fresh one, and
    share/jupyter (JupyterLab's pages) is linked. Such a line does not read the .pth files of the folder it names: the outer editable install of dd_nb
    stays out, which `test_nothing_of_the_repository_is_seen` checks."""
    home = tmp_path_factory.mktemp("venv")/"v"
    run(sys.executable, "-m", "venv", home)
    run(bin_of(home)/"python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel)
    run(bin_of(home)/"python", "-m", "pip", "uninstall", "--quiet", "--yes", "setuptools")     # the one that comes with older Pythons is too old to build with
    site = Path(run(bin_of(home)/"python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
    (site/"outer.pth").write_text(f"{OUTER}\n")
    for d in ("share/jupyter", "etc/jupyter"):
        (home/d).parent.mkdir(exist_ok=True)
        if (Path(sys.prefix)/d).exists(): (home/d).symlink_to(Path(sys.prefix)/d)
    return home

def command(home, name):
    "A console command of a borrowed package, as pip would have put it into the environment."
    ep, = (e for e in importlib.metadata.entry_points(group="console_scripts") if e.name == name)
    (bin_of(home)/name).write_text(f"#!{bin_of(home)/'python'}\nimport sys\nfrom {ep.module} import {ep.attr}\nsys.exit({ep.attr}())\n")
    (bin_of(home)/name).chmod(0o755)

def bin_of(home): return home/("Scripts" if os.name == "nt" else "bin")

@pytest.fixture
def away(tmp_path, monkeypatch):
    "A working folder elsewhere, and no setting from outside but those of speed."
    for k in [k for k in os.environ if k.startswith(("DD_NB_", "PYTHON", "JUPYTER"))]: monkeypatch.delenv(k)
    monkeypatch.chdir(tmp_path)
    return tmp_path

def test_the_wheel_holds_what_it_should(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    own = [n for n in names if ".dist-info/" not in n]
    modules = {str(p.relative_to(TREE)) for p in (TREE/"dd_nb").rglob("*.py")}
    start = {"index.ipynb", "settings.ini", "nbs/sharing/_template.ipynb", *(str(p.relative_to(TREE)) for p in (TREE/"nbs"/"course").glob("*.ipynb"))}
    figures = {str(p.relative_to(TREE)) for p in (TREE/"dd_nb"/"published").glob("*.csv")}
    assert len(figures) > 4 and set(own) == modules | figures | {f"dd_nb/_start/{f}" for f in start}
    assert [n for n in names if n.endswith("licenses/LICENSE")]
    for f in start: assert zipfile.ZipFile(wheel).read(f"dd_nb/_start/{f}") == (TREE/f).read_bytes()

def test_nothing_of_the_repository_is_seen(venv, away):
    code = "import dd_nb, sys, importlib.metadata as m; print(dd_nb.__file__); print(*sys.path, sep='\\n'); print(m.distribution('dd-nb')._path)"
    out = run(bin_of(venv)/"python", "-c", code).stdout.splitlines()
    assert out[0].startswith(str(venv)) and out[-1].startswith(str(venv)) and str(TREE) not in out

def test_the_readme_example_runs(venv, away):
    example = python_blocks((TREE/"README.md").read_text())[0]
    assert len([l for l in example.splitlines() if l.strip()]) <= 10
    brief = example.replace("distill(m, data, ipc=1)", 'distill(m, data, ipc=1, **(dict(steps=20) if m == "dm" else {}))').replace("seeds=3", "seeds=1")
    assert brief.count("steps=20") == brief.count("seeds=1") == 1                   # the start notebook, below, does the same at full length
    p = run(bin_of(venv)/"python", "-c", brief)
    assert (away/"runs").is_dir() and "dm" in p.stdout, p.stdout

def test_the_command_without_a_repository(venv, away):
    assert " dm " in run(bin_of(venv)/"dd-nb", "list").stdout

def test_published_figures_travel_with_the_package(venv, away):
    out = run(bin_of(venv)/"python", "-c", "from dd_nb import published; t = published('cifar10', ipc=10, method='dm'); print(t.accuracy.tolist(), t.source[0])").stdout
    assert out.startswith("[0.489] FTD"), out

def get(url):
    with urllib.request.urlopen(url, timeout=10) as r: return r.read().decode()

@pytest.mark.parametrize("again", [False, True], ids=["fresh folder", "folder with a person's files"])
def test_lab(venv, away, again):
    work = away/"my work"
    mine = {"settings.ini": "[dd_nb]\nipc = 7\n", "index.ipynb": json.dumps(dict(cells=[], metadata={}, nbformat=4, nbformat_minor=5))}
    if again:
        work.mkdir()
        for k, v in mine.items(): (work/k).write_text(v)
    p = subprocess.Popen([bin_of(venv)/"dd-nb", "lab", work, "--no-browser"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
                         env=os.environ | dict(JUPYTER_CONFIG_DIR=str(away/"config"), JUPYTER_DATA_DIR=str(away/"data"), JUPYTER_RUNTIME_DIR=str(away/"runtime")))
    try:
        lines = []
        for line in p.stdout:                                    # ends when the address has come, or the process has gone
            lines.append(line)
            if url := re.search(r"http://\S+", line): break
        assert lines and url, f"{lines} {p.stderr.read()[-3000:] if p.poll() is not None else ''}"
        address, token = url[0].split("?token=")
        assert address.endswith("/lab/tree/index.ipynb") and "my work" in lines[0] or again
        page = wait_for(url[0], p)
        assert "<title>JupyterLab</title>" in page                # what a browser would show
        base = address.removesuffix("/lab/tree/index.ipynb")
        with pytest.raises(urllib.error.HTTPError): get(f"{base}/api/contents?token=wrong")
        files = {f["name"]: f for f in json.loads(get(f"{base}/api/contents?token={token}"))["content"]}
        assert {"index.ipynb", "settings.ini", "pyproject.toml"} <= set(files)
        assert "python3" in json.loads(get(f"{base}/api/kernelspecs?token={token}"))["kernelspecs"]
    finally:
        p.send_signal(signal.SIGTERM)
        try: p.wait(30)
        except subprocess.TimeoutExpired: p.kill(); raise
    if again: assert {k: (work/k).read_text() for k in mine} == mine
    else: assert (work/"index.ipynb").read_bytes() == (TREE/"index.ipynb").read_bytes()

def wait_for(url, process, seconds=60):
    "The page at `url` as soon as the server answers."
    end = time.time() + seconds
    while True:
        try: return get(url)
        except OSError:
            assert process.poll() is None and time.time() < end, process.stderr.read()
            time.sleep(.1)

def test_the_workspace_finds_its_settings_and_nbdev_its_peace(venv, away):
    "The trap of nbdev 3: a settings.ini without an nbdev pyproject beside it makes every nbdev command fail."
    code = "from dd_nb.cli import start_folder; print(start_folder('w'))"
    assert run(bin_of(venv)/"python", "-c", code).stdout == "['index.ipynb', 'settings.ini', 'pyproject.toml']\n"
    code = "from nbdev.config import get_config; from dd_nb.settings import settings; print(get_config().config_path, settings().home, settings().runs, sep='\\n')"
    assert run(bin_of(venv)/"python", "-c", code, cwd=away/"w").stdout.splitlines() == [str(away/"w"), str(away/"w"), str(away/"w"/"runs")]

def test_the_start_notebook_runs_in_the_environment(venv, away):
    "Each of its code cells, in a kernel of the fresh environment's Python."
    run(bin_of(venv)/"python", "-c", "from dd_nb.cli import start_folder; start_folder('w')")
    run(bin_of(venv)/"python", "-m", "nbconvert", "--to", "notebook", "--execute", "--output", "out.ipynb", "index.ipynb", cwd=away/"w", timeout=600)
    nb = json.loads((away/"w"/"out.ipynb").read_text())
    assert not [o for c in nb["cells"] for o in c.get("outputs", []) if o["output_type"] == "error"]
    assert (away/"w"/"runs").is_dir()

def test_a_method_of_ones_own_from_nothing_to_the_explorer(venv, away, monkeypatch):
    "What `dd-nb new-method` says is next, word by word; then it is listed, has its form in the explorer, distils, and its own tests pass."
    monkeypatch.setenv("PATH", f"{bin_of(venv)}{os.pathsep}{os.environ['PATH']}")
    for k, v in dict(PIP_NO_DEPS="1", PIP_NO_BUILD_ISOLATION="0", PIP_NO_INDEX="1", PIP_QUIET="1").items(): monkeypatch.setenv(k, v)    # what it needs is borrowed; "0" means do without isolation
    for c in ("nbdev-export", "nbdev-test"): command(venv, c)
    assert "two_moons" not in run("dd-nb", "list", "methods").stdout
    said = run("dd-nb", "new-method", "two_moons").stdout
    steps = "set -e\n" + said.split("Next:\n")[1]
    assert "nbdev-export && pip install -e ." in steps
    assert "--set spread=0.5" in run("bash", "-c", steps).stdout                   # its last line lists the method
    assert "two_moons" in run("dd-nb", "list", "methods").stdout
    code = "from dd_nb import Explorer; ex = Explorer(method='two_moons'); print(ex.w.method.value, ex.form['spread'].tooltip)"
    assert run("python", "-c", code).stdout.strip() == "two_moons weight of the spread beside the mean"
    assert run("dd-nb", "distill", "two_moons", "digits", "--set", "steps=3").stdout.startswith("two_moons-digits-ipc1-s0-")
    home = away/"dd-nb-two-moons"
    assert (home/"dd_nb_two_moons"/"two_moons.py").is_file()
    run("nbdev-test", cwd=home)
    assert re.search(r"2 passed", run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=home).stdout)

def test_a_notebook_of_ones_own_becomes_a_package(venv, away, monkeypatch):
    "One that never heard of nbdev: what only defines is exported, what does something stays in the notebook."
    monkeypatch.setenv("PATH", f"{bin_of(venv)}{os.pathsep}{os.environ['PATH']}")
    for k, v in dict(PIP_NO_DEPS="1", PIP_NO_BUILD_ISOLATION="0", PIP_NO_INDEX="1", PIP_QUIET="1").items(): monkeypatch.setenv(k, v)
    command(venv, "nbdev-export")
    cells = ["from dataclasses import dataclass\nfrom typing import ClassVar\nfrom dd_nb.loop import register_method\nfrom dd_nb.methods.coreset import Coreset",
             "@register_method('first')\n@dataclass(frozen=True, kw_only=True)\nclass First(Coreset):\n    'The first images of every class.'\n    def choose(self, state, data, ipc):\n"
             "        import torch\n        return torch.stack([data.class_index(k)[:ipc] for k in range(data.n_classes)])",
             "from dd_nb import distill\nrun = distill('first', 'digits', ipc=2)\nrun.distilled.show()"]
    nb = dict(cells=[dict(cell_type="code", id=f"c{i}", source=c, metadata={}, outputs=[], execution_count=None) for i, c in enumerate(cells)], metadata={}, nbformat=4, nbformat_minor=5)
    (away/"mine.ipynb").write_text(json.dumps(nb))
    said = run("dd-nb", "new-method", "first", "--from", "mine.ipynb").stdout
    assert "2 cells that only define things" in said
    run("bash", "-c", "set -e\n" + said.split("Next:\n")[1])
    assert "run = distill" not in (away/"dd-nb-first"/"dd_nb_first"/"first.py").read_text()
    assert "first        The first images of every class." in run("dd-nb", "list", "methods").stdout
    run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=away/"dd-nb-first")
