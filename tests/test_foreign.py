"""Sets that others distilled, in the layouts of their releases, written here without any code of ours: they load, are judged, and nothing in them runs."""
import pickle, subprocess, sys
from dataclasses import replace
from pathlib import Path
import msgpack, numpy as np, pytest, torch
import torch.nn as nn
from PIL import Image
from conftest import DD_NB, run
from dd_nb import beside, evaluate, fair_table, load_data, load_foreign, paired, save_foreign, scores, tune
from dd_nb.core import ArtifactError, DDError, generator
from dd_nb.data import Space
from dd_nb.cli import app
from dd_nb.artifacts.factorized import Factorized, budget
from dd_nb.artifacts.generator import Generator
from dd_nb.distilled import Distilled, Images

@pytest.fixture(scope="module")
def data(): return load_data("digits")

@pytest.fixture(scope="module")
def real(data): return data.sample(2, generator(3)).flatten(0, 1), torch.arange(10).repeat_interleave(2)

TARGETS = torch.eye(10).repeat_interleave(2, 0) - .1 + .02*torch.randn(20, 10, generator=generator(5))

class Hallucinator(nn.Module):
    "As HaBa releases it: valid convolution, scale and shift by pixel, transposed convolution."
    def __init__(self, c_in):
        super().__init__()
        self.enc, self.dec = nn.Conv2d(c_in, 1, 3), nn.ConvTranspose2d(1, 1, 3)
        self.scale, self.shift = nn.Parameter(torch.ones(1, 1, 6, 6)), nn.Parameter(torch.zeros(1, 1, 6, 6))
    def forward(self, x): return self.dec(self.scale*self.enc(x) + self.shift)

def flax_array(x): return msgpack.ExtType(1, msgpack.packb((x.shape, x.dtype.name, x.tobytes()), use_bin_type=True))
def nhwc(x): return np.ascontiguousarray(x.permute(0, 2, 3, 1).numpy())

def dc(to, x, y):
    torch.save({"data": [[torch.zeros_like(x), y], [x.clone(), y]], "accs_all_exps": {"ConvNet": [np.float64(.31), np.float64(.32)]}}, to/"res_DSA_digits_ConvNet_2ipc.pt")
    return to/"res_DSA_digits_ConvNet_2ipc.pt", dict(space="normalised", method="dsa")
def dc_legacy(to, x, y):
    torch.save({"data": [[x, y]], "accs_all_exps": {}}, to/"old.pt", _use_new_zipfile_serialization=False)      # files of 2020
    return to/"old.pt", dict(space="normalised", method="dc")
def mtt(to, x, y):
    torch.save(x, to/"images_best.pt"); torch.save(y, to/"labels_best.pt")
    return to, dict(space="normalised", lr=.02, method="mtt")
def mtt_with_rate(to, x, y):
    torch.save(x, to/"images_5000.pt"); torch.save(y, to/"labels_5000.pt"); torch.save(torch.tensor(.02), to/"lr_5000.pt")
    return to/"images_5000.pt", dict(space="normalised", method="datm")
def haba(to, x, y):
    torch.manual_seed(1)
    torch.save(x, to/"images_900.pt"); torch.save(nn.ModuleList([Hallucinator(1) for _ in range(3)]).state_dict(), to/"styles_900.pt")
    return to/"images_900.pt", dict(space="normalised", lr=.02, method="haba + mtt")
def rcig(to, x, y):
    tree = dict(step=1, params=dict(x_proto=flax_array(nhwc(x*0)), y_proto=flax_array(TARGETS.numpy()), log_temp=flax_array(np.zeros((), np.float32))), opt_state={"0": {}},
                ema_average=dict(x_proto=flax_array(nhwc(x)), y_proto=flax_array(TARGETS.numpy())))
    (to/"checkpoint_10000").write_bytes(msgpack.packb(tree, use_bin_type=True))
    return to/"checkpoint_10000", dict(space="normalised", method="rcig")
def frepo_torch(to, x, y):
    torch.save(dict(syndata_state_dict=dict(x_syn=x, y_syn=TARGETS), step_offset=5, best_val_acc=.3), to/"ckpt.pt")
    return to/"ckpt.pt", dict(space="normalised", method="frepo")
def npz(to, x, y):
    np.savez(to/"set.npz", images=nhwc(x), labels=y.numpy())
    return to/"set.npz", dict(space="normalised")
def eight_bit(to, x, y):
    np.savez(to/"bytes.npz", images=(load_data("digits").space.decode(x)*255).round().to(torch.uint8).numpy(), labels=y.numpy())
    return to/"bytes.npz", {}
