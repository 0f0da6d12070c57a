"""The bases view in a real JupyterLab: a factorized artifact is loaded, a cell of the matrix clicked, two hallucinators blended, diversity drawn."""
import re
import pytest
from playwright.sync_api import expect
from browser import jupyterlab, page_on, workspace
from dd_nb.artifacts.factorized import Factorized, budget
from dd_nb.core import generator
from dd_nb.data import load_data
from test_explorer_browser import button, choose, run_cell_with, shot, status, tab

@pytest.fixture(scope="module")
def ex(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workspace")
    workspace(folder)
    data = load_data("digits")
    recipe = dict(method="haba + dm", data="digits", hyper={})
    Factorized.start(data, 4, budget(3, 4, data.shape, 10), generator(0), how="identity", recipe=recipe).save(folder/"pairs.safetensors")
    with jupyterlab(folder) as (url, token), page_on(url, token, "index.ipynb") as page:
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=90_000)
        page.keyboard.press("Control+b")
        run_cell_with(page, "explorer = Explorer()")
        panel = page.locator(".dd-explorer")
        expect(button(panel, "Distil")).to_be_enabled(timeout=90_000)
        panel.scroll_into_view_if_needed()
        yield panel

def test_bases_panel(ex):
    page = ex.page
    tab(ex, "Bases")
    expect(ex.get_by_text("Distil or load something first.")).to_be_visible()
    tab(ex, "Runs")
    ex.get_by_label("From", exact=True).fill("pairs.safetensors"); ex.get_by_label("From", exact=True).press("Tab")
    button(ex, "Load file").click()
    expect(status(ex)).to_contain_text("3 bases a class x 4 hallucinators = 12 images a class", timeout=10_000)
    tab(ex, "Bases")
    pair, strip = ex.locator("img[alt*='through hallucinator']"), ex.locator("img[alt*='of class'][alt^='from b']")
    expect(pair).to_have_attribute("alt", re.compile("basis 1 of class 0 through hallucinator 1"), timeout=20_000)
    choose(ex, "Images of", "6")
    expect(pair).to_have_attribute("alt", re.compile("basis 1 of class 6"), timeout=10_000)
    matrix = ex.locator(".js-plotly-plot:visible .nsewdrag").first
    box = matrix.bounding_box()
    page.mouse.click(box["x"] + .9*box["width"], box["y"] + .85*box["height"])      # last hallucinator, last basis
    expect(pair).to_have_attribute("alt", re.compile("basis 3 of class 6 through hallucinator 4"), timeout=10_000)
    choose(ex, "Hallucinator", "h2")                                                 # the same from the keyboard's side
    expect(pair).to_have_attribute("alt", re.compile("basis 3 of class 6 through hallucinator 2"), timeout=10_000)
    before = strip.get_attribute("src")
    slider = ex.locator(".widget-slider:visible", has_text="Blend").locator("[role=slider]")
    slider.focus()
    for _ in range(6): slider.press("ArrowRight")
    expect(strip).to_have_attribute("alt", re.compile("from b3, h2 to b3, h4 of class 6, at 0.30"), timeout=10_000)
    assert strip.get_attribute("src") != before
    button(ex, "Diversity").click()
    expect(ex.locator(".js-plotly-plot:visible")).to_have_count(2, timeout=30_000)
    expect(ex.get_by_text("same hallucinator").first).to_be_visible()
    shot(page, "10-bases")
