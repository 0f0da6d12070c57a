"""A run that is cut short, however it happens, goes on to the very same images (bit for bit on CPU)."""
import multiprocessing, os, random, signal, subprocess, sys, time
from pathlib import Path
import pytest, torch
from dd_nb.loop import distill, distill_iter
from dd_nb.store import Run

WORKER = Path(__file__).with_name("resume_worker.py")
CASES = {"dm": dict(steps=60, net="convnet:width=16", batch_real=32, augment="color_crop_cutout_scale_rotate"),
         "atom": dict(steps=60, net="convnet:width=16,norm=batch", batch_real=32), "datadam": dict(steps=60, net="convnet:width=16,norm=batch", batch_real=32),
         "dc": dict(steps=20, outer=3, inner=2, net="convnet:width=16", batch_real=32), "dsa": dict(steps=20, outer=3, inner=2, net="convnet:width=16", batch_real=32),
         "mtt": dict(experts=3, max_start=4, span=2, steps=45, syn_steps=4, net="convnet:width=16", expert_images=400, expert_batch=100, batch_syn=7),
         "haba": dict(objective="dsa", options="steps=20;outer=3;inner=2;net=convnet:width=16;batch_real=32", bpc=2, hallucinators=3, adversary="convnet:width=16"),
         "rcig": dict(steps=60, net="convnet:width=8,norm=none,init=lecun,activation=softplus60", batch_real=32, pool=3, reset=12, pool_steps=4, inner_steps=3, adjoint_steps=3, student_steps=40),
         "frepo": dict(steps=60, net="convnet:width=8,norm=quickbatch,norm_first=yes,init=lecun", batch_real=32, pool=3, reset=5, pool_batch=7), "kip": dict(steps=60, kernel="random", loss="ce", draws=2, net="convnet:width=8", batch_real=32),
         "dim": dict(gan_steps=30, steps=30, width=8, batch_gan=32, batch_match=16, lazy=2, pool_nets="convnet:width=8;resnet18_bn:width=4,blocks=1", refresh=7, pool_steps=2, pool_batch=16, precision="float32"),
         "ddoq": dict(codec="local:width=8,steps=24,batch=16,unet=16,unet_steps=24,unet_batch=16,portion=2", teacher="mlp", teacher_steps=300, decode_steps=4, precision="float32"),
         "herding": dict(train_steps=60, net="convnet:width=16"), "kcenter": dict(train_steps=60, net="convnet:width=16"), "random": {}}

KILLS = {"ddoq": [5, 16, 28, 50]}    # while its autoencoder is trained, latents are encoded, its denoiser is trained, images are decoded

@pytest.fixture(scope="module")
def fork():
    "Starts a worker process as a fork of one that has loaded everything: dozens are killed here, and loading torch takes longer than what they do."
    import resume_worker
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["resume_worker"])
    def start(method, root):
        p = context.Process(target=resume_worker.work, args=(method, str(root), dict(CASES[method], ipc=2), torch.get_num_threads()))
        p.start()
        p.poll = lambda: p.exitcode                  # as a Popen
        return p
    with pytest.MonkeyPatch.context() as m:          # the server's own path, with this folder
        m.setenv("PYTHONPATH", os.pathsep.join(p for p in sys.path if p))
        context.Process(target=os.getpid).start()
    return start

def start(method, root, ipc=2):
    "A worker process from nothing."
    env = os.environ | dict(DD_NB_CHECKPOINT_SECONDS="0", OMP_NUM_THREADS=str(torch.get_num_threads()))
    return subprocess.Popen([sys.executable, WORKER, method, str(root), f"ipc={ipc}", *(f"{k}={v}" for k, v in CASES[method].items())], env=env, stderr=subprocess.PIPE, text=True)

def only_run(root): return Run(next(p.parent for p in Path(root).glob("*/config.json")))

def wait_for_step(proc, root, step, seconds=120):
    "Wait until the run has logged `step` steps, or the process has ended."
    end = time.time() + seconds
    while time.time() < end and proc.poll() is None:
        logs = list(Path(root).glob("*/metrics.jsonl"))
        if logs and logs[0].read_text().count("\n") >= step: return
        time.sleep(.002)

def same(a, b):
    "Whether two runs went and ended alike, to the last bit: images, losses, soft labels along the way (a resumed run keeps some more of those)."
    x, y = dict(a.labels()), dict(b.labels())
    return (all(torch.equal(x, y) for x, y in zip(a.distilled.state_dict().values(), b.distilled.state_dict().values())) and a.metrics.drop(columns="seconds").equals(b.metrics.drop(columns="seconds"))
            and x.keys() >= y.keys() and all(torch.equal(x[s], v) for s, v in y.items()))

