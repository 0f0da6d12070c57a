"""What is committed: the package equals the export, notebooks are clean, texts hold no machine's paths, and what CONTRIBUTING says works."""
import base64, json, os, re, sys, sysconfig
from configparser import ConfigParser
from dataclasses import fields
from pathlib import Path
import pytest
from conftest import TREE, python_blocks, run, sources

BIN = Path(sysconfig.get_path("scripts"))
NOTEBOOKS = [str(f) for f in sources() if f.suffix == ".ipynb"]
TEXTS = [f for f in sources() if f.suffix not in {".png", ".jpg", ".gif", ".npz", ".safetensors", ".gz", ".zip"}]
HERE = re.compile(rf"(?<![\w./-]){re.escape(str(TREE))}(?![\w-])|/far[m]/|/wor[k]/(?:main|src|shared)|(?<![\w.])/(?:home|root|Users)/\w")
HOSTS = re.compile(r"pyp[i]\.org|pythonhoste[d]|npmj[s]\.|deb\.debia[n]|download\.pytorc[h]|conda\.anacond[a]|registry-[0-9]")

def test_the_package_is_what_the_notebooks_say(tree_copy):
    "Export and clean in a copy, from nothing but the notebooks and `__init__.py`: any difference, and any module without a notebook, is named."
    before = {f: (tree_copy/f).read_bytes() for f in sources()}
    for f in (tree_copy/"dd_nb").rglob("*.py"):
        if f != tree_copy/"dd_nb"/"__init__.py": f.unlink()
    for cmd in ("nbdev-export", "nbdev-clean"): run(BIN/cmd, cwd=tree_copy)
    after = {p.relative_to(tree_copy): p.read_bytes() for p in tree_copy.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    differ = sorted(str(f) for f in before.keys() | after.keys() if before.get(f) != after.get(f))
    assert not differ, f"run nbdev-export and nbdev-clean, then commit; these differ from what they give: {differ}"

def outputs(nb): return [o for c in nb["cells"] for o in c.get("outputs", [])]

def faults(nb) -> list:
    "What must not be in a committed notebook."
    found = [f"metadata.{k}" for k in nb["metadata"] if k != "kernelspec"] + [f"cell metadata {c['metadata']}" for c in nb["cells"] if c["metadata"]]
    if len({c["id"] for c in nb["cells"]}) < len(nb["cells"]): found.append("the same cell id twice")
    for c in nb["cells"]:
        if HERE.search("".join(c["source"])): found.append(f"a machine's path in cell {c['id']}")
    for o in outputs(nb):
        data = o.get("data", {})
        if o["output_type"] == "error": found.append(f"error {o['ename']}")
        if o.get("name") == "stderr": found.append("stderr")
        found += [t for t in data if "plotly" in t or "widget" in t or "bokeh" in t]
        found += [f"{t} of {len(d)*3//4//1000} kB" for t, d in data.items() if t.startswith("image/") and len(image_bytes(t, d)) > 60_000]
        text = json.dumps({t: d for t, d in data.items() if not t.startswith("image/")} | {"text": o.get("text", "")})
        found += [m[0] for m in re.finditer(r"(?<![\w.:/<])/(?:home|root|Users|tmp|private|var|mnt|opt|usr|work)/[\w./-]+|[A-Z]:\\\\\\\\\w+|\b0x[0-9a-f]{9,}", text)]
    return found

def image_bytes(kind, data):
    data = "".join(data)
    return data.encode() if "svg" in kind else base64.b64decode(data)

@pytest.mark.parametrize("file", NOTEBOOKS)
def test_notebook_is_clean(file):
    text = (TREE/file).read_text()
    nb = json.loads(text)
    assert not faults(nb) and len(text) < 1_500_000
    head = "".join(nb["cells"][0]["source"])
    assert nb["cells"][0]["cell_type"] == "markdown" and re.match(r"# \S.*\n\n> \S", head), "the first cell is a title and one line about it"

@pytest.mark.parametrize("change, named", [
    (lambda nb, o: nb["metadata"].update(widgets={}), "metadata.widgets"), (lambda nb, o: o.update(output_type="error", ename="ValueError"), "error ValueError"),
    (lambda nb, o: o["data"].update({"application/vnd.plotly.v1+json": {}}), "application/vnd.plotly.v1+json"),
    (lambda nb, o: o["data"].update({"application/vnd.jupyter.widget-view+json": {}}), "application/vnd.jupyter.widget-view+json"),
    (lambda nb, o: o["data"].update({"image/png": base64.b64encode(bytes(61_000)).decode()}), "image/png of 61 kB"),
    (lambda nb, o: o.update(output_type="stream", name="stderr", text=["x"]), "stderr"), (lambda nb, o: o["data"].update({"text/plain": ["Path('/tmp/x1/runs')"]}), "/tmp/x1/runs"),
    (lambda nb, o: o["data"].update({"text/plain": ["<f at 0x7f00deadbeef>"]}), "0x7f00deadbeef"), (lambda nb, o: nb["cells"][0].update(source=["open('/home/me/x')"]), "a machine's path in cell a")])
def test_each_fault_is_seen(change, named):
    o = dict(output_type="display_data", data={"text/plain": ["fine"], "image/png": "AAAA"}, metadata={})
    nb = dict(metadata=dict(kernelspec={}), cells=[dict(cell_type="code", id="a", metadata={}, source=["1"], outputs=[o])])
    assert not faults(nb)
    change(nb, o)
    assert faults(nb) == [named]

def test_no_machine_paths_and_no_registry_hosts():
    found = [f"{f}:{i}: {line.strip()[:100]}" for f in TEXTS if f.name != Path(__file__).name
             for i, line in enumerate((TREE/f).read_text(errors="replace").splitlines(), 1) if HERE.search(line) or HOSTS.search(line)]
    assert not found, "\n".join(found)

@pytest.mark.parametrize("file", [str(f) for f in TEXTS if f.suffix == ".md"])
def test_links_and_commands_in_texts_exist(file):
    from dd_nb.cli import app
    text = (TREE/file).read_text()
    links = [l.split("#")[0] for l in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"\w+:|#", l)]
    assert not [l for l in links if not ((TREE/file).parent/l).exists()]
    words = {m for block in re.findall(r"(?ms)^```(?:bash|sh|console)?\n(.*?)^```", text) for m in re.findall(r"(?m)^(?:\$ )?(?:\.venv/bin/)?dd-nb ([a-z-]+)", block)}
    assert words <= {c.name for c in app.registered_commands}
    targets = {m for block in re.findall(r"(?ms)^```(?:bash|sh|console)?\n(.*?)^```", text) for m in re.findall(r"(?m)^(?:\$ )?make ([a-z]+)", block)}
    assert targets <= set(re.findall(r"(?m)^([a-z]+):", (TREE/"Makefile").read_text()))

