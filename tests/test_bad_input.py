"""What a person can get wrong: one clear sentence, and nothing saved is lost. (Bad data files: test_data.py.)"""
import os, subprocess, sys
from pathlib import Path
import numpy as np, pytest, torch
from dd_nb.core import ArtifactError, ConfigError, DDError, IPCError, StoreError, TrainingDiverged, UnknownName
from dd_nb.data import load_data
from dd_nb.loop import distill, distill_iter
from dd_nb.distilled import Distilled
from dd_nb.judge import evaluate, evaluate_iter
from dd_nb.nets import make_net
from dd_nb.store import Run, load_run, runs

TINY = dict(steps=12, net="convnet:width=8", batch_real=8)

@pytest.fixture(scope="module")
def data(): return load_data("digits")

@pytest.fixture
def run(data, tmp_path): return distill("dm", data, root=tmp_path, progress=False, **TINY)

@pytest.mark.parametrize("call, words", [
    (lambda: distill_iter("dmm", "digits"), ["no method 'dmm'", "did you mean 'dm'"]),
    (lambda: distill_iter("dm", "digit"), ["digit", "did you mean 'digits'"]),
    (lambda: distill_iter("dm", "digits", preset="qick"), ["no preset of dm 'qick'", "did you mean 'quick'"]),
    (lambda: distill_iter("dm", "digits", lr_image=1), ["no hyper-parameter of DM 'lr_image'", "did you mean 'lr_img'"]),
    (lambda: distill_iter("dm", "digits", net="convent"), ["no network 'convent'", "did you mean 'convnet'"]),
    (lambda: make_net("resnet", shape=(3, 32, 32), n_classes=10), ["no network 'resnet'", "resnet18"]),
    (lambda: load_run("nothing-like-it"), ["no run 'nothing-like-it'", "Known:"])])
def test_unknown_names_suggest_what_was_meant(call, words, tmp_path, monkeypatch):
    monkeypatch.setenv("DD_NB_RUNS", str(tmp_path))
    with pytest.raises(UnknownName) as e: call()
    assert all(w in str(e.value) for w in words), str(e.value)
    assert not list(tmp_path.iterdir())           # refused before anything was written

@pytest.mark.parametrize("ipc", [0, -1, 1.5, "ten", 10_000])
def test_ipc_that_cannot_be(ipc, data, tmp_path):
    with pytest.raises(IPCError) as e: distill_iter("dm", data, ipc=ipc, root=tmp_path)
    assert "IPC" in str(e.value) and str(ipc) in str(e.value)
    if ipc == 10_000: assert str(data.smallest) in str(e.value) and any(c in str(e.value) for c in data.classes)
    assert not list(tmp_path.iterdir())

@pytest.mark.parametrize("hyper, words", [(dict(lr_img=-1), "lr_img = -1.0 is out of range"), (dict(steps="many"), "steps = 'many' is not an int"),
                                          (dict(start="zeros"), "expected one of real, noise"), (dict(net="convnet:depth=9"), "depth"), (dict(augment="colour"), "colour")])
def test_hyper_parameters_out_of_range(hyper, words, data, tmp_path):
    with pytest.raises(DDError, match="(?i)" + words.replace("(", r"\(")): distill_iter("dm", data, root=tmp_path, **hyper)
    assert not list(tmp_path.iterdir())

def test_nan_keeps_the_last_good_images(data, tmp_path):
    it = distill_iter("dm", data, root=tmp_path, **(TINY | dict(steps=500)))
    for e in it:
        if e.step == 3: break
    it.close()
    good = e.run.distilled.images.detach().clone()
    assert e.run.step == 3
    it = distill_iter("dm", data, root=tmp_path, **(TINY | dict(steps=500)))
    e = next(it)
    with torch.no_grad(): e.distilled.images[0] = float("nan")     # what a too large step size ends in
    with pytest.raises(TrainingDiverged) as err: list(it)
    assert "loss = nan at step 4" in str(err.value) and "lower the step size" in str(err.value) and "images of step 3 are kept" in str(err.value)
    assert torch.equal(e.run.distilled.images, good) and good.isfinite().all()

def test_a_step_size_that_explodes(data, tmp_path):
    with pytest.raises(TrainingDiverged, match="training diverged"): distill("dm", data, root=tmp_path, progress=False, **(TINY | dict(lr_img=1e5, steps=200, momentum=1., net="convnet:width=8,norm=none")))