def pictures(to, x, y):
    for i, im in enumerate((load_data("digits").space.decode(x)*255).round().to(torch.uint8)):
        (to/str(int(y[i]))).mkdir(exist_ok=True)
        Image.fromarray(im[0].numpy()).save(to/str(int(y[i]))/f"img_{i}.png")
    return to, {}

LAYOUTS = [dc, dc_legacy, mtt, mtt_with_rate, haba, rcig, frepo_torch, npz, eight_bit, pictures]
exact = lambda f: f not in (haba, eight_bit, pictures)

@pytest.mark.parametrize("write", LAYOUTS, ids=lambda f: f.__name__)
def test_a_release_loads_is_judged_and_kept(write, data, real, tmp_path):
    path, said = write(tmp_path, *real)
    d = load_foreign(path, data, **said)
    if exact(write): assert torch.equal(d.images.detach(), real[0])
    elif write is haba: assert (d.bpc, d.n) == (2, 3) and torch.equal(d.bases.detach(), real[0])
    else: assert (d.images.detach() - real[0]).abs().max() < 1/255/data.space.std[0]
    assert d.label_kind == ("soft" if write in (rcig, frepo_torch) else "hard") and d.ipc == 2
    d.save(tmp_path/"kept.safetensors")
    row = evaluate(tmp_path/"kept.safetensors", nets="mlp", seeds=1, epochs=3, **(dict(steps=3) if "student" in d.recipe else {}), progress=False).iloc[0]
    assert row.method == said.get("method", d.recipe["method"]) and 0 <= row.accuracy <= 1
    assert row.lr == pytest.approx(.02 if write in (mtt, mtt_with_rate, haba) else {rcig: 1e-4, frepo_torch: 3e-4}.get(write, .01))
    assert row.optimizer == ("adam" if write in (rcig, frepo_torch) else "sgd")

@pytest.mark.parametrize("write", [f for f in LAYOUTS if f not in (eight_bit, pictures)], ids=lambda f: f.__name__)
def test_what_the_file_does_not_say_is_asked_for(write, data, real, tmp_path):
    path, said = write(tmp_path, *real)
    with pytest.raises(ArtifactError, match="(?s)does not say in what space its pixels live; values run from .* Say space=.*zca"): load_foreign(path, data, **said | dict(space=None))
    if write in (mtt, haba):
        with pytest.raises(ArtifactError, match="the log does"): load_foreign(path, data, **said | dict(lr=None))
    if write in (rcig, frepo_torch):
        with pytest.raises(ArtifactError, match='Say labels="targets"'): load_foreign(path, data, space="normalised")

def test_whitened_images_are_tested_on_whitened_ones(data, real, tmp_path):
    x = data.with_zca(.1).space.encode(data.space.decode(real[0]))
    torch.save([x, real[1]], tmp_path/"zca.pt")
    right, wrong = (load_foreign(tmp_path/"zca.pt", data, space=s) for s in ("zca", "normalised"))
    assert torch.allclose(right.pictures(), data.space.decode(real[0]), atol=1e-4) and not torch.allclose(wrong.pictures(), data.space.decode(real[0]), atol=.1)
    a, b = (evaluate(d, data, "mlp", 2, epochs=60, progress=False) for d in (right, wrong))
    assert set(a.space) == {"zca"} and set(b.space) == {"meanstd"} and a.accuracy.mean() > b.accuracy.mean()

def test_grey_bases_of_colour_images(data, tmp_path):
    "HaBa's single-channel release: bases of one channel, images of three; its images are those of PyTorch's own layers."
    rgb = replace(data, x_train=data.x_train.expand(-1, 3, -1, -1).contiguous(), x_test=data.x_test.expand(-1, 3, -1, -1).contiguous(), space=Space("meanstd", (.3, .3, .3), (.4, .4, .4)))
    class Grey(nn.Module):
        def __init__(self):
            super().__init__()
            self.enc, self.dec, self.scale, self.shift = nn.Conv2d(1, 3, 3), nn.ConvTranspose2d(3, 3, 3), nn.Parameter(torch.randn(1, 3, 6, 6)), nn.Parameter(torch.randn(1, 3, 6, 6))
    torch.manual_seed(0)
    bases, styles = torch.randn(30, 1, 8, 8), nn.ModuleList([Grey() for _ in range(5)])
    torch.save(bases, tmp_path/"images_best.pt"); torch.save(nn.DataParallel(styles).state_dict(), tmp_path/"weights_best.pt")
    d = load_foreign(tmp_path, rgb, space="normalised", lr="protocol")
    with torch.no_grad(): theirs = torch.stack([s.dec(s.scale*s.enc(bases) + s.shift) for s in styles], 1).flatten(0, 1)
    assert torch.allclose(d.materialize().images, theirs, atol=1e-5) and d.materialize().labels.tolist() == [k for k in range(10) for _ in range(15)]
    assert d.n_floats == 30*64 + sum(p.numel() for p in styles.parameters()) and "student_lr" not in d.recipe

