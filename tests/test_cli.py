"""The command `dd-nb` as a person types it: a process of its own, its exit code, and what it prints where."""
import os, re, signal, socket, subprocess, sys, time
import pandas as pd, pytest, torch
from conftest import DD_NB, run
from dd_nb.cli import app
from dd_nb.distilled import Distilled
from dd_nb.loop import distill
from dd_nb.store import Run

TINY = ["--set", "steps=6", "--set", "batch_real=8", "--set", "net=convnet:width=8"]

def cli(*args, **kw): return run(DD_NB, *args, check=False, **kw)

def here(capsys, *args):
    "The same in this process, which has torch already: (exit code, stdout, stderr)."
    with pytest.raises(SystemExit) as e: app([*map(str, args)], prog_name="dd-nb")
    return e.value.code, *capsys.readouterr()

@pytest.mark.parametrize("args", [[], ["list"], ["distill"], ["evaluate"], ["show"], ["runs"], ["compare"], ["import"], ["export"], ["score"], ["tune"], ["published"], ["sweep"], ["lab"], ["app"], ["course"], ["new-method"]], ids=lambda a: a[0] if a else "dd-nb")
def test_help_has_examples_and_answers_at_once(args):
    cli(*args, "--help")                                # reads the files from disk once
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        p = cli(*args, "--help")
        seconds.append(time.perf_counter() - start)
    assert p.returncode == 0 and "Examples:" in p.stdout and f"dd-nb {' '.join(args)}".strip() in p.stdout.split("Examples:")[1]
    assert min(seconds) < 1, seconds

def test_help_says_whole_sentences(capsys):
    "The list of commands fits 80 columns; what is longer would end in dots."
    out = here(capsys, "--help")[1]
    cut = [line for line in out.split("Commands:")[1].split("Examples:")[0].splitlines() if line.strip() and not line.endswith(".")]
    assert not cut, "\n".join(cut)

def test_help_does_not_import_torch():
    p = run(sys.executable, "-X", "importtime", DD_NB, "distill", "--help")
    imported = {line.split("|")[-1].strip() for line in p.stderr.splitlines()}
    assert "typer" in imported and not imported & {"torch", "numpy", "pandas", "matplotlib", "IPython", "ipywidgets"}

def test_version(): assert re.fullmatch(r"dd-nb \d+\.\d+\.\d+\S*\n", cli("--version").stdout)

def test_list(capsys):
    everything = here(capsys, "list")[1]
    assert all(re.search(rf"(?m)^  {w}\b", everything) for w in ("dm", "kcenter", "digits", "cifar10", "folder:PATH", "convnet", "vit", "timm:NAME"))
    assert here(capsys, "list", "nets", "resnet*")[1].split() == ["resnet18", "resnet18_bn"]
    assert re.search(r"(?m)^  --preset quick +steps=200 batch_real=64 .*\(more for digits\)$", here(capsys, "list", "methods", "dm")[1])
    hyper = here(capsys, "list", "methods", "dm")[1]
    assert re.search(r"--set lr_img=1.0 +0\.\.\S+ +step size for the pixels", hyper) and "real | noise" in hyper

