"""What `make` says where it cannot go on. (That it installs and runs is seen whenever `make test` runs.)"""
import os, shutil
import pytest
from conftest import TREE, run

@pytest.fixture
def make(tmp_path):
    "Runs make in a folder with nothing installed."
    for f in ("Makefile", "pyproject.toml", "setup.py"): shutil.copy(TREE/f, tmp_path)
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k not in ("MFLAGS", "ARGS")}      # under `make test` they would be its own
    return lambda *args: run("make", *args, cwd=tmp_path, env=env, check=False)

def python(folder, good):
    "A python that answers the Makefile's questions: fine, but for what is not `good`."
    (folder/"py").write_text(f'#!/bin/sh\ncase "$*" in *version_info*) exit {int("version" not in good)};; *ensurepip*) exit {int("ensurepip" not in good)};; esac\necho "called: $*"; exit 3\n')
    (folder/"py").chmod(0o755)
    return f"PYTHON={folder/'py'}"

def test_help_names_the_targets(make):
    p = make()
    assert p.returncode == 0 and [l.split()[1] for l in p.stdout.splitlines()] == ["help", "lab", "test", "docs", "bench", "clean"]

@pytest.mark.parametrize("target", ["lab", "test", "docs"])
def test_it_says_what_is_missing(make, tmp_path, target):
    p = make(target, "PYTHON=no-such-python")
    assert p.returncode and "no-such-python was not found" in p.stdout
    p = make(target, python(tmp_path, []))
    assert p.returncode and "wants Python 3.10 to 3.13" in p.stdout and f"make PYTHON=python3.12 {target}" in p.stdout
    p = make(target, python(tmp_path, ["version"]))
    assert p.returncode and "apt-get install python3-venv" in p.stdout
    p = make(target, python(tmp_path, ["version", "ensurepip"]))
    assert p.returncode and "called: -m venv --clear .venv" in p.stdout

def test_an_installed_tree_is_not_installed_again_and_lab_takes_the_port(make, tmp_path):
    (tmp_path/".venv").mkdir()
    for f in (".installed", ".installed-dev", ".installed-docs"): (tmp_path/".venv"/f).touch()
    p = make("-n", "lab", "PORT=9000")
    assert p.returncode == 0 and p.stdout.strip() == ".venv/bin/dd-nb lab . --port 9000"
    assert make("-n", "docs").stdout.strip() == ".venv/bin/python docs/build.py"
    os.utime(tmp_path/".venv"/".installed", (0, 0))
    assert "pip install -e ." in make("-n", "lab").stdout       # pyproject.toml is newer

def test_ci_installs_a_browser_where_there_is_none_then_runs_make_test(tmp_path):
    "With an apt-get, sudo and make that only say how they were called, in a world without Chromium."
    for tool in ("bash", "cat", "env", "dirname", "id"): (tmp_path/tool).symlink_to(shutil.which(tool))
    (tmp_path/"python3").symlink_to(shutil.which("true"))
    for tool in ("apt-get", "make", "sudo"):
        (tmp_path/tool).write_text(f'#!{shutil.which("bash")}\necho "{tool} $* in $PWD, CI=$CI, $(cat)"\n')
        (tmp_path/tool).chmod(0o755)
    said = run(TREE/".ci"/"run", env=dict(PATH=str(tmp_path))).stdout.splitlines()
    prefix = "" if os.geteuid() == 0 else "sudo -E "
    assert [l.split(" in ")[0] for l in said] == [f"{prefix}apt-get update", f"{prefix}apt-get install -y --no-install-recommends chromium", "make test"]
    assert said[-1] == f"make test in {TREE}, CI=true, "
    (tmp_path/"chromium").symlink_to(shutil.which("bash"))
    assert [l.split(" in ")[0] for l in run(TREE/".ci"/"run", env=dict(PATH=str(tmp_path))).stdout.splitlines()] == ["make test"]

def test_the_workflows_run_what_is_run_here():
    "Tests and release by `.ci/run`, the site by `make docs`; every command named in them is there."
    import re, yaml
    flows = {f.stem: yaml.safe_load(f.read_text()) for f in (TREE/".github"/"workflows").glob("*.yml")}
    said = {k: [s["run"] for j in v["jobs"].values() for s in j["steps"] if "run" in s] for k, v in flows.items()}
    assert set(said) == {"test", "docs", "release"}
    assert said["test"] == [".ci/run"] and said["docs"] == ["make docs"] and said["release"][0] == ".ci/run" and ".venv/bin/python -m build" in said["release"]
    assert os.access(TREE/".ci"/"run", os.X_OK)
    low, high = re.search(r'requires-python = ">=([\d.]+),<3.(\d+)"', (TREE/"pyproject.toml").read_text()).groups()
    assert flows["test"]["jobs"]["test"]["strategy"]["matrix"]["python"] == [low, f"3.{int(high) - 1}"]
