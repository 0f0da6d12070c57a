"""A real JupyterLab and a real Chromium, for tests that do what a person does."""
import json, os, shutil, socket, subprocess, sys, time, urllib.request
from contextlib import contextmanager
from pathlib import Path
from playwright.sync_api import expect

expect.set_options(timeout=30_000)   # a busy machine draws late; what is asserted is what comes, not when

TREE = Path(__file__).resolve().parents[1]
SHOTS = Path(__file__).with_name("screenshots")

def chromium():
    "The browser's path; without one the tests fail rather than pass unseen."
    for name in (os.environ.get("DD_NB_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"):
        if name and (found := shutil.which(name)): return found
    raise RuntimeError("no Chromium found: install it (Debian: apt-get install chromium) or set DD_NB_CHROMIUM to its path")

def free_port():
    with socket.socket() as s: s.bind(("127.0.0.1", 0)); return s.getsockname()[1]

@contextmanager
def jupyterlab(folder):
    "JupyterLab serving `folder`; gives its address with token."
    port, token = free_port(), "t"
    cmd = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", "--ServerApp.ip=127.0.0.1",
           f"--ServerApp.root_dir={folder}", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    if hasattr(os, "geteuid") and os.geteuid() == 0: cmd.append("--allow-root")
    env = os.environ | dict(JUPYTER_CONFIG_DIR=str(Path(folder)/".jupyter"), JUPYTERLAB_SETTINGS_DIR=str(Path(folder)/".lab"), JUPYTERLAB_WORKSPACES_DIR=str(Path(folder)/".work"))
    quiet = Path(folder)/".lab"/"@jupyterlab"/"apputils-extension"/"notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text('{"fetchNews": "false", "checkForUpdates": false}')       # the question whether to fetch news would cover the panel
    with open(Path(folder)/"jupyter.log", "w") as log: server = subprocess.Popen(cmd, cwd=folder, env=env, stdout=log, stderr=log)
    try:
        for _ in range(240):
            try: urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status?token={token}", timeout=5); break
            except OSError: time.sleep(.25)
        else: raise RuntimeError("JupyterLab did not start: " + (Path(folder)/"jupyter.log").read_text()[-2000:])
        yield f"http://127.0.0.1:{port}", token
    finally:
        server.terminate()
        server.wait(20)

@contextmanager
def page_on(url, token, notebook, size=(1280, 800)):
    "A page with `notebook` open in JupyterLab, at 1280 x 800."
    from playwright.sync_api import sync_playwright
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium(), args=flags)
        page = browser.new_page(viewport=dict(width=size[0], height=size[1]))
        page.goto(f"{url}/lab/tree/{notebook}?token={token}&reset")
        page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for(timeout=90_000)
        try: yield page
        finally:
            SHOTS.mkdir(exist_ok=True)
            page.screenshot(path=SHOTS/"last.png")
            browser.close()

def workspace(folder, **settings):
    "A fresh workspace: the start notebook and a settings.ini."
    shutil.copy(TREE/"index.ipynb", Path(folder)/"index.ipynb")
    (Path(folder)/"pyproject.toml").write_text('[project]\nname = "workspace"\nversion = "0"\n\n[tool.nbdev]\n')
    (Path(folder)/"settings.ini").write_text("[dd_nb]\n" + "".join(f"{k} = {v}\n" for k, v in settings.items()))
