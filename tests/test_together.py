"""Students trained together: the same as one by one, in stacks of any size, and in processes that leave nothing behind, whatever ends them."""
import os, signal, subprocess, sys, textwrap, time
from pathlib import Path
import pandas as pd, psutil, pytest, torch
from dd_nb.compare import stack
from dd_nb.compare.sweep import sweep
from dd_nb.core import generator
from dd_nb.data import load_data
from dd_nb.distilled import Images
from dd_nb import judge
from dd_nb.judge import evaluate
from dd_nb.nets import padded_chunks
from dd_nb.settings import can_compile, torch_compile

KW = dict(nets=["convnet:width=8", "mlp:width=8"], epochs=5, progress=False)

@pytest.fixture(scope="module")
def data(): return load_data("digits")
@pytest.fixture(scope="module")
def some(data): return Images.start(data, 2, generator(0), recipe=dict(method="random", data="digits"))
@pytest.fixture(scope="module")
def alone(some, data): return evaluate(some, data, seeds=5, together="off", **KW)

def close(a, b):
    assert a[["net", "seed", "steps"]].equals(b[["net", "seed", "steps"]])
    assert (a.loss - b.loss).abs().max() < 2e-4 and a.loss.nunique() == len(a)

def test_memory_says_how_many(some, data, alone, monkeypatch):
    "Room for two: stacks of two, two and one; the same students."
    sizes, real = [], stack.train_stack
    monkeypatch.setattr(stack, "fitting", lambda students: 2)
    monkeypatch.setattr(stack, "train_stack", lambda students, *a: (sizes.append(len(students)), real(students, *a))[1])
    close(evaluate(some, data, seeds=5, together="stack", **KW), alone)
    assert sizes == [2, 2]*2                                     # and one alone, for each network

def test_a_full_device_halves_the_stack(some, data, alone, monkeypatch):
    sizes, real = [], stack.train_stack
    def train(students, *a):
        sizes.append(len(students))
        if len(students) > 2: raise torch.OutOfMemoryError("as asked")
        yield from real(students, *a)
    monkeypatch.setattr(stack, "train_stack", train)
    close(evaluate(some, data, seeds=5, together="stack", **KW), alone)
    assert sizes == [5, 2, 2]*2

def test_auto_does_what_pays(some, data, monkeypatch):
    "A few small students are not worth a process, nor are compiled ones; with one core none ever is."
    asked = lambda n, **kw: judge.choose_together([judge.Student(some, data, "convnet", s, judge.get_protocol("quick", **kw), 20, {}) for s in range(n)])[0]
    monkeypatch.setattr(judge, "cores", lambda: 2)
    assert (asked(2, epochs=5), asked(6, epochs=3_000), asked(1, epochs=30_000)) == ("off", "processes", "off")
    monkeypatch.setattr(judge, "COMPILE_FROM", 0)
    assert asked(6, epochs=3_000) == ("off" if judge.can_compile() else "processes")            # compiled code uses both cores by itself
    monkeypatch.undo()
    monkeypatch.setattr(judge, "cores", lambda: 2)
    monkeypatch.setattr(judge, "cores", lambda: 1)
    assert asked(6, epochs=3_000) == "off"

def test_several_gpus_share_the_students(some, data, monkeypatch):
    "Two GPUs that are played by the CPU: each is given a stack of every second student, and rows come back under their own number."
    from dd_nb.compare import workers
    from dd_nb.data import ImageData
    crew = [judge.Student(some, data, "mlp:width=8", s, judge.get_protocol("quick", epochs=4), some.epoch_images, {}) for s in range(5)]
    rows = lambda way, **kw: [{k: v for k, v in row.items() if k != "seconds"} for _, row in sorted((i, row) for i, *_, row in judge.TOGETHER[way](crew, **kw) if row)]
    alone, given = rows("off"), []
    with monkeypatch.context() as gpus:
        def here(calls, n):
            gpus.undo()                                          # from here on the device is what it is
            given.extend((n, args["device"], args["together"], [s["seed"] for s in args["students"]]) for _, args in calls)
            for c, (_, args) in reversed([*enumerate(calls)]):
                for value in workers.judge_call(**args | dict(device="cpu")): yield c, "value", value
        gpus.setattr(ImageData, "device", property(lambda self: torch.device("cuda")))
        gpus.setattr(workers, "run_calls", here)
        asked = []
        for n in (1, 2):
            gpus.setattr(torch.cuda, "device_count", lambda: n)
            asked.append(judge.choose_together(crew))
        beside = rows("processes")
    assert asked == [("stack", None), ("processes", None)]
    assert given == [(2, "cuda:0", "stack", [0, 2, 4]), (2, "cuda:1", "stack", [1, 3])]
    close(pd.DataFrame(beside), pd.DataFrame(alone))

