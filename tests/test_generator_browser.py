"""The generator view in a real JupyterLab: a generator is loaded, images are picked, the slider walks between them, noises are drawn again, nearest real images and accuracy by IPC shown."""
import pytest
from playwright.sync_api import expect
from browser import assert_beside, assert_fits, assert_told, button, choose, has, jupyterlab, load_file, open_explorer, page_on, shot, status, tab, workspace
from dd_nb.core import generator
from dd_nb.data import load_data
from dd_nb.distilled import Images
from dd_nb.loop import distill
from dd_nb.settings import settings

@pytest.fixture(scope="module")
def ex(tmp_path_factory):
    "The explorer in a workspace that holds a generator that has learned a little, and a plain artifact."
    folder = tmp_path_factory.mktemp("workspace")
    workspace(folder)
    run = distill("gan", "digits", ipc=10, gan_steps=400, width=16, lr_gan=1e-3, root=settings().runs, progress=False)
    run.distilled.save(folder/"weights.safetensors")
    Images.start(load_data("digits"), 2, generator(0), recipe=dict(method="random", data="digits")).save(folder/"plain.safetensors")
    with jupyterlab(folder) as (url, token), page_on(url, token, "index.ipynb") as page:
        yield open_explorer(page)

def grid(ex): return ex.locator("img[alt^='classes by noises']")
def strip(ex): return ex.locator("img[alt^='from '][alt*=' draw ']")
def slider(ex): return ex.locator(".widget-slider:visible", has_text="From A to B").locator("[role=slider]")

def test_grid_and_both_budgets(ex):
    tab(ex, "Generator")
    expect(ex.get_by_text("Distil or load something first.")).to_be_visible()
    load_file(ex, "weights.safetensors")
    expect(status(ex)).to_contain_text("students are shown 10 classes x 10 = 100 fresh images an epoch", timeout=60_000)
    tab(ex, "Generator")
    has(grid(ex), "draw 1: 10 classes, 8 noises"); has(strip(ex), "from 0, z1 to 1, z2, at 0.50, draw 1")
    expect(ex.get_by_text("Stored: 1")).to_contain_text("Shown to a student: 100 fresh images an epoch.")
    before = grid(ex).get_attribute("src")
    choose(ex, "Class B", "7"); choose(ex, "Noise B", "z5")
    has(strip(ex), "to 7, z5"); assert grid(ex).get_attribute("src") != before             # the frame moved along

def test_slider_and_redraw(ex):
    "By the keyboard: the picture follows the slider; other noises are another grid."
    before = strip(ex).get_attribute("src")
    slider(ex).focus()
    for _ in range(4): slider(ex).press("ArrowLeft")
    has(strip(ex), "from 0, z1 to 7, z5, at 0.30"); assert strip(ex).get_attribute("src") != before
    choose(ex, "Class A", "7"); has(strip(ex), "from 7, z1 to 7, z5, at 0.30")              # between two noises of a class
    before = grid(ex).get_attribute("src")
    button(ex, "Re-draw").click()
    has(grid(ex), "draw 2"); has(strip(ex), "at 0.30, draw 2"); assert grid(ex).get_attribute("src") != before

def test_nearest_and_curve(ex):
    button(ex, "Nearest real").click()
    expect(ex.locator("img[alt^='generated images and the training']")).to_be_visible(timeout=60_000)
    expect(ex.get_by_text("Median distance to the nearest training image: generated")).to_contain_text("test images")
    box = ex.get_by_label("Student", exact=True); box.fill("mlp"); box.press("Tab")
    button(ex, "Accuracy by IPC").click()
    expect(ex.get_by_text("mlp: 100% of the students trained")).to_be_visible(timeout=240_000)
    expect(status(ex)).to_contain_text("12 students trained from one generator", timeout=60_000)
    plots = ex.locator(".js-plotly-plot:visible")
    expect(plots).to_have_count(2)
    expect(plots.nth(1).locator(".scatterlayer .trace")).to_have_count(2)
    ex.get_by_role("tab", name="Generator", exact=True).evaluate("e => e.scrollIntoView({block: 'start'})")
    ex.page.mouse.move(5, 5)
    for what in (grid(ex), strip(ex), slider(ex), plots.nth(0), plots.nth(1), ex.get_by_text("Stored: 1")): expect(what).to_be_in_viewport(ratio=.99)      # the whole view fits a screen
    shot(ex.page, "12-generator")

def test_nothing_is_cut_off(ex):
    "Pickers, pictures and plots within the panel's width, names in full, pictures not shrunk; the walk stands beside the grid."
    assert_fits(ex)
    assert_beside(grid(ex), strip(ex), most=grid(ex).bounding_box()["height"])

def test_other_artifacts_are_told_in_words(ex):
    assert_told(ex, "plain.safetensors", "Images(random", "Generator", "This view looks into a generator, and what is loaded is none", grid(ex))
