"""From the click on Distil to the first synthetic image on screen, in a real JupyterLab and Chromium; median of three runs with new seeds, the first of them right after the panel appeared."""
import statistics, sys, tempfile, time
from pathlib import Path
sys.path.insert(0, str(Path(__file__).parents[1]/"tests"))
from browser import jupyterlab, page_on, workspace
from common import arguments, stamp, write

args, folder, times = arguments(__doc__), tempfile.mkdtemp(), []
workspace(folder)
with jupyterlab(folder) as (url, token), page_on(url, token, "index.ipynb") as page:
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=90_000)
    page.locator(".jp-CodeCell", has_text="explorer = Explorer()").first.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    panel = page.locator(".dd-explorer")
    panel.get_by_text("Choose, then press Distil.").wait_for(timeout=90_000)
    for seed in range(1 if args.quick else 3):
        box = panel.get_by_label("Seed", exact=True)
        box.fill(str(seed)); box.press("Tab")
        image = panel.locator("img[alt^='synthetic images at step']").first
        before = image.get_attribute("src") if image.count() else ""
        start = time.perf_counter()
        panel.get_by_role("button", name="Distil", exact=True).click()
        while not image.count() or image.get_attribute("src") == before: page.wait_for_timeout(10)
        times.append(time.perf_counter() - start)
        print(f"seed {seed}: {times[-1]:.2f} s", flush=True)
        panel.get_by_role("button", name="Stop", exact=True).click()
        panel.get_by_text("Stopped at step").wait_for(timeout=60_000)
write([dict(what="click on Distil to first image, seed 0", seconds=round(times[0], 2), goal=3., **stamp()), dict(what="click on Distil to first image, median", seconds=round(statistics.median(times), 2), goal=3., **stamp())], "first_image", args)
