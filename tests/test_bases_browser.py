"""The bases view in a real JupyterLab: a factorized artifact is loaded, cells of the matrix clicked, pairs blended, diversity drawn."""
import re
import pytest
from playwright.sync_api import expect
from browser import assert_beside, assert_fits, assert_told, button, choose, click_plot, has, jupyterlab, load_file, open_explorer, page_on, shot, status, tab, workspace
from dd_nb.artifacts.factorized import Factorized, budget
from dd_nb.core import generator
from dd_nb.data import load_data
from dd_nb.distilled import Images

@pytest.fixture(scope="module")
def ex(tmp_path_factory):
    "The explorer in a workspace that holds a factorized artifact and a plain one."
    folder = tmp_path_factory.mktemp("workspace")
    workspace(folder)
    data = load_data("digits")
    pairs = Factorized.start(data, 4, budget(3, 4, data.shape, 10), generator(0), recipe=dict(method="haba + dm", data="digits", hyper={}))
    pairs.hallucinators.begin(generator(1), "identity", noise=.6)                # so that a person can tell the hallucinators apart
    pairs.save(folder/"pairs.safetensors")
    Images.start(data, 2, generator(0), recipe=dict(method="random", data="digits")).save(folder/"plain.safetensors")
    with jupyterlab(folder) as (url, token), page_on(url, token, "index.ipynb") as page:
        yield open_explorer(page)

def pair(ex): return ex.locator("img[alt*='through hallucinator']")
def strip(ex): return ex.locator("img[alt^='from b'][alt*='of class']")
def matrix(ex): return ex.locator(".js-plotly-plot:visible").first

def click_cell(ex, basis, hallucinator, klass, right=0, down=0):
    "Click an image of the matrix (of four hallucinators) and see it enlarged; right and down in parts of the image, from its middle."
    square = matrix(ex).locator(".scatterlayer path.point").nth(4*(basis - 1) + hallucinator - 1)       # that it lies on its image is checked beside its code
    def where():
        b = square.bounding_box()
        return b["x"] + (.5 + right)*b["width"], b["y"] + (.5 + down)*b["height"]
    click_plot(matrix(ex), where, f"b{basis} through h{hallucinator}", pair(ex), f"basis {basis} of class {klass} through hallucinator {hallucinator}")

def test_matrix_and_pair(ex):
    tab(ex, "Bases")
    expect(ex.get_by_text("Distil or load something first.")).to_be_visible()
    load_file(ex, "pairs.safetensors")
    expect(status(ex)).to_contain_text("3 bases a class x 4 hallucinators = 12 images a class", timeout=60_000)
    tab(ex, "Bases")
    has(pair(ex), "basis 1 of class 0 through hallucinator 1")
    expect(ex.get_by_text("Class 0: 3 bases down, 4 hallucinators across.")).to_be_visible()
    picture = matrix(ex).locator(".layer-below image, .imagelayer image").first
    expect(picture).to_have_attribute("href", re.compile("^data:image/png"), timeout=60_000)
    before = picture.get_attribute("href")
    choose(ex, "Images of", "6")
    has(pair(ex), "basis 1 of class 6")
    expect(picture).not_to_have_attribute("href", before, timeout=60_000)          # the matrix is the other class's
    click_cell(ex, 3, 4, klass=6)
    expect(ex.get_by_label("Basis", exact=True)).to_have_value("b3"); expect(ex.get_by_label("Hallucinator", exact=True)).to_have_value("h4")
    mark = matrix(ex).locator(".shapelayer path").first
    there = mark.get_attribute("d")
    click_cell(ex, 1, 2, klass=6, right=.35, down=-.35)                             # near a corner it is still this cell
    expect(mark).not_to_have_attribute("d", there)                                  # the frame moved along
    click_cell(ex, 2, 3, klass=6, right=-.35, down=.35)

def test_keyboard(ex):
    "The lists do what a click does, and the slider moves the blend."
    choose(ex, "Hallucinator", "h2"); has(pair(ex), "basis 2 of class 6 through hallucinator 2")
    basis = ex.get_by_label("Basis", exact=True)
    basis.focus()
    for key in ("Space", "ArrowDown", "Enter"): ex.page.keyboard.press(key)         # opened first: JupyterLab keeps arrows on a closed list for itself
    has(pair(ex), "basis 3 of class 6 through hallucinator 2")
    has(strip(ex), "from b3, h2 to b3, h4 of class 6, at 0.50")
    before = strip(ex).get_attribute("src")
    slider = ex.locator(".widget-slider:visible", has_text="Blend").locator("[role=slider]")
    slider.focus()
    for _ in range(4): slider.press("ArrowLeft")
    has(strip(ex), "at 0.30$")
    assert strip(ex).get_attribute("src") != before
    choose(ex, "Between", "bases"); has(strip(ex), "from b3, h2 to b2, h2 of class 6, at 0.30")     # the list of partners is another one now
    choose(ex, "Partner", "b1")
    has(strip(ex), "from b3, h2 to b1, h2 of class 6, at 0.30")

def test_diversity(ex):
    button(ex, "Diversity").click()
    boxes = ex.locator(".js-plotly-plot:visible")
    expect(boxes).to_have_count(2, timeout=60_000)
    expect(boxes.nth(1).locator(".boxlayer path.box")).to_have_count(4, timeout=60_000)
    expect(ex.get_by_text("Mean distance, all classes: same basis")).to_contain_text("real, 4 a class")
    ex.get_by_role("tab", name="Bases", exact=True).evaluate("e => e.scrollIntoView({block: 'start'})")      # the whole view fits a screen
    for what in (matrix(ex), pair(ex), strip(ex), boxes.nth(1)): expect(what).to_be_in_viewport(ratio=.99)
    shot(ex.page, "10-bases")

def test_nothing_is_cut_off(ex):
    "At 1280 x 800: pickers, pictures and plots within the panel's width, names in full, pictures not shrunk."
    assert_fits(ex)
    assert_beside(matrix(ex), pair(ex))

def test_other_artifacts_are_told_in_words(ex):
    assert_told(ex, "plain.safetensors", "Images(random", "Bases", "This view takes HaBa's bases and hallucinators apart", pair(ex))