SCRIPT = """
    import signal, sys
    signal.signal(signal.SIGINT, signal.default_int_handler)      # what is started in the background may have been told to ignore it
    signal.alarm(400)                                             # whatever becomes of the test, this ends
    from dd_nb.core import generator
    from dd_nb import evaluate, load_data
    from dd_nb.distilled import Images
    data = load_data("digits")
    print("started", flush=True)
    d = Images.start(data, 2, generator(0), recipe=dict(method="random", data="digits"))
    t = evaluate(d, data, ["convnet:width=8", "mlp:width=8"], 2, epochs=int(sys.argv[1]), together="processes:2", progress=False)
    print(t.loss.tolist())
"""

def start(tmp_path, epochs):
    (tmp_path/"script.py").write_text(textwrap.dedent(SCRIPT))
    env = os.environ | dict(PYTHONPATH=os.pathsep.join(p for p in sys.path if p), TMPDIR=str(tmp_path))
    return subprocess.Popen([sys.executable, tmp_path/"script.py", str(epochs)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)

def workers_of(p, n):
    "Wait until n workers are there and have loaded their libraries."
    for _ in range(1_200):
        found = [c for c in psutil.Process(p.pid).children(recursive=True) if "compare.workers" in " ".join(c.cmdline())]
        if len(found) == n and all(c.memory_info().rss > 150 << 20 for c in found): return found
        assert p.poll() is None, p.stdout.read()
        time.sleep(.1)
    raise AssertionError("no workers")

def gone(found): return not psutil.wait_procs(found, timeout=60)[1]

def test_a_script_without_a_main_guard(tmp_path, alone):
    "It is not run again by its workers, and trains what one process would."
    p = start(tmp_path, 5)
    said = p.communicate(timeout=200)[0].splitlines()
    assert p.returncode == 0 and said[0] == "started" and len(said) == 2, said
    assert eval(said[1]) == alone[alone.seed < 2].loss.tolist()
    assert not list(tmp_path.glob("dd_nb-*"))

@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_the_caller_ends_the_workers(tmp_path, sig):
    p = start(tmp_path, 10_000_000)
    try:
        found = workers_of(p, 2)
        p.send_signal(sig)
        assert gone(found)
        said = p.communicate(timeout=60)[0]
    finally: p.kill()
    assert p.returncode != 0
    if sig == signal.SIGINT: assert "KeyboardInterrupt" in said and not list(tmp_path.glob("dd_nb-*"))

def test_in_a_kernel(tmp_path):
    "In Jupyter: students in processes, an interrupt in the middle of them, and the kernel goes on."
    from jupyter_client.manager import start_new_kernel
    env = os.environ | dict(PYTHONPATH=os.pathsep.join(p for p in sys.path if p), TMPDIR=str(tmp_path))
    manager, client = start_new_kernel(kernel_name="python3", env=env)
    def run(code):
        said = []
        reply = client.execute_interactive(code, timeout=200, output_hook=lambda m: said.append(m["content"].get("text", "")))
        return reply["content"]["status"], "".join(said)
    try:
        setup = "\n".join(l for l in textwrap.dedent(SCRIPT).split("t = evaluate")[0].splitlines() if "signal" not in l) + "\n"
        call = 't = evaluate(d, data, "mlp:width=8", 2, epochs={}, together="processes:1", progress=False); print(len(t))'
        assert run(setup + call.format(3)) == ("ok", "started\n2\n")
        client.execute(call.format(10_000_000), stop_on_error=False)      # else what is asked for next is dropped with it
        found = workers_of(manager.provisioner.process, 1)
        manager.interrupt_kernel()
        assert gone(found)
        assert run("print(1 + 1)") == ("ok", "2\n")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)

