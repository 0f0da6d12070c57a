"""The contract every method keeps, over the registry: a new method is tested by being registered."""
import shutil
import pytest, torch
from dataclasses import fields
from dd_nb.compare.sweep import sweep
from dd_nb.core import generator
from dd_nb.data import load_data
from dd_nb.loop import distill_iter, estimate, get_method, list_methods, method_config
from dd_nb.distilled import Distilled
from dd_nb.explorer import field_docs
from dd_nb.store import load_run

SMALL = dict(steps=4, train_steps=3, net="convnet:width=8", batch_real=8, real="float32", outer=2, inner=1,
             pool=2, pool_steps=2, inner_steps=2, adjoint_steps=2, draws=2, experts=1, max_start=1, span=1, syn_steps=2, expert_images=200, adversary="convnet:width=8", gan_steps=3, width=8, pool_nets="convnet:width=8;resnet18_bn:width=4,blocks=1", refresh=2, batch_gan=32, batch_match=16, pool_batch=16, precision="float32", options="steps=4;net=convnet:width=8;batch_real=8",
             codec="local:width=8,steps=2,batch=8,unet=16,unet_steps=2,unet_batch=8,portion=1", teacher="", parts=2, passes=2, decode_steps=4)   # applied where a method has the field

@pytest.fixture(scope="module")
def data(): return load_data("digits")

def small(name): return {k: v for k, v in SMALL.items() if k in {f.name for f in fields(get_method(name))}}

