"""The main job as a person does it, in a real JupyterLab: open index.ipynb, run it, distil, stop, resume, evaluate, read."""
import re, time
import pytest
from playwright.sync_api import expect
from browser import assert_fits, button, choose, eventually, jupyterlab, number, open_explorer, page_on, run_cell_with, shot, status, tab, workspace

@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workspace")
    workspace(folder)
    with jupyterlab(folder) as (url, token): yield url, token, folder

@pytest.fixture(scope="module")
def page(lab):
    with page_on(lab[0], lab[1], "index.ipynb") as page: yield page

@pytest.fixture(scope="module")
def ex(page):
    "The explorer, opened by running the first cell; the file browser is folded away as one does on a small screen."
    panel = open_explorer(page)
    panel.get_by_text("Choose, then press Distil.").wait_for()
    return panel

def test_main_job(page, ex):
    shot(page, "1-idle")
    choose(ex, "Method", "dm"); choose(ex, "Data", "digits"); number(ex, "IPC", 1)
    ex.get_by_text("Hyper-parameters").click()
    number(ex, "steps", 600)                              # long enough to be stopped on the way
    ex.get_by_text("Hyper-parameters").click()
    start = time.perf_counter()
    button(ex, "Distil").click()
    image = ex.locator("img[alt*='synthetic images at step']").first
    image.wait_for(timeout=60_000)
    first = time.perf_counter() - start
    print(f"from click to first image: {first:.2f} s")
    before = image.get_attribute("src")
    expect(image).not_to_have_attribute("src", before, timeout=60_000)          # the images change while one looks
    expect(ex.get_by_text(re.compile(r"step \d+ of 600"))).to_be_visible()
    expect(ex.locator("img[alt^='loss by step']")).to_be_visible()               # the loss curve is drawn
    shot(page, "2-running")
    start = time.perf_counter()                                                  # the kernel answers while it runs
    run_cell_with(page, "dict(methods=list_methods()")
    expect(page.locator(".jp-OutputArea-output", has_text="kcenter").first).to_be_visible(timeout=60_000)
    assert button(ex, "Stop").is_enabled(), "the run ended before it could be stopped"
    ex.scroll_into_view_if_needed()
    button(ex, "Stop").click()
    expect(status(ex)).to_contain_text("Stopped at step", timeout=60_000)
    stopped_at = int(re.search(r"Stopped at step (\d+)", status(ex).inner_text())[1])
    assert 0 < stopped_at < 600 and first < 20
    expect(button(ex, "Resume")).to_be_enabled()
    button(ex, "Resume").click()
    expect(status(ex)).to_contain_text("Distilling", timeout=60_000)
    expect(status(ex)).to_contain_text("Done in", timeout=400_000)
    assert "at step 600" in image.get_attribute("alt")
    expect(ex.locator(".js-line:visible").first).to_have_attribute("d", re.compile(r"L.*L"))        # and has the losses in it
    shot(page, "3-distilled")

def test_time_lapse(page, ex):
    tab(ex, "Time-lapse")
    picture = ex.locator("img[alt*='synthetic images at step']:visible").first
    last = picture.get_attribute("src")
    handle = ex.locator(".noUi-handle:visible").first
    handle.focus()
    for _ in range(5): handle.press("ArrowLeft")
    expect(picture).not_to_have_attribute("src", last, timeout=60_000)
    shot(page, "4-time-lapse")