def test_a_sweep_in_workers(tmp_path):
    grid = dict(methods=["random", "dm"], nets="mlp:width=8", students=2, changes=dict(epochs=3), hyper=dict(dm=dict(steps=3, net="convnet:width=8", batch_real=8)))
    here, beside = (sweep(grid, root=tmp_path/str(n), workers=n, progress=False).table.drop(columns=["seconds", "distil_seconds"]).to_dict("records") for n in (1, 2))
    assert here == beside and len(here) == 4

def test_what_is_compiled_learns_the_same(data, alone, some, monkeypatch):
    "A student long enough to be compiled ends where one that is not does; students of one network are compiled once; the ninth shape of a session is compiled too."
    if not can_compile(): pytest.skip("no C++ compiler")
    torch.compiler.reset()
    monkeypatch.setattr(judge, "COMPILE_FROM", 1)
    made = []
    monkeypatch.setattr(judge, "torch_compile", lambda net: made.append(type(net).__name__) or torch_compile(net))
    close(evaluate(some, data, seeds=5, together="off", **KW), alone)
    monkeypatch.setattr(judge, "TEST_FROM", 1)
    close(evaluate(some, data, seeds=5, together="off", **KW), alone)
    assert made == ["ConvNet"]*2                                 # once an evaluation, whether for training alone or for testing too
    graphs = []
    f = torch_compile(torch.nn.Flatten())
    for n in range(2, 14): graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"]); f(torch.zeros(n, 2, 2))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] - graphs[0] == 12

@pytest.mark.parametrize("together", ["off", "stack"])
def test_what_is_compiled_for_testing_sees_the_same(together, data, some, monkeypatch):
    "Trained as ever and tested by compiled code, in portions of which the last is not full: the same accuracy and loss; networks that gain nothing are left alone."
    if not can_compile(): pytest.skip("no C++ compiler")
    torch.compiler.reset()
    monkeypatch.setattr(judge, "padded_chunks", lambda f, x: padded_chunks(f, x, 200))
    nets = ["convnet:width=8", "resnet18_bn:width=8,blocks=1", "vgg11:width=4", "alexnet:width=4", "vit:depth=1,dim=24", "mlp:width=8"]
    judged = lambda: evaluate(some, data, nets, 2, together=together, steps=3, progress=False)
    alone, made, sizes = judged(), [], set()
    monkeypatch.setattr(judge, "TEST_FROM", 1)
    def compiled(net):
        made.append(type(net).__name__)
        f = torch_compile(net)
        return lambda x: (sizes.add(len(x)), f(x))[1]
    monkeypatch.setattr(judge, "torch_compile", compiled)
    close(judged(), alone)
    assert made == ["ConvNet", "ResNet18", "Stack"] and sizes == {200}

def test_a_machine_that_cannot_compile(tmp_path):
    "A compiler that does not work: one warning, and the students of a machine without one; where compiling is demanded, an error."
    code = """
        import warnings
        from dd_nb import evaluate, judge, load_data
        from dd_nb.core import generator
        from dd_nb.distilled import Images
        judge.COMPILE_FROM = judge.TEST_FROM = 1
        data = load_data("digits")
        some = Images.start(data, 1, generator(0), recipe=dict(method="random", data="digits"))
        judged = lambda: evaluate(some, data, ["convnet:width=8", "vgg11:width=4"], 2, epochs=2, together="off", progress=False)[["accuracy", "loss"]]
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            t = judged()
        assert sum("compile = off" in str(w.message) for w in said) == 1 and judge.can_compile()      # runs are named by it
        judge.can_compile = lambda: False
        assert (t - judged()).abs().max().max() < 1e-4
    """
    run = lambda **env: subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, capture_output=True, text=True, timeout=300, env=os.environ | dict(CXX="/bin/false", TORCHINDUCTOR_CACHE_DIR=str(tmp_path/"cache"), DD_NB_RUNS=str(tmp_path)) | env)
    if not can_compile(): pytest.skip("no C++ compiler")
    assert (done := run()).returncode == 0, done.stderr
    assert "InvalidCxxCompiler" in (done := run(DD_NB_COMPILE="on")).stderr and done.returncode