@pytest.mark.parametrize("harm, words", [
    (lambda b: b[:len(b)//2], "damaged or no safetensors file"), (lambda b: b"", "damaged or no safetensors file"),
    (lambda b: b"PK\x03\x04" + b, "damaged or no safetensors file"), (lambda b: b.replace(b'kind', b'kond', 1), "holds no distilled data set"),
    (lambda b: b.replace(b'\\"images\\"', b'\\"imagez\\"', 1), "did you mean 'images'")])
def test_truncated_or_foreign_artifact(harm, words, run, data, tmp_path):
    bad = tmp_path/"bad.safetensors"
    bad.write_bytes(harm((run.path/"distilled.safetensors").read_bytes()))
    with pytest.raises(DDError, match=words): Distilled.load(bad)
    with pytest.raises(DDError, match=words): evaluate_iter(bad, data)
    assert torch.equal(Distilled.load(run.path/"distilled.safetensors").images, run.distilled.images)

def test_a_pickle_is_not_run(tmp_path):
    class Boom:
        def __reduce__(self): return (Path.touch, (tmp_path/"was-run",))
    torch.save(Boom(), tmp_path/"x.pt")
    with pytest.raises(ArtifactError): Distilled.load(tmp_path/"x.pt")
    assert not (tmp_path/"was-run").exists()

def test_damaged_checkpoint_is_said_and_kept(data, tmp_path):
    it = distill_iter("dm", data, root=tmp_path, **TINY)
    for e in it:
        if e.step == 5: break
    it.close()
    ckpt = e.run.path/"checkpoint.safetensors"
    ckpt.write_bytes(ckpt.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match="checkpoint"): next(distill_iter("dm", data, root=tmp_path, **TINY))
    assert e.run.distilled.images.isfinite().all()                                    # the artifact beside it is whole
    assert runs(tmp_path).state.tolist() == ["damaged"]
    assert list(distill_iter("dm", data, root=tmp_path, resume=False, **TINY))[-1].done   # anew, as the message says

def test_folder_that_cannot_be_written(data, tmp_path):
    (tmp_path/"file").write_text("")
    with pytest.raises(StoreError) as e: next(distill_iter("dm", data, root=tmp_path/"file"/"runs", **TINY))
    assert "cannot write" in str(e.value) and "settings.ini" in str(e.value)

def test_read_only_folder(data, tmp_path):
    "Root may write to any mode, but not to the kernel's own file system."
    (tmp_path/"ro").mkdir(mode=0o555)
    root = Path("/sys/dd_nb_runs") if hasattr(os, "geteuid") and os.geteuid() == 0 else tmp_path/"ro"
    with pytest.raises(StoreError, match="cannot write a run to .*(denied|permitted|[Rr]ead-only)"): next(distill_iter("dm", data, root=root, **TINY))

FULL = """
import resource, signal, sys
from dd_nb.loop import distill_iter
from dd_nb.core import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
it = distill_iter("dm", "digits", ipc=20, root=sys.argv[1], steps=30, net="convnet:width=8", batch_real=8, snapshots=0)
try:
    for e in it:
        if e.step == 5: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))      # from here on the disk takes no larger file
except StoreError as err: print("SAID", err)
"""

def test_full_disk_keeps_what_was_saved(data, tmp_path):
    "The operating system refuses a write in the middle, as on a full disk (here by its limit on the size of files)."
    env = os.environ | dict(DD_NB_CHECKPOINT_SECONDS="0")
    out = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], env=env, capture_output=True, text=True)
    assert "SAID cannot write a checkpoint" in out.stdout and "Nothing saved before is lost" in out.stdout, out.stdout + out.stderr
    run = Run(next(tmp_path.glob("*/config.json")).parent)
    assert run.state == "stopped" and run.step == 5 and run.distilled.images.isfinite().all()
    assert not list(run.path.glob(".*.tmp"))
    hyper = dict(steps=30, net="convnet:width=8", batch_real=8, snapshots=0)
    rest = list(distill_iter("dm", data, ipc=20, root=tmp_path, **hyper))                # space is back: it goes on
    whole = list(distill_iter("dm", data, ipc=20, root=tmp_path/"whole", **hyper))
    assert rest[0].step == 5 and torch.equal(rest[-1].run.distilled.images, whole[-1].run.distilled.images)

def test_artifact_and_data_that_do_not_belong_together(run, tmp_path):
    x = np.zeros((20, 28, 28, 1), np.uint8)
    np.savez(tmp_path/"other.npz", x_train=x, y_train=np.arange(20) % 2, x_test=x, y_test=np.arange(20) % 2)
    with pytest.raises(ArtifactError, match="1x8x8 images of 10 classes, but .* has 1x28x28 and 2"): evaluate(run, f"npz:{tmp_path/'other.npz'}", progress=False)

def test_settings_that_are_wrong(tmp_path, monkeypatch):
    monkeypatch.setenv("DD_NB_DEVICE", "gpu")
    with pytest.raises(ConfigError, match="device = 'gpu'; expected one of"): distill_iter("dm", "digits", root=tmp_path)
