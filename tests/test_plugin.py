"""A method in a separate pip package is there like our own, with no change here."""
import os, shutil, sys
from pathlib import Path
import pytest
from conftest import DD_NB, run

PLUGIN = Path(__file__).with_name("plugin")

@pytest.fixture(scope="module")
def env(tmp_path_factory):
    "The environment with the package installed by pip into a folder of its own, so that the developer's stays as it is."
    tmp = tmp_path_factory.mktemp("plugin")
    shutil.copytree(PLUGIN, tmp/"source")
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", tmp/"site", tmp/"source")
    return os.environ | dict(PYTHONPATH=str(tmp/"site"), DD_NB_RUNS=str(tmp/"runs"))

def python(env, code): return run(sys.executable, "-c", code, env=env).stdout.strip()

def test_it_is_absent_without_the_package(): assert "'blend'" not in python(os.environ, "from dd_nb import list_methods; print(list_methods())")

def test_it_is_listed(env, tmp_path):
    assert "'blend'" in python(env, "from dd_nb import list_methods; print(list_methods())")
    assert "blend        Means of real images" in run(DD_NB, "list", "methods", env=env).stdout
    assert "--set n=4 " in (hyper := run(DD_NB, "list", "methods", "blend", env=env).stdout) and "real images in each synthetic one" in hyper

def test_it_distils_from_the_command_line(env, tmp_path):
    p = run(DD_NB, "distill", "blend", "digits", "--ipc", "2", "--preset", "paper", "-o", tmp_path/"x.safetensors", env=env)
    assert p.stdout.startswith("blend-digits-ipc2-s0-")
    check = ("from dd_nb import Distilled, load_data; d, data = Distilled.load(r'%s'), load_data('digits'); import torch; m = d.class_batch().mean(1); "
             "c = torch.stack([data.get('train', data.class_index(k)).mean(0) for k in range(10)]); "
             "print(d.recipe['hyper'], (m - c).square().mean().item() < .1, torch.cdist(m.flatten(1), c.flatten(1)).argmin(1).tolist() == list(range(10)))")
    assert python(env, check % (tmp_path/"x.safetensors")) == "{'n': 16} True True"

def test_the_explorer_offers_it_with_its_form(env):
    code = ("from dd_nb import Explorer; ex = Explorer(); print('blend' in ex.w.method.options); ex.w.method.value = 'blend'; "
            "print({k: (f.value, f.tooltip) for k, f in ex.form.items()})")
    assert python(env, code).splitlines() == ["True", "{'n': (4, 'real images in each synthetic one')}"]

def test_a_broken_package_does_not_take_the_rest_down(env, tmp_path):
    "It is named where its method is asked for."
    (tmp_path/"broken-1.dist-info").mkdir()
    (tmp_path/"broken-1.dist-info"/"METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (tmp_path/"broken-1.dist-info"/"entry_points.txt").write_text("[dd_nb.methods]\nbroken = no_such_module_here\n")
    env = env | dict(PYTHONPATH=f"{tmp_path}{os.pathsep}{env['PYTHONPATH']}")
    p = run(DD_NB, "list", "methods", env=env)
    assert " dm " in p.stdout and "blend" in p.stdout
    for asked in (("distill", "broken", "digits"), ("list", "methods", "broken")):
        p = run(DD_NB, *asked, env=env, check=False)
        assert p.returncode == 1 and "no method 'broken'" in p.stderr and "No module named 'no_such_module_here'" in p.stderr
