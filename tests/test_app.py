"""`dd-nb app` as a class uses it: a process of its own, two people with a browser each, a stranger without the token, and kernels that end."""
import json, os, re, signal, subprocess, time, urllib.error, urllib.request
import pytest
from playwright.sync_api import expect, sync_playwright
from browser import assert_fits, button, choose, chromium, free_port, shot, status
from conftest import DD_NB

IDLE = .75   # minutes; a busy machine takes half of that to show a page

@pytest.fixture(scope="module")
def served(tmp_path_factory):
    "The page on a workspace; gives its address, the token, the workspace."
    work = tmp_path_factory.mktemp("work")
    (work/"settings.ini").write_text("[dd_nb]\nruns = kept\ndevice = cpu\n")
    env = {k: v for k, v in os.environ.items() if k not in ("DD_NB_RUNS", "JUPYTER_TOKEN")}
    with open(work/"app.log", "w") as log:
        p = subprocess.Popen([DD_NB, "app", work, "--port", str(free_port()), "--idle", str(IDLE), "--no-browser"], env=env, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            end = time.time() + 60
            while not (m := re.search(r"(http://localhost:\d+)/\?token=(\w+)\n", (work/"app.log").read_text())) or not answers(m[1]):
                assert p.poll() is None and time.time() < end, (work/"app.log").read_text()
                time.sleep(.2)
            yield m[1], m[2], work
        finally:
            p.send_signal(signal.SIGTERM)
            p.wait(30)

def get(url, **kw):
    with urllib.request.urlopen(urllib.request.Request(url, **kw), timeout=20) as r: return r.geturl(), r.read().decode()

def answers(url):
    try: return bool(get(url))
    except OSError: return False

def kernels(url, token, ids):
    "Those of the kernels that are alive."
    def alive(i):
        try: return json.loads(get(f"{url}/api/kernels/{i}?token={token}")[1])["id"] == i
        except urllib.error.HTTPError as e: assert e.code == 404, e; return False
    return [i for i in ids if alive(i)]

def test_without_the_token_nothing_is_shown(served):
    url, token, work = served
    assert len(token) >= 32
    for wrong in ("", "?token=wrong", f"?token={token[:-1]}"):
        at, page = get(f"{url}/{wrong}")
        assert "/login" in at and "dd-explorer" not in page and "kernelId" not in page
    for method, path in (("GET", "/api/kernels/00000000-0000-0000-0000-000000000000"), ("POST", "/voila/api/shutdown/00000000-0000-0000-0000-000000000000")):
        with pytest.raises(urllib.error.HTTPError) as e: get(url + path, method=method, data=b"" if method == "POST" else None)
        assert e.value.code == 403, path
    assert not (work/"kept").exists()
    assert token not in subprocess.run(["ps", "-ef"], capture_output=True, text=True).stdout, "the token can be read from the list of processes"

def test_it_is_seen_from_this_machine_only(served):
    "The socket listens at 127.0.0.1, as the kernel's table says."
    port = int(served[0].rpartition(":")[2])
    local = [l.split()[1] for l in open("/proc/net/tcp").read().splitlines()[1:] if l.split()[3] == "0A"]
    assert [a.split(":")[0] for a in local if int(a.split(":")[1], 16) == port] == ["0100007F"]

def test_two_people(served):
    "Each has a kernel and a folder of runs; both press Distil on the same choices; a page that is closed takes its kernel along, one that is left alone loses it."
    url, token, work = served
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        def visit():
            page = browser.new_context(viewport=dict(width=1280, height=800)).new_page()
            page.goto(f"{url}/?token={token}", timeout=120_000, wait_until="commit")
            return page, page.locator(".dd-explorer")
        def kernel(page, ex):
            expect(button(ex, "Distil")).to_be_enabled(timeout=120_000)
            return json.loads(page.locator("#jupyter-config-data").text_content())["kernelId"]
        forgotten = kernel(*visit())
        visits = [visit(), visit()]
        pages, panels = zip(*visits)
        ids = []
        for page, ex in visits:
            ids.append(kernel(page, ex))
            assert page.locator(".jp-CodeCell .jp-InputArea, .CodeMirror, .cm-editor, .highlight").count() == 0 and "import" not in page.inner_text("body"), "code is shown"
        assert len({*ids}) == 2 and kernels(url, token, ids) == ids
        for ex in panels: choose(ex, "Method", "random")
        for ex in panels: button(ex, "Distil").click()
        for ex in panels:
            expect(status(ex)).to_contain_text("Kept as random-digits-ipc1-s0", timeout=90_000)
            expect(ex.locator("img[alt*='synthetic images']").first).to_be_visible()
        shot(pages[0], "12-app")
        assert_fits(panels[0])
        choose(panels[0], "Method", "herding")
        expect(panels[1].get_by_label("Method", exact=True)).to_have_value("random")      # what one chooses the other does not see
        assert len(list((work/"kept"/"page").glob("*/random-digits-*/done.json"))) == 2
        pages[0].close(run_before_unload=True)
        end = time.time() + 60*IDLE + 60
        while kernels(url, token, ids[:1]): assert time.time() < end, "the kernel of a closed page lives on"; time.sleep(.5)
        while kernels(url, token, [forgotten]): assert time.time() < end, "the kernel of a page that nobody uses was not ended"; time.sleep(.5)
        browser.close()
