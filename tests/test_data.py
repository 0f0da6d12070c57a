"""Data sets in their original formats, image folders, arrays: what is read, what is refused and how it is said, what is sampled and whitened."""
import gzip, hashlib, json, os, pickle, socket, struct, tarfile, time, urllib.error, urllib.request, warnings
from pathlib import Path
import numpy as np
import pytest
import torch
import torchvision.datasets as D
from PIL import Image
from dd_nb.core import ConfigError, DamagedData, DataError, IPCError, MissingData, StoreError, UnknownName, generator
from dd_nb import data as module
from dd_nb.data import ImageData, Space, cache_folder, check_ipc, find_images, fit_zca, list_data, load_data, register_data
from dd_nb.settings import settings

REAL = settings().data                       # where a developer's own data are, before the tests take another folder
rng = np.random.default_rng(0)
def pixels(*shape): return rng.integers(0, 256, shape, np.uint8)
def md5(file): return hashlib.md5(Path(file).read_bytes()).hexdigest()

@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    "An empty data folder, downloads off; and no test may reach a network."
    monkeypatch.setenv("DD_NB_DATA", str(tmp_path/"data"))
    monkeypatch.setenv("DD_NB_DOWNLOAD", "false")
    def off(*a, **k): raise urllib.error.URLError("no network in tests")
    monkeypatch.setattr(urllib.request, "urlopen", off)
    (tmp_path/"data").mkdir()
    return tmp_path/"data"

# ---- small files in the original formats

def idx(file, a): file.parent.mkdir(parents=True, exist_ok=True); file.write_bytes(struct.pack(">HBB" + "I"*a.ndim, 0, 8, a.ndim, *a.shape) + a.tobytes())

def write_mnist(root, name="MNIST", n=20, m=10):
    x, y = [pixels(k, 28, 28) for k in (n, m)], [np.arange(k, dtype=np.uint8) % 10 for k in (n, m)]
    for part, a, b in zip(("train", "t10k"), x, y):
        idx(root/name/"raw"/f"{part}-images-idx3-ubyte", a)
        idx(root/name/"raw"/f"{part}-labels-idx1-ubyte", b)
    return x, y

def write_cifar(root, monkeypatch, cls, classes):
    "Pickled batches as the originals; torchvision's checksums follow."
    folder, key = root/cls.base_folder, "fine_labels" if classes == 100 else "labels"
    folder.mkdir(parents=True)
    def put(file, d): (folder/file).write_bytes(pickle.dumps(d, protocol=2)); return [file, md5(folder/file)]
    made, lists = {}, {}
    for which in ("train_list", "test_list"):
        lists[which] = []
        for file, _ in getattr(cls, which):
            made[file] = pixels(100, 3072), list(range(100)) if classes == 100 else [i % 10 for i in range(100)]
            lists[which].append(put(file, {"data": made[file][0], key: made[file][1]}))
        monkeypatch.setattr(cls, which, lists[which])
    meta = put(cls.meta["filename"], {cls.meta["key"]: [f"class {i}" for i in range(classes)]})
    monkeypatch.setattr(cls, "meta", cls.meta | dict(md5=meta[1]))
    return made

def write_svhn(root, monkeypatch):
    from scipy.io import savemat
    x, y, table = {}, {}, dict(D.SVHN.split_list)
    for part, n in (("train", 30), ("test", 20)):
        x[part], y[part] = pixels(32, 32, 3, n), (np.arange(n) % 10 + 1).astype(np.uint8)[:, None]      # 10 stands for the digit 0
        savemat(root/f"{part}_32x32.mat", dict(X=x[part], y=y[part]))
        table[part] = [*table[part][:2], md5(root/f"{part}_32x32.mat")]
    monkeypatch.setattr(D.SVHN, "split_list", table)
    return x, y

def jpeg(file, w=8, h=8, colour=None, mode="RGB"):
    file.parent.mkdir(parents=True, exist_ok=True)
    a = np.full((h, w, 3), colour, np.uint8) if colour is not None else pixels(h, w, 3)
    Image.fromarray(a).convert(mode).save(file, **(dict(format="JPEG", quality=95) if file.suffix.lower() in (".jpg", ".jpeg") else {}))