@pytest.mark.parametrize("extra, call", [("optuna", lambda p, d: tune("random", d, trials=1, epochs=1)), ("msgpack", lambda p, d: load_foreign(p, d, space="normalised"))])
def test_what_is_not_installed_is_named(extra, call, data, tmp_path, monkeypatch):
    (tmp_path/"checkpoint_1").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, extra, None)
    with pytest.raises(DDError, match=r"pip install 'dd-nb\[(tune|foreign)\]'"): call(tmp_path/"checkpoint_1", data)

# what runs as it is opened, if anything unpickles it
class Boom:
    def __init__(self, mark): self.mark = mark
    def __reduce__(self): return (Path.touch, (self.mark,))

def evil_dc(to, x, y, boom): torch.save({"data": [[x, y]], "accs_all_exps": boom}, to/"e.pt"); return to/"e.pt"
def evil_legacy(to, x, y, boom): torch.save([x, boom], to/"e.pt", _use_new_zipfile_serialization=False); return to/"e.pt"
def evil_bare(to, x, y, boom): (to/"e.pt").write_bytes(pickle.dumps(boom)); return to/"e.pt"
def evil_labels(to, x, y, boom): torch.save(x, to/"images_best.pt"); torch.save(boom, to/"labels_best.pt"); return to
def evil_rate(to, x, y, boom): torch.save(x, to/"images_1.pt"); torch.save(y, to/"labels_1.pt"); torch.save(boom, to/"lr_1.pt"); return to/"images_1.pt"
def evil_styles(to, x, y, boom): torch.save(x, to/"images_best.pt"); torch.save({"0.enc.weight": boom}, to/"weights_best.pt"); return to
def evil_npz(to, x, y, boom): np.savez(to/"e.npz", images=x.numpy(), labels=np.array([boom], dtype=object)); return to/"e.npz"
def evil_npy(to, x, y, boom): np.save(to/"e.npy", np.array([boom], dtype=object)); return to/"e.npy"
def evil_number(to, x, y, boom):
    "A numpy number of object type, which the maker of numpy's numbers would have to unpickle."
    maker = np.float64(0).__reduce__()[0]
    class Number:
        def __reduce__(self): return (maker, (np.dtype("O"), pickle.dumps(boom)))
    torch.save({"data": [[x, y]], "accs_all_exps": Number()}, to/"e.pt")
    return to/"e.pt"
def evil_flax(to, x, y, boom):
    raw = msgpack.packb(((1,), "object", pickle.dumps(boom)), use_bin_type=True)
    (to/"checkpoint_1").write_bytes(msgpack.packb(dict(params=dict(x_proto=msgpack.ExtType(1, raw), y_proto=msgpack.ExtType(1, raw))), use_bin_type=True))
    return to/"checkpoint_1"
EVIL = [evil_dc, evil_legacy, evil_bare, evil_labels, evil_rate, evil_styles, evil_npz, evil_npy, evil_flax, evil_number]

@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("write", EVIL, ids=lambda f: f.__name__)
def test_a_malicious_file_does_not_run(write, data, real, tmp_path):
    mark = tmp_path/"was-run"
    path = write(tmp_path, *real, Boom(mark))
    if write is not evil_number:
        with pytest.raises(ArtifactError, match="cannot be read|holds arrays|expected a tensor|are not opened"): load_foreign(path, data, space="normalised", lr=.01)
    else:                                                                 # refused, or read without being unpickled
        try: load_foreign(path, data, space="normalised")
        except ArtifactError: pass
    assert not mark.exists()

def test_the_malicious_file_would_run(tmp_path):
    "So that the test above guards something."
    path = evil_bare(tmp_path, None, None, Boom(tmp_path/"was-run"))
    subprocess.run([sys.executable, "-c", "import pickle, sys; sys.path.insert(0, sys.argv[2]); pickle.load(open(sys.argv[1], 'rb'))", str(path), str(Path(__file__).parent)], check=True)
    assert (tmp_path/"was-run").exists()

def here(capsys, *args):
    "A command line in this process, which has torch already: (exit code, stdout, stderr)."
    with pytest.raises(SystemExit) as e: app([*map(str, args)], prog_name="dd-nb")
    return e.value.code, *capsys.readouterr()

