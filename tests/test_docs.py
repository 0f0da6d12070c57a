"""The documentation site, built as `make docs` builds it: no broken link, pictures and formulas that show, a search that finds, and nothing fetched from elsewhere."""
import functools, http.server, json, os, re, sys, threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit
import pytest
from playwright.sync_api import expect, sync_playwright
from browser import SHOTS, chromium, eventually
from conftest import DD_NB, TREE, python_blocks, run

@pytest.fixture(scope="module")
def site(tmp_path_factory):
    "Sphinx's warnings (a link to no page, a picture that is not there) are failures of the build."
    out = tmp_path_factory.mktemp("docs")/"site"
    said = run(sys.executable, "docs/build.py", "--out", out, cwd=TREE, env=os.environ | dict(PYTHONPATH=str(TREE)), timeout=600)
    assert "The site is in" in said.stdout and not said.stderr.strip(), said.stderr
    return out

class Page(HTMLParser):
    "What a page links to, what can be linked to in it, and what it loads."
    def __init__(self, text):
        super().__init__()
        self.links, self.ids, self.loads, self.pictures = [], set(), [], []
        self.feed(text)
    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if a.get("id"): self.ids.add(a["id"])
        if tag == "a" and a.get("href"): self.links.append(a["href"])
        if tag == "img": self.pictures.append(a)
        if tag in ("img", "script", "iframe", "source") and a.get("src"): self.loads.append(a["src"])
        if tag == "link" and a.get("rel") in ("stylesheet", "icon", "preload") and a.get("href"): self.loads.append(a["href"])

@pytest.fixture(scope="module")
def pages(site): return {p.relative_to(site): Page(p.read_text()) for p in site.rglob("*.html")}

def faults(pages, site):
    "Links that lead nowhere within the site, and what is fetched from elsewhere."
    found = []
    for name, page in pages.items():
        for url in page.links + page.loads:
            if url.startswith("data:"): continue
            if urlsplit(url).scheme or url.startswith("//"):
                if url in page.loads: found.append(f"{name} loads {url[:100]}")
                continue
            path, fragment = urldefrag(url)
            there = Path(os.path.normpath(name.parent/unquote(urlsplit(path).path))) if path else name
            if not (site/there).is_file(): found.append(f"{name} -> {url}")
            elif fragment and there in pages and unquote(fragment) not in pages[there].ids: found.append(f"{name} -> {url}: no such place")
    return found

def test_links_lead_somewhere_and_nothing_comes_from_elsewhere(pages, site):
    assert len(pages) > 80 and not (f := faults(pages, site)), f

def test_a_broken_link_is_seen(pages, site):
    text = '<a href="no.html">x</a><a href="#nowhere">y</a><script src="https://example.org/x.js"></script>'
    assert len(faults({**pages, Path("extra.html"): Page(text)}, site)) == 3

def test_every_picture_says_what_it_is(pages):
    assert not [f"{n}: {i}" for n, p in pages.items() for i in p.pictures if not (i.get("alt") or "").strip() or i["alt"].startswith(("_images", "data:"))]

def test_every_method_notebook_and_public_name_is_there(pages, site):
    import dd_nb
    from dd_nb.loop import list_methods
    gallery = (site/"gallery.html").read_text()
    assert not [m for m in list_methods() if f">{m}<" not in re.sub(r"\s*([<>])\s*", r"\1", gallery)]
    books = [p.relative_to(TREE).with_suffix(".html") for p in (TREE/"nbs").rglob("*.ipynb") if not p.name.startswith("_") and ".ipynb_checkpoints" not in p.parts]
    assert not [b for b in books if b not in pages]
    ids = set().union(*(p.ids for n, p in pages.items() if n.parts[0] == "api"))
    places = {n: f"api-dd-nb-{m.replace('.', '-')}-{n}".lower().replace("_", "-") for n, m in dd_nb._WHERE.items()}
    assert not [n for n, a in places.items() if a not in ids and a + "-class" not in ids]

