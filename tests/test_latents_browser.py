"""The latent view in a real JupyterLab: quantised data are loaded, centroids picked from the list and by clicks on the map, the strength moved, distances by number of centroids shown."""
import re
import pytest
from playwright.sync_api import expect
from browser import assert_beside, assert_fits, assert_told, button, choose, click_plot, has, jupyterlab, load_run, open_explorer, page_on, shot, status, tab, workspace
from dd_nb.core import generator
from dd_nb.data import load_data
from dd_nb.distilled import Images
from dd_nb.loop import distill
from dd_nb.settings import settings

IPC = 6

@pytest.fixture(scope="module")
def run():
    "A decoder that has learned a little, a teacher, and what DDOQ makes of digits."
    return distill("ddoq", "digits", ipc=IPC, root=settings().runs, progress=False, codec="local:width=16,steps=200,unet=24,unet_steps=200,unet_batch=64,portion=50,average=.98", teacher="mlp", teacher_steps=100, decode_steps=12, solver="lloyd")

@pytest.fixture(scope="module")
def ex(tmp_path_factory, run):
    folder = tmp_path_factory.mktemp("workspace")
    workspace(folder)
    Images.start(load_data("digits"), 2, generator(0), recipe=dict(method="random", data="digits")).save(folder/"plain.safetensors")
    with jupyterlab(folder) as (url, token), page_on(url, token, "index.ipynb") as page:
        yield open_explorer(page)

def strip(ex): return ex.locator("img[alt^='centroid ']")
def latent_map(ex): return ex.locator(".js-plotly-plot:visible").first
def slider(ex): return ex.locator(".widget-slider:visible", has_text="Strength").locator("[role=slider]")

def click_centroid(ex, j, klass):
    "Click on a centroid where the eye sees it, and see its image."
    mark = latent_map(ex).locator(".scatterlayer .trace").nth(2).locator("path.point").nth(j)
    def where():
        b = mark.bounding_box()
        return b["x"] + b["width"]/2, b["y"] + b["height"]/2
    click_plot(latent_map(ex), where, f"centroid {j + 1}:", strip(ex), f"centroid {j + 1} of class {klass}")

def test_map_and_click(ex, run):
    load_run(ex, run, "Latents")
    has(strip(ex), "centroid 1 of class 0, strength 0.5$")
    points = latent_map(ex).locator(".scatterlayer .trace")
    expect(points.nth(2).locator("path.point")).to_have_count(IPC, timeout=60_000)
    sizes = points.nth(2).locator("path.point").evaluate_all("els => els.map(e => e.getBoundingClientRect().width)")
    assert sizes[0] == max(sizes) > min(sizes)                                          # the first stands for most
    expect(ex.get_by_text("shared by all that it decodes")).to_be_visible()
    before, cell = strip(ex).get_attribute("src"), points.nth(1).locator("path.js-fill").get_attribute("d")
    click_centroid(ex, 3, klass=0)
    expect(ex.get_by_label("Centroid", exact=True)).to_have_value("4")
    expect(points.nth(1).locator("path.js-fill")).not_to_have_attribute("d", cell)      # another cell is framed
    assert strip(ex).get_attribute("src") != before
    choose(ex, "Latents of", "8"); has(strip(ex), "of class 8")
    click_centroid(ex, 1, klass=8)
    share = 100*float(run.distilled.mass[8, 1])
    expect(ex.get_by_text(re.compile(f"stands for {share:.1f}"))).to_be_visible()

def test_strength(ex):
    "By the keyboard: the image follows, and comes back to what is stored."
    first = strip(ex).get_attribute("src")
    slider(ex).focus()
    for _ in range(10): slider(ex).press("ArrowLeft")
    has(strip(ex), "strength 0$"); plain = strip(ex).get_attribute("src"); assert plain != first
    for _ in range(20): slider(ex).press("ArrowRight")
    has(strip(ex), "strength 1$"); assert strip(ex).get_attribute("src") not in (first, plain)
    for _ in range(10): slider(ex).press("ArrowLeft")
    has(strip(ex), "strength 0.5$"); assert strip(ex).get_attribute("src") == first

def test_distances_and_the_whole_view(ex):
    choose(ex, "Map", "t-SNE")
    expect(latent_map(ex).get_by_text("neighbourhoods, not distances")).to_be_visible(timeout=60_000)
    choose(ex, "Map", "PCA")
    expect(latent_map(ex).get_by_text("of the variance")).to_be_visible(timeout=60_000)
    button(ex, "W2 by K").click()
    expect(status(ex)).to_contain_text("quantised with 1, 2, 5, 10, 20, 50 centroids", timeout=120_000)
    expect(ex.get_by_text("W2 with masses falls like K")).to_be_visible()
    plots = ex.locator(".js-plotly-plot:visible")
    expect(plots).to_have_count(2)
    expect(plots.nth(1).locator(".scatterlayer .trace")).to_have_count(3)
    ex.get_by_role("tab", name="Latents", exact=True).evaluate("e => e.scrollIntoView({block: 'start'})")
    ex.page.mouse.move(5, 5)
    for what in (strip(ex), slider(ex), plots.nth(0), plots.nth(1), ex.get_by_text("W2 with masses falls like K")): expect(what).to_be_in_viewport(ratio=.99)      # the whole view fits a screen
    shot(ex.page, "13-latents")

def test_nothing_is_cut_off(ex):
    assert_fits(ex)
    assert_beside(latent_map(ex), strip(ex), most=200)

def test_other_artifacts_are_told_in_words(ex):
    assert_told(ex, "plain.safetensors", "Images(random", "Latents", "This view shows quantised latents, and what is loaded has none", strip(ex))