def test_evaluate(page, ex):
    tab(ex, "Evaluate")
    for net, wanted in (("convnet", True), ("mlp", True), ("lenet", False)): ex.get_by_role("checkbox", name=net, exact=True).set_checked(wanted)
    number(ex, "Students", 2)
    ex.get_by_role("checkbox", name="both bounds").check()
    button(ex, "Evaluate").click()
    expect(status(ex)).to_contain_text("Evaluated 4 students", timeout=500_000)
    table = ex.locator("table.dd-table:visible").first
    for words in ("dm, IPC 1 convnet", "dm, IPC 1 mlp", "random convnet", "whole convnet"): expect(table).to_contain_text(re.compile(words.replace(" ", r"\s*")))
    text = table.inner_text()
    found = {m[1]: float(m[2]) for m in re.finditer(r"(?m)^dm, IPC 1\s+(\w+)\s+([\d.]+)", text)}
    assert set(found) == {"convnet", "mlp"} and found["convnet"] >= 85 and found["mlp"] >= 80, text
    assert re.search(r"(?m)^random\s+convnet\s+[67]\d", text) and re.search(r"(?m)^whole\s+convnet\s+9\d", text), text
    expect(ex.locator(".barlayer .point path:visible")).to_have_count(2, timeout=60_000)
    shot(page, "5-evaluated")

def test_runs_and_files(page, ex, lab):
    tab(ex, "Runs")
    expect(ex.locator("table.dd-table:visible").first).to_contain_text("done")
    ex.get_by_label("To", exact=True).fill("mine.safetensors"); ex.get_by_label("To", exact=True).press("Tab")
    button(ex, "Save").click()
    expect(status(ex)).to_contain_text("Saved to mine.safetensors", timeout=60_000)
    assert (lab[2]/"mine.safetensors").stat().st_size > 2560
    ex.get_by_label("From", exact=True).fill("mine.safetensors"); ex.get_by_label("From", exact=True).press("Tab")
    button(ex, "Load file").click()
    expect(status(ex)).to_contain_text("Loaded Images(dm on digits, ipc 1", timeout=60_000)
    runs = ex.get_by_label("Runs", exact=True)
    runs.select_option(index=0)
    button(ex, "Load").click()
    expect(status(ex)).to_contain_text("Loaded dm-digits-ipc1-s0", timeout=60_000)
    shot(page, "6-runs")
    tab(ex, "Images")
    expect(ex.locator(".js-line:visible").first).to_have_attribute("d", re.compile(r"L.*L"))
    tab(ex, "Evaluate")
    expect(ex.locator(".barlayer .point path:visible")).to_have_count(2, timeout=60_000)              # a stored judgement is drawn too

def test_compare_panel(page, ex, lab):
    "A second run, judged as the first; both picked, in one plot and one table, which is saved."
    choose(ex, "Method", "random")
    button(ex, "Distil").click()
    expect(status(ex)).to_contain_text("Kept as random-digits-ipc1-s0", timeout=60_000)
    tab(ex, "Evaluate")
    ex.get_by_role("checkbox", name="both bounds").uncheck()
    button(ex, "Evaluate").click()
    expect(status(ex)).to_contain_text("Evaluated 4 students", timeout=300_000)
    tab(ex, "Compare")
    runs = ex.get_by_label("Compare", exact=True).and_(ex.locator("select"))
    expect(runs.locator("option")).to_have_count(2, timeout=60_000)
    runs.select_option(index=[0, 1])
    table = ex.locator("table.dd-table:visible")
    expect(table).to_contain_text("random, IPC 1", timeout=60_000)
    assert re.search(r"dm, IPC 1\s+3 kB\s+\d\d\.\d ± \d+\.\d\s+\d\d\.\d ± ", table.inner_text()), table.inner_text()
    expect(ex.locator(".barlayer .point path:visible")).to_have_count(4, timeout=60_000)
    ex.get_by_label("File", exact=True).fill("comparison.tex"); ex.get_by_label("File", exact=True).press("Tab")
    button(ex, "Save").click()
    expect(ex.get_by_text("Saved to comparison.tex")).to_be_visible(timeout=60_000)
    assert "\\toprule" in (lab[2]/"comparison.tex").read_text()
    shot(page, "9-compare")
    tab(ex, "Runs")
    ex.get_by_label("Runs", exact=True).select_option(index=1)
    button(ex, "Load").click()
    expect(status(ex)).to_contain_text("Loaded dm-digits-ipc1-s0", timeout=60_000)