def write_tiny(root, n=3):
    "Two classes; the validation list names them in another order than the training folders."
    folder = root/"tiny-imagenet-200"
    for k, w in enumerate(("n01443537", "n02012849")):
        for i in range(n): jpeg(folder/"train"/w/"images"/f"{w}_{i}.JPEG", 64, 64, 100*k + 20*i)
        (folder/"train"/w/f"{w}_boxes.txt").write_text("x\n")
    lines = []
    for i, w in enumerate(("n02012849", "n01443537", "n02012849")):
        jpeg(folder/"val"/"images"/f"val_{i}.JPEG", 64, 64, 200 + 10*i)
        lines.append(f"val_{i}.JPEG\t{w}\t0\t0\t62\t62\n")
    (folder/"val"/"val_annotations.txt").write_text("".join(lines))
    (folder/"test"/"images").mkdir(parents=True)
    (folder/"words.txt").write_text("n00000000\tnothing\nn01443537\tgoldfish, Carassius auratus\nn02012849\tcrane\n")
    return folder

def write_classes(folder, n=5, size=8, classes=("cat", "dog"), kind="png", mode="RGB"):
    for c in classes:
        for i in range(n): jpeg(folder/c/f"{i}.{kind}", size, size, mode=mode)
    return folder

# ---- readers

@pytest.mark.parametrize("name,reader,flip", [("mnist", "MNIST", False), ("fashion_mnist", "FashionMNIST", True)])
def test_mnist_format(name, reader, flip, root):
    (x, xt), (y, yt) = write_mnist(root, reader)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        d = load_data(name)
    assert (d.shape, d.n_classes, d.flip, len(d.y_test)) == ((1, 28, 28), 10, flip, 10)
    assert np.array_equal(d.x_train[:, 0].numpy(), x) and np.array_equal(d.y_test.numpy(), yt) and d.y_train.dtype == torch.int64
    assert d.space == Space("meanstd", (.1307,), (.3081,)) if name == "mnist" else Space("meanstd", (.2861,), (.3530,))

@pytest.mark.parametrize("name,cls,classes", [("cifar10", D.CIFAR10, 10), ("cifar100", D.CIFAR100, 100)])
def test_cifar_format(name, cls, classes, root, monkeypatch):
    made = write_cifar(root, monkeypatch, cls, classes)
    d = load_data(name)
    first, test = (getattr(cls, k)[0][0] for k in ("train_list", "test_list"))
    assert (d.shape, d.n_classes, d.classes[3], d.flip) == ((3, 32, 32), classes, "class 3", True)
    assert np.array_equal(d.x_train[:100].flatten(1).numpy(), made[first][0]) and d.y_test.tolist() == made[test][1]
    assert len(d.y_train) == 100*len(cls.train_list)

def test_svhn_format(root, monkeypatch):
    x, y = write_svhn(root, monkeypatch)
    d = load_data("svhn")
    assert (d.shape, len(d.y_train), len(d.y_test), d.flip, d.classes) == ((3, 32, 32), 30, 20, False, [str(i) for i in range(10)])
    assert np.array_equal(d.x_train[7].numpy(), x["train"][..., 7].transpose(2, 0, 1)) and d.y_train.tolist() == (y["train"][:, 0] % 10).tolist()

def test_tiny_imagenet_format(root):
    write_tiny(root)
    d = load_data("tiny_imagenet")
    assert (d.shape, d.counts.tolist(), d.classes, d.mapped, d.flip) == ((3, 64, 64), [3, 3], ["goldfish", "crane"], True, True)
    assert d.y_test.tolist() == [0, 1, 1]                                              # by the list, not by file order
    assert [round(v) for v in d.x_test.float().mean((1, 2, 3)).tolist()] == [210, 200, 220]
    assert d.x_train.float().mean((1, 2, 3)).round().tolist() == [0, 20, 40, 100, 120, 140]

@pytest.mark.parametrize("name,wnid,word", [("imagenette", "n02979186", "cassette player"), ("imagewoof", "n02105641", "Old English sheepdog")])
def test_fastai_folders(name, wnid, word, root):
    for part in ("train", "val"):
        for i, (w, h) in enumerate(((160, 200), (213, 160))): jpeg(root/f"{name}2-160"/part/wnid/f"{i}.JPEG", w, h)
    d = load_data(name)
    assert (d.shape, d.classes, len(d.y_train), len(d.y_test)) == ((3, 128, 128), [word], 2, 2)
    assert load_data(name, size=32).shape == (3, 32, 32)

def test_all_names_are_listed():
    assert {"digits", "mnist", "fashion_mnist", "svhn", "cifar10", "cifar100", "tiny_imagenet", "imagenette", "imagewoof"} <= {*list_data()}
    assert list_data("cifar*") == ["cifar10", "cifar100"]
    with pytest.raises(UnknownName, match="did you mean 'cifar10' or 'cifar100'.*folder:PATH"): load_data("cifar")

def test_digits_are_always_the_same():
    a, b = load_data("digits"), load_data("digits")
    assert torch.equal(a.x_train, b.x_train) and a.x_train.max() == 255 and (len(a.y_train), len(a.y_test)) == (1437, 360)
    assert (a.y_test.bincount() - 36).abs().max() <= 1 and not a.flip                   # stratified

