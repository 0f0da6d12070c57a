"""Two lessons as a student does them, in a real JupyterLab: run, try, get an answer wrong, read why, mend it, see the check turn green, answer the quiz."""
import re
import pytest
from playwright.sync_api import expect
from browser import jupyterlab, page_on, run_cell_with, shot
from dd_nb.cli import start_folder
from dd_nb.course import write_course

@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class")
    write_course(folder), start_folder(folder)
    with jupyterlab(folder) as (url, token): yield url, token

@pytest.fixture
def lesson(lab, request):
    with page_on(*lab, request.param) as page:
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=90_000)
        page.keyboard.press("Control+b")                              # the file browser folds away
        yield page

def cell(page, text): return page.locator(".jp-CodeCell", has_text=text).first

def write(page, old, new):
    "Replace the text of the cell that holds `old`, and run it."
    cell(page, old).locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(new)
    page.keyboard.press("Shift+Enter")

def checked(page, name, kind, words):
    "Run a check; gives what it says."
    c = run_cell_with(page, f'check("{name}"')
    said = c.locator(f".dd-check.dd-{kind}")
    expect(said).to_contain_text(words, timeout=60_000, ignore_case=True)
    expect(c.locator(".dd-check")).to_have_count(1)
    return said

def quiz(page, right, wrong):
    "Run the quiz, whose cell is folded; choose wrongly, then rightly."
    page.locator(".jp-MarkdownCell", has=page.locator("h2", has_text="Quiz")).first.click()
    page.keyboard.press("Shift+Enter"); page.keyboard.press("Shift+Enter")
    q = page.locator(".dd-quiz")
    q.get_by_label(wrong).check(timeout=60_000)
    expect(q.get_by_role("status").first).to_contain_text("Not quite")
    q.get_by_label(right).check()
    expect(q.get_by_role("status").first).to_contain_text("Right.")
    folded = page.locator(".jp-CodeCell", has=q)
    expect(folded.locator(".jp-InputPlaceholder")).to_contain_text("Run this cell for the quiz")
    expect(folded.locator(".cm-content")).to_be_hidden()              # the answers stand in it

def tried(page, imports, demo):
    "Run the cells of a lesson's imports and of what is to be tried, found by a line of theirs; gives its picture, once there."
    run_cell_with(page, imports)
    run_cell_with(page, demo)
    picture = page.locator(".dd-try img")
    expect(picture).to_be_visible(timeout=90_000)
    return picture

def nothing_is_broken(page): assert page.get_by_text("Traceback").count() == 0 and page.locator(".dd-try [role=alert]").count() == 0

@pytest.mark.parametrize("lesson", ["01_worth.ipynb"], indirect=True)
def test_lesson_1(lesson):
    page = lesson
    picture = tried(page, "from dd_nb import Images, evaluate", "def drawn(")
    expect(picture).to_have_attribute("alt", "real digits drawn by chance, a row a class")
    before = picture.get_attribute("src")
    slider = page.locator(".dd-try [role=slider]").first
    slider.focus(); slider.press("ArrowRight")
    expect(picture).not_to_have_attribute("src", before)
    run_cell_with(page, "def class_means(")
    checked(page, "1.1", "notyet", "replace the `...`")
    write(page, "def class_means(", "def class_means(x, y, n_classes): return torch.stack([x[y == k].sum(0) for k in range(n_classes)])")
    checked(page, "1.1", "notyet", "these are sums, not means")
    shot(page, "14-lesson-not-yet")
    write(page, "def class_means(", "def class_means(x, y, n_classes): return torch.stack([x[y == k].mean(0) for k in range(n_classes)])")
    green = checked(page, "1.1", "right", "Exercise 1.1: Right.")
    assert green.evaluate("e => getComputedStyle(e).color") == "rgb(27, 94, 32)"
    shot(page, "14-lesson-right")
    quiz(page, "A network trained on them is right that often on the real test images", "The ten hold 95 % of the information")
    shot(page, "14-lesson-quiz")
    nothing_is_broken(page)

@pytest.mark.parametrize("lesson", ["08_fair.ipynb"], indirect=True)
def test_lesson_8(lesson):
    page = lesson
    tried(page, "from dd_nb import Images, distill, evaluate", "def contest(")
    write(page, "def half_width(a):", "from scipy.stats import t\ndef half_width(a): return a.std()")
    checked(page, "8.1", "notyet", "that is the standard deviation")
    write(page, "def half_width(a)", "from scipy.stats import t\ndef half_width(a): return 1/0")
    checked(page, "8.1", "notyet", "ZeroDivisionError")
    write(page, "def half_width(a)", "from scipy.stats import t\ndef half_width(a): return float(t.ppf(.975, len(a) - 1))*a.std()/len(a)**.5")
    checked(page, "8.1", "right", "few students, wide interval")
    quiz(page, "The standard deviation of the students", "The range")
    nothing_is_broken(page)
