"""A real JupyterLab and a real Chromium, for tests that do what a person does."""
import os, re, shutil, socket, subprocess, sys, time, urllib.request
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

def reads_slowly(page, seconds=4):
    "From now on code of more than a megabyte, which is plotly's, takes the page so much longer to read: longer than the two seconds that anywidget gives a widget's code."
    page.evaluate("""wait => {
        const make = URL.createObjectURL.bind(URL);
        URL.createObjectURL = b => b.size < 1e6 ? make(b) : make(new Blob([`await new Promise(go => setTimeout(go, ${wait})); export default (await import("${make(b)}")).default;`], {type: "text/javascript"}));
    }""", 1000*seconds)

def workspace(folder, **settings):
    "A fresh workspace: the start notebook and a settings.ini."
    shutil.copy(TREE/"index.ipynb", Path(folder)/"index.ipynb")
    (Path(folder)/"pyproject.toml").write_text('[project]\nname = "workspace"\nversion = "0"\n\n[tool.nbdev]\n')
    (Path(folder)/"settings.ini").write_text("[dd_nb]\n" + "".join(f"{k} = {v}\n" for k, v in settings.items()))

def run_cell_with(page, text):
    "Click into the code cell that holds `text` and press Shift+Enter."
    cell = page.locator(".jp-CodeCell", has_text=text).first
    cell.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    return cell

def shot(page, name):
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS/f"{name}.png")

def open_explorer(page):
    "The explorer, opened by running the first cell; the file browser is folded away as one does on a small screen."
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=90_000)      # before that JupyterLab would ask which kernel is meant
    page.keyboard.press("Control+b")
    run_cell_with(page, "explorer = Explorer()")
    panel = page.locator(".dd-explorer")
    expect(button(panel, "Distil")).to_be_enabled(timeout=90_000)
    panel.scroll_into_view_if_needed()
    return panel

def button(ex, name): return ex.get_by_role("button", name=name, exact=True)
def choose(ex, label, value): ex.get_by_label(label, exact=True).select_option(value)
def number(ex, label, value):
    box = ex.get_by_label(label, exact=True)
    box.fill(str(value)); box.press("Tab")
def tab(ex, name): ex.get_by_role("tab", name=name, exact=True).click()
def status(ex): return ex.locator("[role=status], [role=alert]").first

def has(picture, words, timeout=60_000): expect(picture).to_have_attribute("alt", re.compile(words), timeout=timeout)

def click_plot(plot, where, says, picture, words):
    """Click into a plot as a person does: go to `where()`, read that it `says` what is under the mouse, press, see the `picture` tell of it; if a redraw came between, do it again.
    plotly looks where the mouse is every 50 ms at most, and takes a click that comes sooner for one on the point it saw before."""
    for timeout in (15_000, 15_000, 60_000):
        hover_plot(plot, where, says)
        plot.page.mouse.down(); plot.page.mouse.up()
        try: return has(picture, words, timeout)
        except AssertionError as e: unanswered = e
    raise unanswered

def hover_plot(plot, where, says):
    "Move the mouse to `where()` until the plot `says` what is there, and there is still where it was."
    named, end = plot.locator(".hoverlayer .hovertext").first, time.monotonic() + 60
    while True:
        x, y = where()
        for dx in (2, 0): plot.page.mouse.move(x + dx, y)
        try: expect(named).to_contain_text(says, timeout=2_000)
        except AssertionError:
            if time.monotonic() > end: raise
            continue
        if where() == (x, y): return

def load_run(ex, run, view):
    "As a person who came for `view`: it is empty, so the run is loaded, and then it shows something."
    tab(ex, view)
    expect(ex.get_by_text("Distil or load something first.")).to_be_visible()
    tab(ex, "Runs")
    choose(ex, "Runs", run.name)
    button(ex, "Load").click()
    expect(status(ex)).to_contain_text(f"Loaded {run.name.split('-ipc')[0]}", timeout=60_000)
    tab(ex, view)

def load_file(ex, name):
    tab(ex, "Runs")
    ex.get_by_label("From", exact=True).fill(name); ex.get_by_label("From", exact=True).press("Tab")
    button(ex, "Load file").click()

def assert_told(ex, file, loaded, view, words, gone):
    "A `view` that does not fit what a file holds says so in `words`, shows none of its pictures, and nothing goes wrong."
    load_file(ex, file)
    expect(status(ex)).to_contain_text(f"Loaded {loaded}", timeout=60_000)
    tab(ex, view)
    expect(ex.get_by_text(words)).to_be_visible(timeout=60_000)
    expect(gone).to_be_hidden()
    assert ex.locator("[role=alert]").count() == 0 and ex.page.locator("text=Traceback").count() == 0

def eventually(check, seconds=30):
    "What `check` asserts comes true: a layout or a plot may still be on its way."
    end = time.monotonic() + seconds
    while True:
        try: return check()
        except AssertionError:
            if time.monotonic() > end: raise
            time.sleep(.1)

BOXES = "els => els.filter(e => e.checkVisibility()).map(e => { const b = e.getBoundingClientRect(); return {x: b.x, y: b.y, right: b.right, bottom: b.bottom, what: e.outerHTML.slice(0, 200)}})"

def boxes(*what):
    "Where things are, all seen at one moment of a page; the first of each."
    found = [w.evaluate_all(BOXES) for w in what]
    assert all(found), f"not there: {[w for w, f in zip(what, found) if not f]}"
    return [f[0] for f in found]

def assert_fits(ex, shrunk=True):
    "Pickers, pictures and plots within the panel's width, names in full, and (at 1280 x 800) pictures not shrunk."
    def fits():
        edge = boxes(ex)[0]["right"]
        beyond = [b["what"] for b in ex.locator("button:visible:not(.modebar-btn), select:visible, input:visible, img:visible, .js-plotly-plot:visible").evaluate_all(BOXES) if b["right"] > edge + 2]
        assert not beyond, f"beyond the panel's edge: {beyond}"
        clipped = ex.locator(".widget-label:visible").evaluate_all("els => els.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.innerText)")
        assert not clipped, f"labels cut off: {clipped}"
        small = shrunk and ex.locator("img:visible").evaluate_all("els => els.filter(e => e.clientWidth < e.naturalWidth).map(e => e.alt)")
        assert not small, f"pictures shrunk: {small}"
    eventually(fits)

def assert_beside(left, right, most=30):
    "`right` stands beside `left`, not below it: it begins at most so many pixels higher or lower."
    def beside():
        l, r = boxes(left, right)
        assert r["x"] >= l["right"] - 1 and abs(r["y"] - l["y"]) < most, (l, r)
    eventually(beside)