@pytest.mark.parametrize("name", list_methods())
def test_contract(name, data, tmp_path):
    events = list(distill_iter(name, data, ipc=2, root=tmp_path, **small(name)))
    d, run = events[-1].run.distilled, events[-1].run
    assert events[-1].done and events[-1].step == run.steps and run.state == "done"
    assert events[0].images.shape == events[-1].images.shape == (min(10, len(d.materialize())//10)*10, 1, 8, 8)
    assert 0 <= float(events[-1].images.min()) and float(events[-1].images.max()) <= 1
    assert d.n_floats > 0 and d.n_bytes >= d.n_floats and d.recipe["method"].split(" + ")[0] == name and "hyper" in d.recipe and d.usage
    b = d.sample(7, generator(0))
    assert b.images.shape == (7, 1, 8, 8) and len(b.labels) == 7 and b.images.isfinite().all()
    epoch = [b for b in d.epoch(8, generator(0))]
    assert sum(len(b) for b in epoch) == d.epoch_images and torch.cat([b.labels.argmax(1) if b.labels.is_floating_point() else b.labels for b in epoch]).unique().numel() == 10
    d.save(tmp_path/"x.safetensors")
    again = Distilled.load(tmp_path/"x.safetensors")
    assert type(again) is type(d) and all(torch.equal(a, b) for a, b in zip(d.state_dict().values(), again.state_dict().values()))

@pytest.mark.parametrize("name", list_methods())
def test_stopping_anywhere_changes_nothing(name, data, tmp_path):
    whole = list(distill_iter(name, data, ipc=2, root=tmp_path/"whole", **small(name)))[-1].run
    for _ in range(whole.steps + 1):             # close after every single step
        it = distill_iter(name, data, ipc=2, root=tmp_path/"cut", **small(name))
        e = next(it)
        if not e.done: e = next(it)
        it.close()
    assert e.run.state == "done" and all(torch.equal(a, b) for a, b in zip(e.run.distilled.state_dict().values(), whole.distilled.state_dict().values()))

@pytest.mark.parametrize("name", list_methods())
@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_presets_and_comments(name, preset):
    m = method_config(name, "cifar10", 10, preset)
    assert m.n_steps >= 1 and m.paper
    undocumented = [k for k, v in field_docs(type(m)).items() if not v]
    assert not undocumented, f"no comment beside {undocumented}"

@pytest.mark.parametrize("hyper", [dict(match="gradient", lazy=2), dict(compat=True, match="feature"), dict(gan_looks=3, looks=2, look_net="mlp", look_ipc=2, look_epochs=2)])
def test_dim_stops_anywhere(hyper, data, tmp_path):
    "Both phases, the pool's network and its momentum, what is held out and the best generator so far are part of what a run is at a step."
    whole = list(distill_iter("dim", data, ipc=2, root=tmp_path/"whole", **(small("dim") | hyper)))[-1].run
    for _ in range(whole.steps + 1):
        it = distill_iter("dim", data, ipc=2, root=tmp_path/"cut", **(small("dim") | hyper))
        e = next(it)
        if not e.done: e = next(it)
        it.close()
    assert e.run.state == "done" and all(torch.equal(a, b) for a, b in zip(e.run.distilled.state_dict().values(), whole.distilled.state_dict().values()))
    assert e.run.metrics.drop(columns="seconds").equals(whole.metrics.drop(columns="seconds")) and e.run.distilled.recipe == whole.distilled.recipe

@pytest.mark.parametrize("name", [n for n in list_methods() if get_method(n).any_ipc])
def test_what_was_learned_serves_every_budget(name, data, tmp_path):
    "The budget has no part in learning: a run that takes over another's result has what it would have learned itself, to the bit."
    last = lambda ipc, root, seed=0, **kw: list(distill_iter(name, data, ipc=ipc, seed=seed, root=tmp_path/root, **(small(name) | kw)))
    own, first = last(3, "own")[-1].run, last(1, "shared")[-1].run
    for broken in ("config.json", "done.json", "distilled.safetensors"):        # damaged runs that come first
        shutil.copytree(first.path, there := tmp_path/"shared"/f"{name}-a-{broken}")
        (there/broken).write_text("{")
    events = last(3, "shared", share=True)
    run = events[-1].run
    assert len(events) == 1 and events[0].done and run.state == "done" and run.name == own.name and run.config["learned_by"] == first.name
    assert run.distilled.ipc == 3 and run.distilled.recipe == own.distilled.recipe and all(torch.equal(a, b) for a, b in zip(run.distilled.state_dict().values(), own.distilled.state_dict().values()))
    assert run.progress == first.progress and run.metrics.equals(first.metrics) and torch.equal(run.snapshots()[-1][1], own.snapshots()[-1][1])
    assert len(events[0].images) == 30 and len(last(3, "shared", share=True)) == 1
    for kw in (dict(seed=1), dict(width=9), dict(resume=False)): assert len(last(3, "shared", share=True, **kw)) > 1          # another seed or setting, or asked to begin anew
    assert len(last(4, "shared")) > 1                            # not asked to share
    begun = distill_iter(name, data, ipc=5, root=tmp_path/"shared", **small(name))
    next(begun); begun.close()
    assert len(last(5, "shared", share=True)) > 1                # goes on where it was cut short

def test_a_sweep_learns_a_generator_once(tmp_path):
    s = sweep(dict(methods="gan", ipc=[1, 3], nets="mlp:width=8", students=1, changes=dict(epochs=2), hyper=dict(gan=small("gan"))), root=tmp_path, progress=False)
    first, second = (s.table.run[s.table.ipc == i].item() for i in (1, 3))
    assert load_run(second, tmp_path).config["learned_by"] == first != second and s.table.distil_seconds.nunique() == 1 and list(s.table.epoch_images) == [10, 30]

def test_other_methods_share_nothing(data, tmp_path):
    run = lambda ipc: list(distill_iter("dm", data, ipc=ipc, root=tmp_path, share=True, **small("dm")))
    assert len(run(1)) == len(run(3)) == 5

def test_seeds_differ_and_repeat(data, tmp_path):
    one = lambda seed, root: list(distill_iter("dm", data, seed=seed, root=tmp_path/root, **small("dm")))[-1].run.distilled.images
    assert torch.equal(one(0, "a"), one(0, "b")) and not torch.equal(one(0, "a"), one(1, "a"))

def test_cost_is_of_the_right_size(data):
    cost = estimate("dm", data, ipc=1, budget=.2, **(small("dm") | dict(steps=1000)))
    assert 0 < cost.step_seconds < 5 and cost.seconds == pytest.approx(1000*cost.step_seconds) and "MB" in str(cost)

def test_compiled_pool(data):
    "DiM's pool learns the same compiled, also when another network of its kind takes the module over."
    from dd_nb.loop import State
    ends = {}
    for how in ("no", "yes"):
        m = method_config("dim", "digits", 1, **(small("dim") | dict(pool_nets="convnet:width=8", pool_compile=how)))
        s = State(0, torch.device("cpu"))
        m.setup(s, data, 1)
        ends[how] = [(float(m.train_pool(s, data, k)), s.cache["pool"][1].head.weight.detach().clone()) for k in range(4)]     # refresh = 2: two networks
    for (a, w), (b, v) in zip(ends["no"], ends["yes"]): assert a == pytest.approx(b, rel=1e-4) and torch.allclose(w, v, atol=1e-5)
    assert not torch.allclose(ends["yes"][1][1], ends["yes"][2][1], atol=1e-3)

def test_compiled_twin(data):
    "The bfloat16 twin, compiled where the machine can, sees what the network sees, also after the network changed."
    from dd_nb.methods.matching import Twin, can_compile, class_mean
    from dd_nb.nets import make_net
    net = make_net("convnet:width=16", data, generator=generator(0)).requires_grad_(False)
    net.twin, real = Twin(net, lambda net, x: dict(embedding=net.embed(x))), data.sample(37, generator(1))
    assert (net.twin.run is not net.twin.look) == can_compile()
    for seed in (1, 2):
        net.reset(generator(seed)); net.twin.follow(net)
        exact, half = class_mean(real, net), class_mean(real, net, grad=False)
        assert half.dtype == torch.float32 and half.shape == exact.shape
        assert (half - exact).norm() < .01*exact.norm()

@pytest.mark.parametrize("name, at_most", [("atom", .02), ("datadam", .02), ("dsa", .02), ("dm", .005)])
def test_compiled_real_side(name, at_most, data):
    "With `real` at bfloat16 the loss is the same up to rounding, whatever is compiled."
    from dd_nb.loop import State
    real, syn, losses = data.sample(40, generator(1)), data.sample(3, generator(2)), {}
    for precision in ("float32", "bfloat16"):
        m = method_config(name, "digits", 3, **(small(name) | dict(real=precision, net="convnet:width=16" + (",norm=batch" if name in ("atom", "datadam") else ""))))
        s = State(0, torch.device("cpu"))
        m.setup(s, data, 3)
        losses[precision] = float(m.loss(real, syn, m.fresh_net(s, data)))
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=at_most) and losses["bfloat16"] != losses["float32"]

@pytest.mark.parametrize("name, hyper", [("rcig", dict(solver="adam", inner_steps=3, adjoint_steps=3)), ("rcig", dict(solver="exact", grad_syn=5, pool_batch=4)), ("kip", dict(kernel="random", loss="ce")), ("frepo", dict(zca=.1, net="convnet:width=8,norm=quickbatch,norm_first=yes"))])
def test_learned_labels_stop_anywhere(name, hyper, data, tmp_path):
    "Automatic step sizes, subsets, random kernels, running statistics and whitening are part of what a run is at a step."
    whole = list(distill_iter(name, data, ipc=2, root=tmp_path/"whole", **(small(name) | hyper)))[-1].run
    for _ in range(whole.steps + 1):
        it = distill_iter(name, data, ipc=2, root=tmp_path/"cut", **(small(name) | hyper))
        e = next(it)
        if not e.done: e = next(it)
        it.close()
    assert e.run.state == "done" and all(torch.equal(a, b) for a, b in zip(e.run.distilled.state_dict().values(), whole.distilled.state_dict().values()))
    assert e.run.metrics.drop(columns="seconds").equals(whole.metrics.drop(columns="seconds"))

@pytest.mark.parametrize("name", ["rcig", "frepo", "kip"])
def test_labels_and_images_are_judged_apart(name, data, tmp_path):
    from dd_nb.judge import evaluate
    d = list(distill_iter(name, data, ipc=1, root=tmp_path, student_steps=30, **small(name)))[-1].run.distilled
    soft, hard = (evaluate(d, data, "mlp", 1, progress=False, labels=k).iloc[0] for k in ("own", "hard"))
    assert (soft.labels, hard.labels, soft.steps, hard.steps) == ("soft", "hard", 30, 30) and soft.loss != hard.loss and d.n_floats == 640 + 100