# ---- what is absent or damaged

ALL = ("mnist", "fashion_mnist", "svhn", "cifar10", "cifar100", "tiny_imagenet", "imagenette", "imagewoof")
@pytest.mark.parametrize("name", ALL)
def test_missing(name, root):
    with pytest.raises(MissingData, match="downloads are off") as e: load_data(name)
    assert all(w in str(e.value) for w in (name, str(root), "settings.ini", "DD_NB_DATA", "allow downloads")) and not any(root.iterdir())

@pytest.mark.parametrize("name", ALL)
def test_download_that_fails_is_one_sentence_and_leaves_nothing(name, root):
    before, patience = time.time(), socket.getdefaulttimeout()
    with pytest.raises(MissingData, match=r"downloading failed \(no network in tests\)") as e: load_data(name, download=True)
    assert "\n" not in str(e.value) and e.value.__cause__ is None and e.value.__suppress_context__
    assert not any(root.iterdir()) and time.time() - before < 10 and socket.getdefaulttimeout() == patience

def test_another_folder_wins(tmp_path):
    write_mnist(tmp_path/"mine")
    assert len(load_data("mnist", folder=tmp_path/"mine").y_train) == 20
    with pytest.raises(MissingData, match="yours"): load_data("mnist", folder=tmp_path/"yours")

def test_one_absent_file_is_named(root, monkeypatch):
    write_cifar(root, monkeypatch, D.CIFAR10, 10)
    (root/"cifar-10-batches-py"/"data_batch_3").unlink()
    with pytest.raises(MissingData, match=r"no cifar-10-batches-py/data_batch_3\)"): load_data("cifar10")
    with pytest.raises(MissingData, match="downloading failed"): load_data("cifar10", download=True)
    assert len(list((root/"cifar-10-batches-py").iterdir())) == 6                        # the others are untouched

@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte", "t10k-images-idx3-ubyte"])
@pytest.mark.parametrize("left", [0, 3, 40])
def test_truncated_idx_is_named_and_kept(file, left, root):
    write_mnist(root, n=50, m=50)
    bad = root/"MNIST"/"raw"/file
    bad.write_bytes(bad.read_bytes()[:left])
    for download in (False, True):
        with pytest.raises(DamagedData, match=f"{file} is damaged or incomplete.*delete it and load again"): load_data("mnist", download=download)
    assert bad.stat().st_size == left

@pytest.mark.parametrize("file", ["data_batch_4", "test_batch", "batches.meta"])
def test_changed_pickle_is_named_and_kept(file, root, monkeypatch):
    write_cifar(root, monkeypatch, D.CIFAR10, 10)
    bad = root/"cifar-10-batches-py"/file
    bad.write_bytes(bad.read_bytes()[:-9])
    size = bad.stat().st_size
    with pytest.raises(DamagedData, match=f"{file} is damaged or incomplete .its md5"): load_data("cifar10", download=True)
    assert bad.stat().st_size == size

def test_truncated_mat_is_named(root, monkeypatch):
    write_svhn(root, monkeypatch)
    bad = root/"test_32x32.mat"
    bad.write_bytes(bad.read_bytes()[:500])
    with pytest.raises(DamagedData, match="test_32x32.mat is damaged"): load_data("svhn")
    table = dict(D.SVHN.split_list)                                                      # and one that is whole by its md5, but no .mat
    table["test"] = [*table["test"][:2], md5(bad)]
    monkeypatch.setattr(D.SVHN, "split_list", table)
    with pytest.raises(DamagedData): load_data("svhn")

def test_labels_that_do_not_fit_are_refused(root):
    write_mnist(root)
    idx(root/"MNIST"/"raw"/"train-labels-idx1-ubyte", np.arange(7, dtype=np.uint8))
    with pytest.raises(DataError, match="20 training images, but labels of shape"): load_data("mnist")
    idx(root/"MNIST"/"raw"/"train-labels-idx1-ubyte", np.arange(20, dtype=np.uint8))
    with pytest.raises(DataError, match="training labels run from 0 to 19; expected 0 to 9"): load_data("mnist")