def test_attention_panel(page, ex):
    "Another layer, another class, another moment, and the pictures follow; then the lines over the whole run."
    tab(ex, "Attention")
    overlay, means = ex.locator("img[alt*='spatial attention in']"), ex.locator("img[alt*='mean attention of each class in']")
    expect(overlay).to_have_attribute("alt", re.compile("in block1 on real and synthetic images of class 0, step 600"), timeout=60_000)
    before = overlay.get_attribute("src")
    for name in ("Layer", "Class"): assert ex.get_by_label(name, exact=True).evaluate("e => e.selectedIndex") == 0, f"{name} does not say what is drawn"
    choose(ex, "Layer", "block2"); choose(ex, "Class", "7")
    expect(overlay).to_have_attribute("alt", re.compile("in block2 on real and synthetic images of class 7"), timeout=60_000)
    expect(means).to_have_attribute("alt", re.compile("in block2"))
    assert overlay.get_attribute("src") != before
    now = overlay.get_attribute("src")
    slider = ex.locator(".widget-slider:visible", has_text="Training").locator("[role=slider]")
    slider.focus(); slider.press("Home")
    expect(overlay).to_have_attribute("alt", re.compile("class 7, step 0$"), timeout=60_000)
    assert overlay.get_attribute("src") != now, "the images of step 0 look like those of step 600"
    button(ex, "During the run").click()
    expect(ex.locator(".js-plotly-plot:visible .legendtext").first).to_be_visible(timeout=60_000)
    expect(ex.locator(".js-plotly-plot:visible").last).to_contain_text("spatial, block1")
    shot(page, "8-attention")

def test_errors_are_words(page, ex):
    tab(ex, "Images")
    number(ex, "IPC", 0)
    button(ex, "Distil").click()
    alert = ex.locator("[role=alert]")
    expect(alert).to_contain_text("IPC", timeout=60_000)
    shot(page, "7-error")
    number(ex, "IPC", 1)
    expect(alert).to_have_count(0)                                              # mended, so no longer said

def test_nothing_is_cut_off_or_broken(page, ex):
    "At 1280 x 800: every control within the panel's width, labelled, reachable by Tab; no traceback anywhere."
    assert_fits(ex, shrunk=False)
    nameless = ex.locator("button:visible:not(.modebar-btn), select:visible, input:visible").evaluate_all(
        "els => els.filter(e => !(e.labels?.[0]?.innerText || e.getAttribute('aria-label') || e.innerText || e.title || '').trim()).map(e => e.outerHTML.slice(0, 300))")
    assert not nameless, nameless
    ex.get_by_label("Method", exact=True).focus()
    reached = set()
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.labels?.[0]?.innerText || document.activeElement.innerText || ''").strip())
    assert {"Data", "IPC", "Preset", "Seed", "Hyper-parameters", "Distil"} <= reached, reached
    unnamed = ex.locator("[role=slider], .widget-play button").evaluate_all("els => els.filter(e => !e.ariaLabel).map(e => e.outerHTML.slice(0, 200))")
    assert not unnamed, f"nothing a screen reader could say: {unnamed}"
    assert page.locator("text=Traceback").count() == 0

def test_a_narrow_window(page, ex):
    "At 700 pixels: tabs with their whole names, nothing beyond the panel's edge."
    page.set_viewport_size(dict(width=700, height=800))
    def whole():
        cut = ex.locator(".lm-TabBar-tabLabel").evaluate_all("els => els.filter(e => e.scrollWidth > e.clientWidth + 1 || e.parentElement.scrollWidth > e.parentElement.clientWidth + 1).map(e => e.innerText)")
        assert not cut, f"tabs cut off: {cut}"
    eventually(whole)
    for name in ("Images", "Time-lapse", "Attention", "Evaluate", "Compare"):
        tab(ex, name)
        expect(ex.get_by_role("tab", name=name, exact=True)).to_have_attribute("aria-selected", "true")
        assert_fits(ex, shrunk=False)
    shot(page, "10-narrow")
    page.set_viewport_size(dict(width=1280, height=800))
