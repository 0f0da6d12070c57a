"""The tab Compare in a real JupyterLab: runs are picked, every view is looked at, tables, a picture and the page are saved; the page is opened without a network."""
import re
import pytest
from playwright.sync_api import expect
from browser import SHOTS, assert_fits, button, choose, hover_plot, jupyterlab, open_explorer, page_on, shot, tab, workspace
from dd_nb.judge import evaluate
from dd_nb.loop import distill
from dd_nb.settings import settings

@pytest.fixture(scope="module")
def runs():
    "Two methods at two budgets, judged on two networks."
    out = [distill(m, "digits", ipc=i, root=settings().runs, progress=False, **kw) for m, kw in (("random", {}), ("dm", dict(steps=20, net="convnet:width=8", batch_real=32))) for i in (1, 2)]
    for r in out: evaluate(r, nets=["mlp", "lenet"], seeds=2, epochs=30, progress=False)
    return out

@pytest.fixture(scope="module")
def lab(tmp_path_factory, runs):
    folder = tmp_path_factory.mktemp("workspace")
    workspace(folder)
    with jupyterlab(folder) as (url, token), page_on(url, token, "index.ipynb") as page:
        ex = open_explorer(page)
        tab(ex, "Compare")
        yield ex, page, folder

def plot(ex): return ex.locator(".js-plotly-plot:visible")

def save(ex, name):
    box = ex.get_by_label("File", exact=True)
    box.fill(name); box.press("Tab")
    button(ex, "Save").click()
    expect(ex.get_by_text(f"Saved to {name}")).to_be_visible(timeout=120_000)

def test_views(lab, runs):
    ex, page, _ = lab
    pick = ex.get_by_label("Compare", exact=True).and_(ex.locator("select"))
    expect(pick.locator("option")).to_have_count(4, timeout=60_000)
    expect(button(ex, "Save")).to_be_disabled()
    pick.select_option([r.name for r in runs])
    table = ex.locator("table.dd-table:visible")
    for words in ("random, IPC 1", "random, IPC 2", "dm, IPC 1", "dm, IPC 2"): expect(table).to_contain_text(words, timeout=60_000)
    expect(plot(ex).locator(".barlayer .point path")).to_have_count(8, timeout=60_000)
    choose(ex, "View", "by images a class")
    expect(plot(ex).locator(".scatterlayer .point")).to_have_count(8, timeout=60_000)      # 2 methods x 2 budgets x 2 networks
    expect(plot(ex).locator(".legendtext")).to_have_text([re.compile("^(dm|random)$")]*2)
    for method in ("dm", "random"): expect(plot(ex).locator(".legendtext", has_text=method)).to_have_count(1)
    choose(ex, "Network", "lenet")
    expect(plot(ex).locator(".scatterlayer .point")).to_have_count(4, timeout=60_000)
    choose(ex, "View", "by bytes")
    expect(plot(ex).locator(".legendtext", has_text="frontier")).to_be_visible(timeout=60_000)
    choose(ex, "Network", "all networks")
    choose(ex, "View", "map")
    expect(plot(ex).locator(".heatmaplayer image")).to_have_count(1, timeout=60_000)
    expect(plot(ex).locator(".heatmap-label")).to_have_text([re.compile(r"^\d+\.\d± \d+\.\d$")]*8)
    ex.get_by_role("tab", name="Compare", exact=True).evaluate("e => e.scrollIntoView({block: 'start'})")
    shot(page, "13-compare")
    assert_fits(ex)
    choose(ex, "View", "beside published")
    expect(ex.get_by_text("no published figure for any of these")).to_be_visible(timeout=60_000)
    choose(ex, "View", "map")
    expect(plot(ex)).to_have_count(1, timeout=60_000)

def test_saved(lab):
    ex, _, folder = lab
    save(ex, "t.csv"); save(ex, "t.tex"); save(ex, "page.html")
    assert (folder/"t.csv").read_text().count("\n") == 9 and "\\toprule" in (folder/"t.tex").read_text()
    save(ex, "map.svg")
    svg = (folder/"map.svg").read_text()
    assert svg.startswith("<svg") and "random, IPC 2" in svg

def test_the_page_needs_no_network(lab):
    _, page, folder = lab
    other, asked, said = page.context.browser.new_page(viewport=dict(width=1280, height=800)), [], []
    other.on("request", lambda r: asked.append(r.url)); other.on("pageerror", lambda e: said.append(str(e)))
    other.goto((folder/"page.html").as_uri(), timeout=120_000)
    expect(other.locator(".js-plotly-plot")).to_have_count(4, timeout=60_000)                    # map, bars, by budget, by bytes
    expect(other.locator(".js-plotly-plot").nth(3).locator(".scatterlayer .point").first).to_be_visible(timeout=60_000)
    assert not said and not [u for u in asked if not u.startswith(("file:", "data:", "blob:"))], (said, asked)
    expect(other.get_by_role("heading", name="Comparison on digits")).to_be_visible()
    bars = other.locator(".js-plotly-plot").nth(1)
    bar = bars.locator(".barlayer .point path").first
    bar.scroll_into_view_if_needed()
    def middle(): b = bar.bounding_box(); return b["x"] + b["width"]/2, b["y"] + b["height"]/2
    hover_plot(bars, middle, "seeds")                                                                # numbers under the mouse
    other.mouse.move(0, 0)
    other.locator("summary").first.click()
    expect(other.get_by_role("cell", name="sgd").first).to_be_visible()                              # how students were trained
    other.screenshot(path=SHOTS/"14-report.png", full_page=True)
    other.close()