def test_settings_ini_says_the_defaults(monkeypatch):
    "Every setting is in the file, at its default: what a person reads there is what happens. And none of nbdev's keys are."
    from dd_nb.settings import Settings, settings
    for k in [k for k in os.environ if k.startswith("DD_NB_")]: monkeypatch.delenv(k)
    text = (TREE/"settings.ini").read_text()
    ini = ConfigParser(inline_comment_prefixes="#")
    ini.read_string(text)
    assert ini.sections() == ["dd_nb"] and list(ini["dd_nb"]) == [f.name for f in fields(Settings) if f.name != "home"]
    assert settings(TREE) == Settings(data=TREE/"data", runs=TREE/"runs", home=TREE)
    assert "do not run nbdev-migrate-config" in text.split("[dd_nb]")[0]

def test_a_method_as_contributing_says(tree_copy, tmp_path):
    "Its steps, cell by cell, in a copy of the tree: the notebook passes, the method is exported, listed, keeps the contract, and distils."
    section = (tree_copy/"CONTRIBUTING.md").read_text().split("## A method in ten minutes")[1].split("\n## ")[0]
    cells = [dict(cell_type="markdown", source="# Moments\n\n> Match mean and spread of every class.")]
    cells += [dict(cell_type="code", source=b.rstrip(), outputs=[], execution_count=None) for b in python_blocks(section)]
    nb = dict(cells=[c | dict(id=f"c{i}", metadata={}) for i, c in enumerate(cells)], metadata={}, nbformat=4, nbformat_minor=5)
    (tree_copy/"nbs"/"methods"/"moments.ipynb").write_text(json.dumps(nb))
    env = os.environ | dict(PYTHONPATH=str(tree_copy), DD_NB_RUNS=str(tmp_path/"runs"))
    run(BIN/"nbdev-export", cwd=tree_copy, env=env)
    run(BIN/"nbdev-test", "nbs/methods/moments.ipynb", cwd=tree_copy, env=env)
    out = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_methods.py", "-k", "moments", cwd=tree_copy, env=env).stdout
    assert re.search(r"[1-9]\d* passed", out) and "failed" not in out, out
    out = run(BIN/"dd-nb", "distill", "moments", "digits", "--ipc", "2", "--set", "steps=3", cwd=tree_copy, env=env).stdout
    assert out.startswith("moments-digits-ipc2-s0-")

def test_tables_are_those_measured(tree_copy):
    "README.md and docs/measured.md show what the CSVs hold."
    run(sys.executable, "benchmarks/tables.py", "--check", cwd=tree_copy)
    text = (tree_copy/"README.md").read_text()
    (tree_copy/"README.md").write_text(re.sub(r"\| `dm` \| [\d.]+", "| `dm` | 99.9", text))
    assert run(sys.executable, "benchmarks/tables.py", "--check", cwd=tree_copy, check=False).returncode == 1, "a changed figure would not be noticed"