@pytest.mark.parametrize("method", ["dm", "herding", "atom", "datadam", "dc", "dsa", "mtt", "haba", "rcig", "frepo", "kip", "dim", "ddoq"])
def test_sigkill_at_random_steps(method, tmp_path, fork):
    whole = distill(method, "digits", ipc=2, root=tmp_path/"whole", progress=False, **CASES[method])
    rng, kills = random.Random(0), 0
    for at in KILLS.get(method) or sorted(rng.sample(range(2, 55), 4)):
        proc = fork(method, tmp_path/"cut")
        wait_for_step(proc, tmp_path/"cut", at)
        time.sleep(rng.random()*.02)                 # anywhere within a step or a write
        kills += proc.poll() is None
        proc.kill()
        proc.join()
        cut = only_run(tmp_path/"cut")
        assert cut.distilled.ipc == 2                # what is stored can be read at any time
    assert kills >= 3, "the worker ended before it was killed; the test would prove nothing"
    assert 0 < cut.step < cut.steps
    resumed = distill(method, "digits", ipc=2, root=tmp_path/"cut", progress=False, **CASES[method])
    assert resumed.name == whole.name and same(resumed, whole)
    assert not list(resumed.path.glob("**/.*.tmp")), "half-written files were left behind"

def test_kill_while_latents_are_written(tmp_path):
    "Encoding goes on at the batch where it was cut, within one share, to the same file."
    from dd_nb.data import load_data
    from dd_nb.methods.codecs import Latents, codec_plan
    def latents(root):
        data = load_data("digits")
        codec = codec_plan("identity").open(data)
        codec.batch = 4                                  # many small writes, so that a kill meets one
        return Latents(root, codec, data)
    whole = latents(tmp_path/"whole")
    whole.advance(whole.n)
    code = f"from dd_nb.data import load_data; from dd_nb.methods.codecs import *; data = load_data('digits'); c = codec_plan('identity').open(data); c.batch = 4; Latents({str(tmp_path/'cut')!r}, c, data).advance(10**6)"
    cut, seen = latents(tmp_path/"cut"), []
    for at in (100, 500, 900):
        proc = subprocess.Popen([sys.executable, "-c", code], env=os.environ | dict(DD_NB_CHECKPOINT_SECONDS="0"))
        while proc.poll() is None and cut.done < at: time.sleep(.001)
        proc.send_signal(signal.SIGKILL)
        proc.wait()
        seen.append(cut.done)
    assert 0 < seen[0] < seen[1] < seen[2] < whole.n, "the worker ended before it was killed; the test would prove nothing"
    cut.advance(cut.n)
    assert cut.folder.name == whole.folder.name and (cut.folder/"latents.bin").read_bytes() == (whole.folder/"latents.bin").read_bytes()

def test_ctrl_c_stops_between_steps(tmp_path):
    whole = distill("dm", "digits", ipc=2, root=tmp_path/"whole", progress=False, **CASES["dm"])
    proc = start("dm", tmp_path/"cut")
    wait_for_step(proc, tmp_path/"cut", 10)
    proc.send_signal(signal.SIGINT)
    _, err = proc.communicate(timeout=60)
    cut = only_run(tmp_path/"cut")
    assert proc.returncode != 0 and "the same call goes on from there" in err
    assert cut.state == "stopped" and 0 < cut.step < cut.steps
    assert same(distill("dm", "digits", ipc=2, root=tmp_path/"cut", progress=False, **CASES["dm"]), whole)

def test_closed_kernel(tmp_path):
    "Jupyter ends a kernel with SIGTERM, then SIGKILL; a thread at work gets no chance to tidy up."
    from jupyter_client.manager import start_new_kernel
    km, kc = start_new_kernel(kernel_name="python3", env=os.environ | dict(DD_NB_CHECKPOINT_SECONDS="0", OMP_NUM_THREADS=str(torch.get_num_threads())))
    args = ", ".join(f"{k}={v!r}" for k, v in CASES["dm"].items())
    kc.execute(f"from dd_nb.loop import distill; import threading; threading.Thread(target=lambda: distill('dm', 'digits', ipc=2, root={str(tmp_path/'cut')!r}, progress=False, {args})).start()")
    class Kernel:
        def poll(self): return None if km.is_alive() else 0
    wait_for_step(Kernel(), tmp_path/"cut", 10)
    kc.stop_channels(); km.shutdown_kernel(now=True)
    cut = only_run(tmp_path/"cut")
    assert cut.state == "stopped" and 0 < cut.step < cut.steps
    whole = distill("dm", "digits", ipc=2, root=tmp_path/"whole", progress=False, **CASES["dm"])
    assert same(distill("dm", "digits", ipc=2, root=tmp_path/"cut", progress=False, **CASES["dm"]), whole)

def test_two_writers_are_refused(tmp_path):
    from dd_nb.core import RunBusy
    it = distill_iter("dm", "digits", root=tmp_path, **CASES["dm"])
    next(it)
    with pytest.raises(RunBusy, match="being worked on by another"): next(distill_iter("dm", "digits", root=tmp_path, **CASES["dm"]))
    it.close()