def test_from_distilling_to_a_picture_and_a_table(own_runs, tmp_path):
    p = cli("distill", "dm", "digits", *TINY, "-o", tmp_path/"x.safetensors")
    assert p.returncode == 0 and "6/6" in p.stderr and "640 numbers, 2,560 bytes" in p.stdout
    name = p.stdout.split()[0]
    assert Run(own_runs/name).state == "done" and Distilled.load(tmp_path/"x.safetensors").ipc == 1
    again = cli("distill", "dm", "digits", *TINY)
    assert again.stdout.startswith(f"{name} (finished before")
    p = cli("evaluate", "dm-digits", "--nets", "convnet:width=8,depth=1,mlp", "--seeds", "2", "--csv", tmp_path/"t.csv")
    assert p.returncode == 0 and re.search(r"mlp +\d\d\.\d \+- \d+\.\d +2 +quick", p.stdout), p.stdout + p.stderr
    table = pd.read_csv(tmp_path/"t.csv")
    assert sorted(zip(table.net, table.seed)) == [("convnet:width=8,depth=1", 0), ("convnet:width=8,depth=1", 1), ("mlp", 0), ("mlp", 1)]
    assert cli("show", tmp_path/"x.safetensors", "-o", tmp_path/"x.png").returncode == 0
    assert (tmp_path/"x.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    rows = cli("runs").stdout
    assert name in rows and "done" in rows and re.search(r"\d\d\.\d %", rows)

def test_bounds_join_the_table(own_runs, tmp_path, capsys):
    here(capsys, "distill", "random", "digits", "-o", tmp_path/"x.safetensors")
    code, _, err = here(capsys, "evaluate", tmp_path/"x.safetensors", "--nets", "mlp", "--seeds", "1", "--bounds", "--csv", tmp_path/"t.csv")
    assert code == 0, err
    assert set(pd.read_csv(tmp_path/"t.csv").artifact) == {"x", "random", "whole"}

def test_compare_sets_runs_side_by_side(own_runs, tmp_path, capsys):
    for seed in ("0", "1"): here(capsys, "distill", "random", "digits", "--seed", seed)
    here(capsys, "distill", "herding", "digits")
    code, _, err = here(capsys, "compare", "random")
    assert code == 1 and "no run 'random'" not in err and "fits 2 runs" in err      # nothing was judged yet
    for name in ("random-digits-ipc1-s0", "random-digits-ipc1-s1", "herding"): here(capsys, "evaluate", name, "--nets", "mlp,lenet", "--seeds", "1")
    code, out, err = here(capsys, "compare", "random", "herding", "-o", tmp_path/"t.tex")
    assert code == 0, err
    assert re.search(r"(?m)^random, IPC 1 +3 kB +\d\d\.\d ± \d+\.\d +\d\d\.\d ± \d", out) and re.search(r"(?m)^herding, IPC 1 +3 kB +\d\d\.\d +\d\d\.\d +\d\d\.\d$", out), out
    assert r"random, IPC 1 & " in (tmp_path/"t.tex").read_text()

def test_dry_run_stores_nothing(own_runs, capsys):
    code, out, err = here(capsys, "distill", "dm", "digits", *TINY, "--dry-run")
    assert code == 0 and re.search(r"about \d+ s on cpu \(.* ms a step\), [\d,]+ MB of memory, [\d.]+ MB on disk", out), out + err
    assert not own_runs.exists()

def test_no_runs_yet(own_runs, capsys): assert "No runs in" in here(capsys, "runs")[1]

@pytest.mark.parametrize("args, words", [
    ("distill dmm digits", "did you mean 'dm'"), ("distill dm digit", "did you mean 'digits'"), ("distill dm digits --ipc 0", "IPC"),
    ("distill dm digits --ipc 5000", "at most 139"), ("distill dm digits --set step=3", "did you mean 'steps'"), ("distill dm digits --set steps=many", "not an int"),
    ("distill dm digits --preset fast", "no preset"), ("distill dm folder:nowhere", "nowhere"), ("distill dm digits --device gpu", "no device 'gpu'"),
    ("evaluate nothing", "no run 'nothing'"), ("evaluate nothing.safetensors", "no file nothing.safetensors"), ("show nothing", "no run 'nothing'"),
    ("list nets resnet9*", "no nets fit"), ("distill dm digits -o /dev/null/x.safetensors", "cannot write"), ("show x -o /", "is a folder")])
def test_what_a_person_can_mend_is_one_line_and_1(args, words, own_runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, out, err = here(capsys, *args.split())
    assert code == 1 and out == ""
    assert err.startswith("dd-nb: ") and words in err and err.count("\n") == 1, err
    assert not own_runs.exists()

def test_the_exit_code_reaches_the_shell():
    p = cli("distill", "dmm", "digits")
    assert p.returncode == 1 and p.stdout == "" and p.stderr.startswith("dd-nb: no method 'dmm'") and p.stderr.count("\n") == 1

@pytest.mark.parametrize("args", ["distil dm digits", "distill dm", "distill dm digits --ipc ten", "distill dm digits --set steps", "evaluate x --seeds 0", "list network", "--verison"])
def test_a_mistake_in_the_arguments_is_2(args, capsys):
    code, out, err = here(capsys, *args.split())
    assert code == 2 and "Traceback" not in err and err.strip()

@pytest.mark.parametrize("sig, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "kill"])
def test_a_stopped_run_goes_on_to_the_same_images(sig, code, tmp_path):
    args = ["distill", "dm", "digits", "--set", "steps=400", "--set", "batch_real=16", "--set", "net=convnet:width=16"]
    env = os.environ | dict(DD_NB_RUNS=str(tmp_path/"runs"), DD_NB_CHECKPOINT_SECONDS="1000")     # the only checkpoints: at the start, and at the stop
    p = subprocess.Popen([DD_NB, *args], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.time() + 120
    while not (logs := list(tmp_path.glob("runs/*/metrics.jsonl"))) or not logs[0].read_text():   # written about once a second
        assert time.time() < end and p.poll() is None, p.communicate()
        time.sleep(.01)
    p.send_signal(sig)
    out, err = p.communicate(timeout=60)
    cut = Run(logs[0].parent)
    assert p.returncode == code and out == "" and "Traceback" not in err
    assert f"stopped at step {cut.step} of 400" in err and err.endswith(f"To go on: dd-nb {' '.join(args)}\n"), err[-500:]
    assert cut.state == "stopped" and 0 < cut.step < 400
    assert cli(*args, env=env).returncode == 0
    whole = distill("dm", "digits", root=tmp_path/"whole", progress=False, device="cpu", steps=400, batch_real=16, net="convnet:width=16")
    assert whole.name == cut.name and torch.equal(whole.distilled.images, cut.distilled.images)

def test_course_opens_at_its_first_lesson(tmp_path, monkeypatch, capsys):
    from jupyterlab.labapp import LabApp
    asked = []
    class Server:
        connection_url = "http://127.0.0.1:8888/"
        def start(self): pass
    monkeypatch.setattr(LabApp, "initialize_server", lambda argv: asked.append(argv) or Server())
    for folder, notebook in (("plain", "index.ipynb"), ("class", "01_worth.ipynb")):
        if folder == "class": here(capsys, "course", tmp_path/folder)
        code, out, err = here(capsys, "lab", tmp_path/folder, "--no-browser")
        assert code == 0 and f"lab/tree/{notebook}?token=" in out and f"--LabApp.default_url=/lab/tree/{notebook}" in asked[-1], out + err

def test_lab_refuses_what_cannot_work(tmp_path, capsys):
    (tmp_path/"file").write_text("mine")
    for folder, words in (("file", "is a file"), ("file/below", "cannot write index.ipynb"), ("/proc", "cannot write index.ipynb of the workspace to /proc/")):   # not even by root
        code, _, err = here(capsys, "lab", tmp_path/folder, "--no-browser")
        assert code == 1 and words in err and err.count("\n") == 1
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0)); s.listen()
        port = s.getsockname()[1]
        code, _, err = here(capsys, "lab", tmp_path/"work", "--no-browser", "--port", port)
    assert code == 1 and f"port {port} cannot be used" in err and not (tmp_path/"work").exists()
    assert (tmp_path/"file").read_text() == "mine"

def test_a_sweep_from_a_file(own_runs, tmp_path, capsys):
    "The plan, the table, a failure at the end; and nothing is computed twice."
    grid = tmp_path/"g.toml"
    grid.write_text('methods = ["random", "dm"]\nnets = ["mlp:width=8"]\nipc = [1, 5000]\nstudents = 2\n[changes]\nepochs = 2\n[hyper.dm]\nsteps = 2\nnet = "convnet:width=8"\nbatch_real = 8\n')
    code, out, _ = here(capsys, "sweep", grid, "--plan")
    assert code == 0 and "to do    dm on digits, IPC 1, seed 0" in out and "4 runs, 0 of them done" in out and "cannot be:" in out and not list(own_runs.glob("*/config.json"))
    code, out, err = here(capsys, "sweep", grid, "--csv", tmp_path/"t.csv")
    assert code == 1 and "4 rows, 2 failures" in out and "failed: dm on digits, IPC 5000, seed 0:" in err and len(pd.read_csv(tmp_path/"t.csv")) == 4
    made = {p: p.stat().st_mtime_ns for p in own_runs.glob("*/evaluation.json")}
    here(capsys, "sweep", grid)
    assert len(made) == 2 and made == {p: p.stat().st_mtime_ns for p in own_runs.glob("*/evaluation.json")}
    for p in own_runs.glob("*"): p.rename(tmp_path/p.name)
    code, out, _ = here(capsys, "sweep", grid, "--have", tmp_path/"t.csv", "--csv", tmp_path/"u.csv")
    assert code == 1 and "4 rows, 2 failures" in out and not list(own_runs.glob("*/evaluation.json")) and len(pd.read_csv(tmp_path/"u.csv")) == 4
    code, _, err = here(capsys, "sweep", grid, "--have", grid)
    assert code == 1 and "the table lacks" in err and "Traceback" not in err
    grid.write_text("methods = [")
    code, _, err = here(capsys, "sweep", grid)
    assert code == 1 and "cannot be read as TOML" in err and "Traceback" not in err