def test_from_a_terminal(own_runs, data, real, tmp_path, capsys):
    "A malicious file, a silent one, and the way of a released file to an accuracy and back."
    evil, x = evil_dc(tmp_path, *real, Boom(tmp_path/"was-run")), tmp_path/"x.safetensors"
    p = run(DD_NB, "import", evil, "digits", "--space", "normalised", "-o", x, check=False)       # a process of its own
    assert p.returncode == 1 and p.stderr.startswith("dd-nb: ") and "a pickle can run code" in p.stderr and not (tmp_path/"was-run").exists() and not x.exists()
    path, _ = dc(tmp_path, *real)
    code, _, err = here(capsys, "import", path, "digits", "-o", x)
    assert code == 1 and "does not say in what space" in err and "zca-relative" in err and not x.exists()
    code, _, err = here(capsys, "evaluate", path)
    assert code == 1 and "dd-nb import" in err
    code, out, _ = here(capsys, "import", path, "digits", "--space", "normalised", "--method", "dsa", "-o", x)
    assert code == 0 and f"judge: dd-nb evaluate {x}" in out and Distilled.load(x).recipe["method"] == "dsa"
    assert here(capsys, "export", x, tmp_path/"pictures")[0] == 0 and len(list((tmp_path/"pictures").rglob("*.png"))) == 20
    code, _, err = here(capsys, "export", x, tmp_path/"pictures")
    assert code == 1 and "not empty" in err

def artifacts(data):
    g = lambda n: generator(0, n)
    with torch.no_grad():
        soft = Images.start(data, 2, g("soft"), soft=True, recipe=dict(method="soft", data="digits", student=dict(loss="mse", optimizer="adam", lr=1e-3, steps=9)))
        soft.labels.copy_(TARGETS)
        shares = Images.start(data, 2, g("shares"), soft=True, recipe=dict(method="shares", data="digits"))
        shares.labels.copy_((5*TARGETS).softmax(1))
    return dict(hard=Images.start(data, 2, g("hard"), recipe=dict(method="hard", data="digits", student_lr=.03)), soft=soft, shares=shares, zca=Images.start(data.with_zca(.1), 1, g("zca"), recipe=dict(method="zca", data="digits")),
                factorized=Factorized.start(data, 2, budget(1, 3, data.shape, 10), g("f"), recipe=dict(method="haba", data="digits")), generator=Generator.start(data, 2, g("g"), recipe=dict(method="dim", data="digits"), width=8))

@pytest.mark.parametrize("layout", ["dc", "mtt", "npz", "png"])
@pytest.mark.parametrize("kind", ["hard", "soft", "shares", "zca", "factorized", "generator"])
def test_ours_written_for_others_come_back(kind, layout, data, tmp_path):
    d = artifacts(data)[kind]
    path = save_foreign(d, tmp_path/("out" + {"dc": ".pt", "npz": ".npz"}.get(layout, "")), layout)
    back, full = load_foreign(path, data), d.materialize()
    assert back.ipc == len(full)//10 and back.recipe["method"] == d.recipe["method"] and back.recipe.get("student_lr") == d.recipe.get("student_lr") and back.recipe.get("student") == d.recipe.get("student")
    assert torch.equal(back.labels, full.labels)
    if layout == "png": assert (back.pictures() - d.space.decode(full.images.detach()).cpu()).abs().max() < .51/255
    else: assert torch.equal(back.images.detach(), full.images.detach()) and back.space == d.space
    if layout == "dc":                                                    # as others open it: nothing but torch
        x, y = torch.load(path, weights_only=True)["data"][0]
        assert torch.equal(x, full.images.detach()) and not x.requires_grad and x.untyped_storage().nbytes() == x.numel()*4

def test_a_full_story(data, real, tmp_path, own_runs):
    "Theirs beside ours: one protocol, a paired test, what it cost, scores, and no published figure where the setting is another."
    path, said = dc(tmp_path, *real)
    theirs, ours = load_foreign(path, data, **said), artifacts(data)["soft"]
    table = evaluate({"theirs": theirs, "ours": ours}, data, "mlp", 3, epochs=10, progress=False)
    test = paired(table, "ours", "theirs").iloc[0]
    assert test.pairs == 3 and abs(test.difference - (table[table.artifact == "ours"].accuracy.mean() - table[table.artifact == "theirs"].accuracy.mean())) < 1e-12
    fair = fair_table(table, against="theirs")
    assert list(fair.artifact) == ["theirs", "ours"] and list(fair.labels) == ["hard", "soft"] and list(fair.bytes) == [theirs.n_bytes, ours.n_bytes] and fair.p[1] == test.p
    assert all("no figure on file" in w for w in beside(table).why)
    s = scores(theirs, data, "mlp", 2, "quick", epochs=5, whole_steps=20, progress=False).iloc[0]
    assert s["syn-hard"] == s["syn-any"] and abs(s.HLR - (s["real-hard"] - s["syn-hard"])) < 1e-12 and 0 <= s.LRS <= 1
