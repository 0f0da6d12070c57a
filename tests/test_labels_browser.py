"""The label view in a real JupyterLab: a run with learned labels is loaded, images are picked from lists and by clicks on the matrix, the slider goes back through training."""
import re
import pytest
from playwright.sync_api import expect
from browser import assert_beside, assert_fits, assert_told, choose, click_plot, has, jupyterlab, load_file, load_run, open_explorer, page_on, reads_slowly, shot, status, tab, workspace
from dd_nb.core import generator
from dd_nb.data import load_data
from dd_nb.distilled import Images
from dd_nb.loop import distill
from dd_nb.settings import settings

IPC = 3

@pytest.fixture(scope="module")
def run(): return distill("frepo", "digits", ipc=IPC, steps=90, net="convnet:width=16,init=lecun", lr_img=.03, batch_real=128, snapshots=8, root=settings().runs, progress=False)

@pytest.fixture(scope="module")
def ex(tmp_path_factory, run):
    "The explorer in a workspace with a run that learned labels, a file of its artifact, and one with hard labels."
    folder = tmp_path_factory.mktemp("workspace")
    workspace(folder)
    run.distilled.save(folder/"soft.safetensors")
    Images.start(load_data("digits"), 2, generator(0), recipe=dict(method="random", data="digits")).save(folder/"hard.safetensors")
    with jupyterlab(folder) as (url, token), page_on(url, token, "index.ipynb") as page:
        yield open_explorer(page)

def label(ex): return ex.locator("img[alt*='beside its label']")
def matrix(ex): return ex.locator(".js-plotly-plot:visible").first
def slider(ex): return ex.locator(".widget-slider:visible", has_text="Training").locator("[role=slider]")
def cells(ex): return matrix(ex).locator(".heatmaplayer image").first

def click_row(ex, i, column=.5):
    "Click into row `i` of the matrix, where the eye sees it, and see its image enlarged."
    def where():
        box = matrix(ex).locator(".nsewdrag").bounding_box()
        return box["x"] + column*box["width"], box["y"] + (i + .5)/(10*IPC)*box["height"]
    klass, image = i//IPC, i % IPC + 1
    click_plot(matrix(ex), where, f"class {klass}, image {image}", label(ex), f"image {image} of class {klass} beside its label")

def test_matrix_and_image(ex, run):
    reads_slowly(ex.page)                                                           # figures hear what they are told nevertheless
    load_run(ex, run, "Labels")
    has(label(ex), "image 1 of class 0 beside its label, step 90")
    expect(cells(ex)).to_have_attribute("href", re.compile("^data:image/png"), timeout=60_000)
    expect(matrix(ex).locator(".ytick text")).to_have_text([str(c) for c in range(10)])
    choose(ex, "Labels of", "6"); choose(ex, "Image", "2")
    has(label(ex), "image 2 of class 6 beside its label, step 90")
    frame = matrix(ex).locator(".shapelayer path[data-index='0']")     # the other lines part the classes
    there = frame.get_attribute("d")
    before = label(ex).get_attribute("src")
    click_row(ex, 4*IPC + 2)
    expect(ex.get_by_label("Labels of", exact=True)).to_have_value("4"); expect(ex.get_by_label("Image", exact=True)).to_have_value("3")
    expect(frame).not_to_have_attribute("d", there)                                # the frame moved along
    assert label(ex).get_attribute("src") != before
    click_row(ex, 0, column=.97)                                                    # the first row and the last, at the matrix's edges
    click_row(ex, 10*IPC - 1, column=.03)
    click_row(ex, 7*IPC)

def test_training(ex, run):
    "The slider, by the keyboard: matrix, image and words are those of the step."
    expect(ex.get_by_text(re.compile(r"The own class leads in \d+ of 30 labels"))).to_be_visible()
    pixels, picture = cells(ex).get_attribute("href"), label(ex).get_attribute("src")
    slider(ex).focus()
    for _ in run.labels()[1:]: slider(ex).press("ArrowLeft")
    has(label(ex), "image 1 of class 7 beside its label, step 0$")
    expect(cells(ex)).not_to_have_attribute("href", pixels, timeout=60_000)
    assert label(ex).get_attribute("src") != picture
    expect(ex.get_by_text("Classes mixed most: none.")).to_be_visible()              # it began with one class each
    expect(ex.get_by_text("step 0", exact=True)).to_be_visible()
    for _ in range(3): slider(ex).press("ArrowRight")
    has(label(ex), rf"step {run.labels()[3][0]}$")
    for _ in run.labels(): slider(ex).press("ArrowRight")
    has(label(ex), "step 90$")
    expect(cells(ex)).to_have_attribute("href", pixels, timeout=60_000)              # the same labels, the same colours

def test_keyboard(ex):
    image = ex.get_by_label("Image", exact=True)
    image.focus()
    for key in ("Space", "ArrowDown", "Enter"): ex.page.keyboard.press(key)         # opened first: JupyterLab keeps arrows on a closed list for itself
    has(label(ex), "image 2 of class 7")

def test_nothing_is_cut_off(ex):
    "At 1280 x 800: the whole view on one screen, within the panel's width, names in full, pictures not shrunk."
    ex.get_by_role("tab", name="Labels", exact=True).evaluate("e => e.scrollIntoView({block: 'start'})")
    plots = ex.locator(".js-plotly-plot:visible")
    expect(plots).to_have_count(2)
    for what in (matrix(ex), label(ex), plots.nth(1), slider(ex), ex.get_by_text("Classes mixed most")): expect(what).to_be_in_viewport(ratio=.99)
    shot(ex.page, "11-labels")
    assert_fits(ex)
    outside = plots.evaluate_all("""els => els.flatMap(e => [...e.querySelectorAll('text')].filter(t => {
        const a = t.getBoundingClientRect(), b = e.getBoundingClientRect();
        return a.width && (a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1)}).map(t => t.textContent))""")
    assert not outside, f"names cut off in a plot: {outside}"
    assert_beside(matrix(ex), label(ex))

def test_a_file_and_hard_labels_are_told_in_words(ex):
    load_file(ex, "soft.safetensors")
    expect(status(ex)).to_contain_text("Loaded Images(frepo", timeout=60_000)
    tab(ex, "Labels")
    has(label(ex), "image 1 of class 0 beside its label$")
    expect(ex.get_by_text("A file holds the last labels only")).to_be_visible()
    expect(ex.locator(".js-plotly-plot:visible")).to_have_count(1)                   # no curves without a run
    assert_told(ex, "hard.safetensors", "Images(random", "Labels", "what is loaded has hard ones", label(ex))