def test_archives_put_there_by_hand_need_no_network(root, monkeypatch, tmp_path):
    write_mnist(tmp_path/"away")
    raw = root/"MNIST"/"raw"
    raw.mkdir(parents=True)
    sums = []
    for f, _ in D.MNIST.resources:
        (raw/f).write_bytes(gzip.compress((tmp_path/"away"/"MNIST"/"raw"/f[:-3]).read_bytes()))
        sums.append((f, md5(raw/f)))
    monkeypatch.setattr(D.MNIST, "resources", sums)
    assert len(load_data("mnist").y_train) == 20 and (raw/"train-images-idx3-ubyte").is_file()
    assert all(md5(raw/f) == s for f, s in sums) and [p.name for p in root.iterdir()] == ["MNIST"]

    write_cifar(tmp_path/"away", monkeypatch, D.CIFAR10, 10)
    with tarfile.open(root/"cifar-10-python.tar.gz", "w:gz") as t: t.add(tmp_path/"away"/"cifar-10-batches-py", "cifar-10-batches-py")
    with pytest.raises(DamagedData, match="cifar-10-python.tar.gz is damaged"): load_data("cifar10")
    monkeypatch.setattr(D.CIFAR10, "tgz_md5", md5(root/"cifar-10-python.tar.gz"))
    assert len(load_data("cifar10").y_train) == 500

    with tarfile.open(root/"imagewoof2-160.tgz", "w:gz") as t:
        for part in ("train", "val"):
            jpeg(tmp_path/"away"/"imagewoof2-160"/part/"n02115641"/"a.JPEG", 160, 170)
        t.add(tmp_path/"away"/"imagewoof2-160", "imagewoof2-160")
    assert load_data("imagewoof").classes == ["dingo"]

    (root/"imagewoof2-160").rename(tmp_path/"woof")
    whole = (root/"imagewoof2-160.tgz").read_bytes()
    with tarfile.open(root/"other.tgz", "w:gz") as t: t.add(tmp_path/"woof", "another name")
    for bad in (whole[:len(whole)//2], b"text", (root/"other.tgz").read_bytes()):
        (root/"imagewoof2-160.tgz").write_bytes(bad)
        with pytest.raises(DamagedData, match="imagewoof2-160.tgz is damaged"): load_data("imagewoof", download=True)
        assert (root/"imagewoof2-160.tgz").read_bytes() == bad and not (root/"imagewoof2-160").exists()
    (root/"imagenette2-160.tgz").write_bytes(b"half")
    with pytest.raises(DamagedData, match="imagenette2-160.tgz is damaged"): load_data("imagenette")
    assert (root/"imagenette2-160.tgz").read_bytes() == b"half" and not [*root.glob(".download-*")]

def test_tiny_imagenet_incomplete(root):
    folder = write_tiny(root)
    (folder/"val"/"images"/"val_1.JPEG").unlink()
    with pytest.raises(DamagedData, match="val_1.JPEG is damaged or incomplete .1 files are missing"): load_data("tiny_imagenet")
    (folder/"val"/"val_annotations.txt").unlink()
    with pytest.raises(DamagedData, match="no val/val_annotations.txt"): load_data("tiny_imagenet")

# ---- image folders

def test_folder_with_splits(tmp_path):
    write_classes(tmp_path/"p"/"train", 4)
    write_classes(tmp_path/"p"/"val", 2)
    (tmp_path/"p"/"train"/"cat"/"._0.png").write_bytes(b"a file manager's")
    (tmp_path/"p"/"train"/"cat"/"notes.txt").write_text("no image")
    d = load_data(f"folder:{tmp_path/'p'}")
    assert (d.counts.tolist(), d.y_test.tolist(), d.classes, d.shape, d.mapped) == ([4, 4], [0, 0, 1, 1], ["cat", "dog"], (3, 8, 8), True)
    assert torch.equal(d.x_test[2], torch.tensor(np.asarray(Image.open(tmp_path/"p"/"val"/"dog"/"0.png"))).permute(2, 0, 1))
    x = d.get("train", slice(None))
    assert x.mean((0, 2, 3)).abs().max() < 1e-4 and (x.std((0, 2, 3)) - 1).abs().max() < 1e-2      # statistics of the training images

@pytest.mark.parametrize("inside", ["", "train"])
def test_folder_without_test_part_is_split_for_good(inside, tmp_path):
    write_classes(tmp_path/"p"/inside, 10)
    a, b = find_images(tmp_path/"p")
    assert {c: (len(a[c]), len(b[c])) for c in a} == dict(cat=(8, 2), dog=(8, 2)) and not {*a["cat"]} & {*b["cat"]}
    assert (a, b) == find_images(tmp_path/"p")
    assert len(load_data(f"folder:{tmp_path/'p'}").y_test) == 4

def test_cache_is_read_once_and_follows_the_folder(tmp_path, root, monkeypatch):
    p = write_classes(tmp_path/"p")
    reads = []
    decode = module._decode
    monkeypatch.setattr(module, "_decode", lambda *a: reads.append(a) or decode(*a))
    a = load_data(f"folder:{p}")
    assert len(reads) == 10 and torch.equal(load_data(f"folder:{p}").x_train, a.x_train) and len(reads) == 10
    files = {f.name for f in (root/"cache").iterdir()}
    assert len(files) == 2 and not any(f.endswith(".tmp") for f in files)
    file = Path(find_images(p)[0]["dog"][0])
    jpeg(file, 8, 8, 7)
    b = load_data(f"folder:{p}")
    assert (b.x_train[4] == 7).all() and len(reads) == 20
    assert len([*(root/"cache").iterdir()]) == 2 and not files & {f.name for f in (root/"cache").iterdir()}     # the old state is gone
    load_data(f"folder:{p}@4")
    load_data(f"folder:{p}")
    assert len(reads) == 30 and len([*(root/"cache").iterdir()]) == 4                                           # a size is a cache of its own

def test_a_change_of_equal_length_is_seen(tmp_path):
    p = write_classes(tmp_path/"p", kind="bmp")
    load_data(f"folder:{p}")
    for f in p.rglob("*.bmp"): jpeg(f, 8, 8, 9)
    assert (load_data(f"folder:{p}").x_train == 9).all()

def test_damaged_cache_is_made_again(tmp_path, root):
    p = write_classes(tmp_path/"p")
    want = load_data(f"folder:{p}").x_train.clone()
    for kind in ("*.npy", "*.json"):
        bad = next((root/"cache").glob(kind))
        bad.write_bytes(bad.read_bytes()[:60])
        assert torch.equal(load_data(f"folder:{p}").x_train, want)

def test_interrupted_reading_leaves_nothing(tmp_path, root, monkeypatch):
    p = write_classes(tmp_path/"p")
    def stop(*a): raise KeyboardInterrupt
    monkeypatch.setattr(module, "_decode", stop)
    with pytest.raises(KeyboardInterrupt): load_data(f"folder:{p}")
    assert not [*(root/"cache").iterdir()]
    monkeypatch.undo()

def test_memory_map_makes_no_warning_and_cannot_change_the_cache(tmp_path, root):
    p = write_classes(tmp_path/"p")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        d = load_data(f"folder:{p}")
        d.get("train", torch.tensor([3, 1])), d.sample(2, generator(0)), d.subset(1, generator(0))
    before = d.x_train.clone()
    d.x_train[0] = 0
    assert torch.equal(load_data(f"folder:{p}").x_train, before)

def test_mixed_sizes(tmp_path):
    p = write_classes(tmp_path/"p")
    jpeg(p/"cat"/"wide.png", 20, 10)
    jpeg(p/"dog"/"big.jpg", 30, 30)
    with pytest.raises(DataError) as e: load_data(f"folder:{p}")
    for words in ("8 x 8: 10, e.g. cat/0.png", "20 x 10: 1, e.g. cat/wide.png", "30 x 30: 1, e.g. dog/big.jpg", f"folder:{p}@64"): assert words in str(e.value)
    assert load_data(f"folder:{p}@6").shape == (3, 6, 6) and load_data(f"folder:{p}", size=6).shape == (3, 6, 6)

def test_resize_keeps_the_middle(tmp_path):
    a = np.zeros((10, 30, 3), np.uint8)
    a[:, 10:20] = 255                                                            # the middle third is white
    for i in range(2):
        (tmp_path/"p"/"c").mkdir(parents=True, exist_ok=True)
        Image.fromarray(a).save(tmp_path/"p"/"c"/f"{i}.png")
    d = load_data(f"folder:{tmp_path/'p'}@10")
    assert (d.x_train == 255).all()

def test_grey_and_colour(tmp_path):
    write_classes(tmp_path/"grey", mode="L")
    assert load_data(f"folder:{tmp_path/'grey'}").shape == (1, 8, 8)
    jpeg(tmp_path/"grey"/"cat"/"red.png", colour=(200, 0, 0))
    d = load_data(f"folder:{tmp_path/'grey'}")
    assert d.shape == (3, 8, 8)
    deep = tmp_path/"deep"/"c"
    deep.mkdir(parents=True)
    for i in range(2): Image.fromarray(np.full((8, 8), 128*256 + 5, np.uint16)).save(deep/f"{i}.png")
    assert load_data(f"folder:{tmp_path/'deep'}").x_train.unique().tolist() == [128]            # 16 bits a pixel

def test_unreadable_images_are_counted(tmp_path, root):
    p = write_classes(tmp_path/"p", 5, 32, kind="jpg")
    for c in ("cat", "dog"):
        whole = (p/c/"0.jpg").read_bytes()
        (p/c/"0.jpg").write_bytes(whole[:len(whole)//2])                                          # the head is fine, the rest is not there
    with pytest.raises(DamagedData) as e: load_data(f"folder:{p}")
    assert f"2 of 10 images in {p} cannot be read, the first: {p/'cat'/'0.jpg'}" in str(e.value) and "Remove or replace them" in str(e.value) and not [*(root/"cache").iterdir()]
    (p/"cat"/"0.jpg").write_bytes(b"no image at all")
    with pytest.raises(DamagedData, match="1 of 10 images .* cannot be read, the first: .*cat/0.jpg"): load_data(f"folder:{p}")

@pytest.mark.parametrize("make,error,words", [
    (lambda p: None, MissingData, "no folder .*expected one with train/"),
    (lambda p: p.mkdir(), DataError, "has no class folders"),
    (lambda p: jpeg(p/"a.png"), DataError, "has no class folders"),
    (lambda p: (write_classes(p), (p/"empty").mkdir()), DataError, "class folder 'empty' .* holds no images"),
    (lambda p: write_classes(p, 1), DataError, "gives no test images"),
    (lambda p: (write_classes(p/"train"), write_classes(p/"test", classes=("cow",))), DataError, "classes without training images: cow")])
def test_folders_that_cannot_be(make, error, words, tmp_path):
    make(tmp_path/"p")
    with pytest.raises(error, match=words): load_data(f"folder:{tmp_path/'p'}")

def test_sizes_that_cannot_be(tmp_path, root):
    p = write_classes(tmp_path/"p")
    write_mnist(root)
    for name, size in ((f"folder:{p}@0", None), (f"folder:{p}", 0), (f"folder:{p}", 2.5)):
        with pytest.raises(ConfigError, match="expected pixels"): load_data(name, size=size)
    with pytest.raises(ConfigError, match="mnist comes as 28 x 28; size = 32 is for image folders only"): load_data("mnist", size=32)
    write_classes(tmp_path/"pics@2")
    assert load_data(f"folder:{tmp_path}/pics@2").shape == (3, 8, 8)                  # a folder of that very name

def test_full_disk_is_said_before_decoding(tmp_path, monkeypatch):
    p = write_classes(tmp_path/"p")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("", (), dict(free=100)))
    with pytest.raises(StoreError, match="are needed"): load_data(f"folder:{p}")

def test_read_only_data_folder(tmp_path, root, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path/"home"))
    p = write_classes(tmp_path/"p")
    access = os.access                                                                # root may write everywhere, so the answer is made
    monkeypatch.setattr(os, "access", lambda f, how: False if Path(f) == root and how == os.W_OK else access(f, how))
    assert cache_folder() == tmp_path/"home"/"dd_nb" and load_data(f"folder:{p}").shape == (3, 8, 8)

def test_subset_of_a_memory_map_is_one(tmp_path, root):
    d = load_data(f"folder:{write_classes(tmp_path/'p', 10)}")
    a, b = d.subset(.25, generator(0))
    assert a.mapped and b.mapped and (a.counts.tolist(), b.counts.tolist()) == ([2, 2], [6, 6])
    both = torch.cat([a.x_train, b.x_train]).flatten(1).long()
    order = lambda x: sorted(map(tuple, x.tolist()))
    assert order(both) == order(d.x_train.flatten(1).long()) and len([*(root/"cache").iterdir()]) == 2

# ---- arrays

def arrays(tmp_path, **changes):
    a = dict(x_train=pixels(6, 9, 9, 3), y_train=np.array([0, 1, 2]*2), x_test=pixels(3, 9, 9, 3), y_test=np.array([0, 1, 2])) | changes
    np.savez(tmp_path/"a.npz", **{k: v for k, v in a.items() if v is not None})
    return f"npz:{tmp_path/'a.npz'}", a

def test_npz(tmp_path):
    name, a = arrays(tmp_path, classes=np.array(["x", "y", "z"]))
    d = load_data(name)
    assert (d.shape, d.classes, d.counts.tolist(), d.mapped) == ((3, 9, 9), ["x", "y", "z"], [2, 2, 2], False)
    assert np.array_equal(d.x_train.permute(0, 2, 3, 1).numpy(), a["x_train"])
    name, _ = arrays(tmp_path, x_train=pixels(6, 9, 9), x_test=pixels(3, 9, 9), y_train=np.array([[0], [1], [2]]*2, np.uint8))
    assert (load_data(name).shape, load_data(name).classes, load_data(name).y_train.tolist()) == ((1, 9, 9), ["0", "1", "2"], [0, 1, 2]*2)

@pytest.mark.parametrize("changes,words", [
    (dict(y_test=None), "lacks y_test"), (dict(x_train=np.zeros((6, 9, 9, 3))), "x_train .* is float64 of 4 dimensions; expected uint8"),
    (dict(x_train=pixels(6, 3, 9, 9)), r"shape \(6, 3, 9, 9\); expected N x H x W x c"), (dict(x_train=pixels(6, 9, 7, 3)), "images of 9 x 7; expected square"),
    (dict(x_test=pixels(3, 8, 8, 3)), "expected one shape"), (dict(y_train=np.arange(5)), "6 training images, but labels of shape"),
    (dict(y_train=np.array([0., .5, 1]*2)), "y_train .* is float64; expected whole numbers"), (dict(y_train=np.array([0, -1, 2]*2)), "run from -1 to 2"),
    (dict(classes=np.array(["x", "y"])), "run from 0 to 2; expected 0 to 1, for 2 classes"), (dict(y_train=np.array([0, 2]*3)), "no training images of class '1'"),
    (dict(x_test=pixels(0, 9, 9, 3), y_test=np.arange(0)), "no test images"), (dict(x_train=pixels(0, 9, 9, 3), y_train=np.arange(0)), "no training images")])
def test_npz_that_cannot_be(changes, words, tmp_path):
    with pytest.raises(DataError, match=words): load_data(arrays(tmp_path, **changes)[0])

def test_npz_missing_damaged_or_pickled(tmp_path):
    with pytest.raises(MissingData, match="expected an .npz with x_train"): load_data(f"npz:{tmp_path/'no.npz'}")
    name, _ = arrays(tmp_path)
    whole = (tmp_path/"a.npz").read_bytes()
    for bad in (b"", b"text", whole[:len(whole)//2]):
        (tmp_path/"a.npz").write_bytes(bad)
        with pytest.raises(DamagedData, match="cannot be read as .npz"): load_data(name)
    name, _ = arrays(tmp_path, y_train=np.array([0, "a", None, 1, 2, 3], dtype=object))
    with pytest.raises(DamagedData, match="without pickled objects"): load_data(name)

# ---- sampling

def uneven(counts=(5, 40, 3, 17)):
    y = torch.cat([torch.full((n,), k) for k, n in enumerate(counts)])[torch.randperm(sum(counts), generator=generator(0))]
    x = torch.arange(len(y)).to(torch.uint8).view(-1, 1, 1, 1)
    return ImageData("uneven", x, y, x[:4], torch.arange(4), list("abcd"), Space())

def test_sampling_is_uniform_without_replacement_and_goes_round():
    d = uneven()
    i = d.sample_index(10, generator(1))
    assert i.shape == (4, 10) and (d.y_train[i] == torch.arange(4)[:, None]).all()
    assert [len(r.unique()) for r in i] == [5, 10, 3, 10]
    assert torch.equal(i[0, :5], i[0, 5:]) and i[2].tolist() == (i[2, :3].tolist()*4)[:10]                 # again in the same order
    draws = torch.stack([d.sample_index(4, generator(s)) for s in range(2000)])                             # (2000, 4, 4)
    for k, n in enumerate((5, 40, 3, 17)):
        share = draws[:, k, :3].flatten().bincount(minlength=65)[d.class_index(k)]/6000
        assert (share - 1/n).abs().max() < 4*(1/n/6000)**.5 + 1e-3
    first = draws[:, 1, 0].float(), draws[:, 1, 1].float()
    assert abs(float(torch.corrcoef(torch.stack(first))[0, 1])) < .1                                        # places are drawn in random order

def test_sampling_some_classes_and_repeatability():
    d = uneven()
    assert torch.equal(d.sample_index(6, generator(3)), d.sample_index(6, generator(3)))
    assert not torch.equal(d.sample_index(6, generator(3)), d.sample_index(6, generator(4)))
    assert d.y_train[d.sample_index(3, generator(0), classes=[3, 1])].tolist() == [[3]*3, [1]*3]
    x = d.sample(3, generator(0), classes=torch.tensor([2]))
    assert x.shape == (1, 3, 1, 1, 1) and sorted((x*255).round().int().flatten().tolist()) == d.class_index(2).tolist()
    with pytest.raises(DataError, match="class 'b' of uneven has no training images"): uneven((3, 0, 2, 2)).sample_index(1, generator(0))

def test_the_global_random_state_is_left_alone(tmp_path):
    before = torch.random.get_rng_state()
    d = uneven()
    d.sample(3, generator(0)), d.subset(2, generator(0)), load_data(f"folder:{write_classes(tmp_path/'p')}"), load_data("digits")
    assert torch.equal(torch.random.get_rng_state(), before)

def test_ipc():
    d = uneven()
    check_ipc(d, 3), check_ipc(d, np.int64(1))
    with pytest.raises(IPCError, match=r"IPC 4 is more than class 'c' of uneven has \(3 images\); choose at most 3"): check_ipc(d, 4)
    for bad in (0, -1, 2.5, "1", None, True):
        with pytest.raises(IPCError, match="expected a whole number"): check_ipc(d, bad)

def test_repr_is_one_short_line():
    d = load_data("digits")
    assert repr(d) == "ImageData(digits: 1,437 train + 360 test, 1x8x8, 10 classes, meanstd, cpu)"

# ---- whitening

def test_zca_inverse_and_spectrum():
    d = load_data("digits").with_zca(.1)
    px, z = d.x_train/255., d.get("train", slice(None))
    assert (d.space.decode(z) - px).abs().max() < 1e-4
    x = px.flatten(1).double()
    s = torch.linalg.eigvalsh(torch.cov(x.T))
    got = torch.linalg.eigvalsh(torch.cov(z.flatten(1).double().T))
    assert (got - s/(s + .1)).abs().max() < 1e-4
    t = d.get("test", slice(None)).flatten(1).double()                               # the test set by the training set's mean and matrix
    L, U = torch.linalg.eigh(torch.cov(x.T))
    want = (d.x_test.flatten(1).double()/255 - x.mean(0)) @ U @ torch.diag((L + .1)**-.5) @ U.T
    assert (t - want).abs().max() < 1e-4

def test_zca_fit_does_not_depend_on_blocks(monkeypatch):
    x = load_data("digits").x_train
    a = fit_zca(x)
    monkeypatch.setattr(module, "_rows_of", lambda x: 100)
    b = fit_zca(x)
    assert all(torch.allclose(p, q, atol=1e-6) for p, q in ((a[0], b[0]), (a[2], b[2])))

def test_zca_is_kept_and_never_mixed_up(root, monkeypatch):
    d = load_data("digits", zca=True)
    files = [*(root/"cache").iterdir()]
    assert len(files) == 1 and d.space == Space("zca", eps=.1) and d.space.to_dict() == dict(kind="zca", eps=.1)
    assert d.space != load_data("digits").space and load_data("digits", zca=.5).space.eps == .5
    fit = []
    monkeypatch.setattr(module, "fit_zca", lambda *a: fit.append(a) or fit_zca(*a))
    load_data("digits", zca=True)
    assert not fit
    load_data("digits").subset(20, generator(0))[0].with_zca()                        # other images of the same name
    assert len(fit) == 1
    d.subset(torch.arange(500))[0].with_zca(), d.subset(torch.arange(500, 1000))[0].with_zca()     # and as many of them
    assert len(fit) == 3
    files[0].write_bytes(b"damaged")
    assert torch.equal(load_data("digits", zca=True).get("test", slice(5)), d.get("test", slice(5))) and len(fit) == 4

def test_zca_limits():
    with pytest.raises(DataError, match="49,152 x 49,152 matrix; possible up to 12,288"): fit_zca(torch.zeros(2, 3, 128, 128, dtype=torch.uint8))
    for eps in (-1., float("nan")):
        with pytest.raises(ConfigError, match="expected more than 0"): load_data("digits").with_zca(eps)
    with pytest.raises(DataError, match="load_data\\(name, zca=True\\)"): Space.from_dict(json.loads('{"kind": "zca", "eps": 0.1}')).decode(torch.zeros(1, 1, 8, 8))

# ---- the registry

def test_a_data_set_of_ones_own(monkeypatch):
    monkeypatch.setattr(module, "DATA", dict(module.DATA))
    @register_data("own")
    def own(root, download, size): return uneven()
    assert "own" in list_data() and load_data("own").n_classes == 4
    with pytest.raises(ConfigError, match="registered already"): register_data("own")(lambda root, download, size: None)

# ---- the real sets, where a developer has them

def real(*paths): return pytest.mark.skipif(not all((REAL/p).exists() for p in paths), reason=f"{' and '.join(paths)} not in the data folder (DD_NB_DATA)")

@real("cifar-10-batches-py")
def test_real_cifar10():
    d = load_data("cifar10", folder=REAL)
    assert d.counts.tolist() == [5000]*10 and d.y_test.bincount().tolist() == [1000]*10 and d.classes[0] == "airplane"
    x = (d.x_train[::50]/255.)
    assert torch.allclose(x.mean((0, 2, 3)), torch.tensor(d.space.mean), atol=.02)
    assert d.y_train[:5].tolist() == [6, 9, 9, 4, 1]                                  # frog, two trucks, deer, automobile

@real("MNIST/raw")
def test_real_mnist():
    d = load_data("mnist", folder=REAL)
    assert (len(d.y_train), len(d.y_test), d.smallest) == (60_000, 10_000, 5421)
    x = d.get("train", slice(None))
    assert abs(float(x.mean())) < 1e-2 and abs(float(x.std()) - 1) < 1e-2