def test_hidden_cells_and_directives_are_not_shown(site):
    for p in (site/"nbs").rglob("*.html"): assert '<span class="c1">#|' not in p.read_text(), p

@pytest.mark.parametrize("page", sorted(p.name for p in (TREE/"docs"/"howto").glob("*.md")))
def test_the_examples_of_the_how_to_pages_run(page, tmp_path):
    "Blocks of a page in order, in one process and an empty folder."
    blocks = python_blocks((TREE/"docs"/"howto"/page).read_text())
    if page == "own_data.md":
        import numpy as np
        from PIL import Image
        for part, n in (("train", 6), ("test", 2)):
            for i, c in enumerate(("robin", "wren")):
                (tmp_path/"birds"/part/c).mkdir(parents=True)
                for k in range(n): Image.fromarray(np.full((40, 40, 3), 80*i + 9*k, "uint8")).save(tmp_path/"birds"/part/c/f"{k}.png")
        blocks = [b.replace('distill("dm", data, ipc=1)', 'distill("dm", data, ipc=1, steps=2, net="convnet:width=8", batch_real=4)') for b in blocks]
    if blocks: run(sys.executable, "-c", "\n".join(blocks).replace("seeds=3", "seeds=1").replace('distill("dm", "digits", ipc=1)', 'distill("dm", "digits", ipc=1, steps=5, batch_real=16)'), cwd=tmp_path,
                   env=os.environ | dict(PYTHONPATH=str(TREE), DD_NB_RUNS=str(tmp_path/"runs"), DD_NB_DATA=str(tmp_path/"data")))

class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *a): pass

def no_wider(page, width):
    "Once formulas are set, nothing of the page is wider than the window."
    def fits(): assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{page.url} is wider than the window"
    eventually(fits)

def test_as_a_reader_sees_it(site):
    "Front page, a method, the gallery, the search, a narrow window: pictures are loaded, formulas set, nothing wider than the window."
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url, bad = f"http://127.0.0.1:{server.server_port}", []
    try:
        with sync_playwright() as p:
            browser = p.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport=dict(width=1280, height=800))
            page.on("response", lambda r: r.status >= 400 and "favicon" not in r.url and bad.append(r.url))
            page.on("request", lambda r: not r.url.startswith((url, "data:", "blob:", "about:")) and bad.append(r.url))
            page.on("pageerror", lambda e: bad.append(str(e)))
            SHOTS.mkdir(exist_ok=True)
            for name, at in (("front", "index.html"), ("method", "nbs/methods/dm.html"), ("gallery", "gallery.html"), ("reference", "api/dd_nb.loop.html")):
                page.goto(f"{url}/{at}")
                expect(page.locator("h1").first).to_be_visible()
                broken = page.locator("main img, article img").evaluate_all("async els => { await Promise.all(els.map(e => { e.loading = 'eager'; return e.decode().catch(() => 0) })); return els.filter(e => !e.naturalWidth).map(e => e.src) }")
                assert not broken, broken
                if name == "method":
                    expect(page.locator("mjx-container").first).to_be_visible()
                    expect(page.get_by_text("\\lVert")).to_have_count(0)
                    assert page.locator("article img").count() >= 2
                page.screenshot(path=SHOTS/f"13-docs-{name}.png")
                no_wider(page, 1280)
            page.set_viewport_size(dict(width=420, height=800))
            for at in ("index.html", "gallery.html", "nbs/methods/dm.html"):
                page.goto(f"{url}/{at}")
                no_wider(page, 425)
            page.screenshot(path=SHOTS/"13-docs-narrow.png")
            page.goto(f"{url}/search.html?q=hallucinators")
            expect(page.locator("#search-results li a[href*=factorized]").first).to_be_visible()
            browser.close()
    finally: server.shutdown()
    assert not bad, bad
