"""Every network over sizes and channels, and what methods and students need of them: fresh weights, vmap, second derivatives, errors that help."""
import math
import pytest, torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from dd_nb.core import ConfigError, NetError, UnknownName, generator
from dd_nb.nets import Net, draw_weights, list_nets, make_net

EMBEDDING = dict(convnet=None, mlp=128, lenet=84, alexnet=192*16, vgg11=512, vgg11_bn=512, resnet18=512, resnet18_bn=512, vit=192)   # None: by size
SINGLE = ["convnet", "mlp", "lenet", "alexnet", "vgg11", "resnet18", "vit"]     # no batch norm: an image's output is its own

def build(name, size=32, channels=3, n_classes=7, seed=0, **kw):
    return make_net(name, shape=(channels, size, size), n_classes=n_classes, generator=generator(seed, "net"), **kw)
def pixels(n, size=32, channels=3, seed=0): return torch.randn(n, channels, size, size, generator=generator(seed, "x"))

@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 9, 16, 28, 32, 64, 97, 224])
@pytest.mark.parametrize("name", list_nets())
@torch.no_grad()
def test_every_size(name, size, channels):
    "Logits, embedding and maps agree, and no norm is asked to normalise a single pixel, which would make every image the same."
    net, seen = build(name, size, channels).eval(), []
    for m in net.modules():
        if isinstance(m, (nn.GroupNorm, nn.BatchNorm2d)): m.register_forward_pre_hook(lambda m, x: seen.append(x[0].shape[-2]*x[0].shape[-1]))
    n = 2 if size <= 64 else 1
    o = net(pixels(n, size, channels), "all")
    assert o.logits.shape == (n, 7) and o.logits.isfinite().all() and (o.logits.std(1) > 1e-3).all()
    assert o.embedding.shape == (n, EMBEDDING.get(name) or net.head.in_features)
    assert torch.allclose(net.head(o.embedding), o.logits)
    assert (name == "mlp") == (not o.maps) and all(m.shape[0] == n and m.dim() == 4 for m in o.maps.values())
    assert min(seen, default=4) >= 4
    if n > 1 and name != "mlp": assert not torch.allclose(o.logits[0], o.logits[1], atol=1e-4)

def test_the_table_is_complete(): assert set(EMBEDDING) == set(list_nets())

@pytest.mark.parametrize("name, maps", [
    ("convnet", dict(block1=(128, 32), block2=(128, 16), block3=(128, 8))), ("lenet", dict(stage1=(6, 28), stage2=(16, 10))),
    ("alexnet", dict(stage1=(128, 32), stage2=(192, 16), stage3=(192, 8))), ("vgg11", {f"stage{i}": (w, 64 >> i) for i, w in enumerate((64, 128, 256, 512, 512), 1)}),
    ("resnet18", {f"layer{i}": (32 << i, 64 >> i) for i in range(1, 5)}), ("vit", {f"layer{i}": (192, 8) for i in range(1, 7)})])
def test_maps_are_named_from_the_input_side(name, maps):
    o = build(name)(pixels(1), "all")
    assert {k: (v.shape[1], v.shape[2]) for k, v in o.maps.items()} == maps and list(o.maps) == list(maps)

@pytest.mark.parametrize("name", ["convnet", "lenet", "alexnet", "vgg11"])
@pytest.mark.parametrize("channels", [1, 3])
@torch.no_grad()
def test_28_pixels_are_32_with_a_black_frame(name, channels):
    "One rule; for one channel it is what the releases' wider first padding does."
    a, b = build(name, 28, channels), build(name, 32, channels)
    b.load_state_dict(a.state_dict())
    x = pixels(2, 28, channels)
    assert torch.equal(a(x), b(F.pad(x, (2, 2, 2, 2))))
    if name == "convnet":
        conv = a.blocks[0][0]
        seen = []
        conv.register_forward_hook(lambda m, i, o: seen.append(o))
        a(x)
        assert torch.allclose(seen[0], F.conv2d(x, conv.weight, conv.bias, padding=3), atol=1e-6)

@pytest.mark.parametrize("name", SINGLE)
@torch.no_grad()
def test_an_image_does_not_see_its_batch(name):
    net, x = build(name).train(), pixels(3)
    assert torch.allclose(net(x)[:1], net(x[:1]), atol=1e-5)

@pytest.mark.parametrize("name", ["vgg11_bn", "resnet18_bn", "convnet:norm=batch"])
@torch.no_grad()
def test_batch_norm_sees_it_in_training_only(name):
    net, x = build(name, 16), pixels(4, 16)
    assert not torch.allclose(net.train()(x)[:1], net(x[:2])[:1], atol=1e-4)
    assert torch.allclose(net.eval()(x)[:1], net(x[:2])[:1], atol=1e-5)

@pytest.mark.parametrize("options", [f"norm={n}" for n in ("none", "batch", "layer", "instance", "group")] + [f"activation={a}" for a in ("relu", "leaky", "sigmoid", "swish")]
                         + [f"pooling={p}" for p in ("avg", "max", "none")] + [f"depth={d}" for d in (1, 2, 3)] + ["width=4"])
@pytest.mark.parametrize("size", [8, 28, 30])
def test_every_convnet(options, size):
    net = build(f"convnet:width=8,{options}", size)
    net(pixels(3, size)).logsumexp(1).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())

def test_options_may_stand_in_the_name_or_beside_it():
    a, b = build("convnet: width=8 , depth=2"), build("convnet", width="8", depth=2)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert build("convnet", depth=None).n_params == build("convnet").n_params == build("convnet:depth=3").n_params

@pytest.mark.parametrize("name", ["convnet:width=8", "convnet:width=8,norm=layer", "convnet:width=8,norm=group", "lenet", "mlp", "resnet18", "vit:depth=2"])
def test_stacked_networks_equal_single_ones(name):
    "In float64: norms over a few pixels magnify the rounding of float32 to 1e-2 in the gradients of a ResNet."
    nets, x = [build(name, 16, seed=s).double() for s in range(3)], pixels(2, 16).double()
    params, buffers = stack_module_state(nets)
    run = lambda p, b: functional_call(nets[0], (p, b), (x,))
    assert torch.allclose(vmap(run)(params, buffers), torch.stack([n(x) for n in nets]), atol=1e-10)
    y = torch.tensor([0, 3])
    grads = vmap(torch.func.grad(lambda p, b: F.cross_entropy(run(p, b), y)))(params, buffers)
    F.cross_entropy(nets[1](x), y).backward()
    assert all(torch.allclose(grads[k][1], p.grad, atol=1e-10) for k, p in nets[1].named_parameters())

@pytest.mark.parametrize("name", [*SINGLE, "timm:vit_tiny_patch16_224"])
def test_second_derivatives_reach_the_pixels(name):
    "Gradient matching differentiates the gradient of the weights by the images; attention matching what a map says of them."
    net, x = build(name, 16), pixels(2, 16).requires_grad_()
    o = net(x, "all")
    g = torch.autograd.grad(F.cross_entropy(o.logits, torch.tensor([0, 3])), list(net.parameters()), create_graph=True, allow_unused=True)
    assert torch.autograd.grad(sum(t.square().sum() for t in g if t is not None), x, retain_graph=True)[0].flatten(1).norm(dim=1).gt(0).all()
    for m in o.maps.values(): assert torch.autograd.grad(m.square().sum(), x, retain_graph=True)[0].norm() > 0

@pytest.mark.parametrize("name", [n for n in list_nets()] + ["timm:resnet10t", "timm:efficientnet_b0"])
def test_nothing_overwrites_a_map(name):
    assert not [m for m in build(name).modules() if getattr(m, "inplace", False)]

@pytest.mark.parametrize("name", list_nets())
def test_fresh_weights(name):
    "They follow from the generator alone, leave the global random state as it was, and are distributed as at construction."
    torch.manual_seed(3)
    before, net = torch.get_rng_state(), build(name, 16)
    copy = lambda: {k: v.clone() for k, v in net.state_dict().items()}
    same = lambda a, b: all(torch.equal(a[k], b[k]) for k in a)
    net.train()(pixels(4, 16))                                # batch norm now remembers these images
    first, one = copy(), net.reset(generator(5))
    assert one is net
    second, _ = copy(), net.reset(generator(6))
    third, _ = copy(), net.reset(generator(5))
    assert same(second, copy()) and not same(second, third) and torch.equal(before, torch.get_rng_state())
    for k, v in first.items():
        if "running_mean" in k: assert not second[k].any()
        elif "running_var" in k: assert second[k].eq(1).all()
        elif v.is_floating_point() and v.numel() > 1000:
            assert second[k].std().item() == pytest.approx(v.std().item(), rel=.1), k
            assert second[k].abs().max().item() == pytest.approx(v.abs().max().item(), rel=.35), k    # normal tails differ more than uniform ends
        elif v.dim() == 1 and "norm" in k or "bn" in k and "num_batches" not in k: assert torch.equal(second[k], v), k
    assert "num_batches_tracked" not in " ".join(first) or all(not v for k, v in second.items() if "num_batches" in k)

@pytest.mark.parametrize("name", ["convnet", "resnet18"])
def test_initial_weights_are_the_frameworks_default(name):
    "Uniform within one over the root of the fan-in, weights and biases: what the field's results were made with (torchvision's ResNet has another)."
    for net in (make_net(name, shape=(3, 32, 32), n_classes=10), build(name).reset(generator(2))):
        for m in net.modules():
            if isinstance(m, (nn.Conv2d, nn.Linear)):
                bound, w = 1/math.sqrt(m.weight[0].numel()), m.weight.detach()
                assert .98*bound < w.abs().max() <= bound*1.00001 and w.std().item() == pytest.approx(bound/math.sqrt(3), rel=.05)
                if m.bias is not None: assert m.bias.abs().max() <= bound*1.00001

def test_without_a_generator_torch_decides():
    first = lambda: next(make_net("convnet:width=8", shape=(3, 16, 16), n_classes=4).parameters()).detach().clone()
    torch.manual_seed(0); a = first(); b = first()
    torch.manual_seed(0)
    assert torch.equal(a, first()) and not torch.equal(a, b)

def test_a_network_of_ones_own_must_say_how_it_is_drawn():
    "Weights that are silently kept would make every step match in the same network."
    class Own(Net):
        def __init__(self): super().__init__(); self.gain = nn.PReLU()
    with pytest.raises(NetError, match="PReLU.*reset"): draw_weights(Own(), generator(0))

@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["convnet", "resnet18", "vit"])
def test_a_gpu_gets_the_same_weights_and_keeps_its_random_state(name):
    here, there = build(name), build(name).cuda()
    state = torch.cuda.get_rng_state()
    here.reset(generator(1)), there.reset(generator(1)), build(name)
    assert torch.equal(state, torch.cuda.get_rng_state())
    assert all(torch.equal(a, b.cpu()) for a, b in zip(here.parameters(), there.parameters()))

def test_seeding_touches_the_cpu_generator_only(monkeypatch):
    "`torch.manual_seed` seeds every device; nobody gives those their state back."
    monkeypatch.setattr(torch, "manual_seed", lambda s: pytest.fail("torch.manual_seed was called"))
    build("vit:depth=1", 16).reset(generator(0))

@pytest.mark.parametrize("name, kw, error, say", [
    ("convnt", {}, UnknownName, "did you mean 'convnet'"), ("convnet:widht=8", {}, UnknownName, "did you mean 'width'"), ("convnet:norm=batchnorm", {}, UnknownName, "did you mean 'batch'"),
    ("convnet:activation=rellu", {}, UnknownName, "did you mean 'relu'"), ("convnet:pooling=mean", {}, UnknownName, "Known: avg, max, none"), ("convnet:width", {}, ConfigError, "write convnet:width=VALUE"),
    ("convnet:width=wide", {}, ConfigError, "not an int"), ("convnet", dict(width=12.7), ConfigError, "12.7 is not an int"), ("convnet", dict(width=[8]), ConfigError, "not an int"),
    ("convnet:width=0", {}, NetError, "width 0"), ("convnet:depth=-1", {}, NetError, "depth -1"), ("convnet:depth=6", {}, NetError, "at most 5"), ("convnet:norm=group,width=6", {}, NetError, "multiple of 4"),
    ("mlp:width=0", {}, NetError, "width 0"), ("vit:heads=5", {}, NetError, "multiple of heads"), ("vit:patch=3", {}, NetError, "a divisor of 32"), ("vit:depth=0", {}, NetError, "at least 1"), ("vit:heads=0", {}, NetError, "at least 1"),
    ("convnet", dict(shape=(3, 7, 7)), NetError, "at least 8"), ("convnet", dict(shape=(3, 32, 48)), NetError, "expected square"), ("convnet", dict(shape=(32, 32)), NetError, r"\(c, H, W\)"),
    ("convnet", dict(n_classes=0), NetError, "at least 1 class"), ("convnet", dict(n_classes=None), NetError, "n_classes="), ("convnet", dict(shape=None), NetError, "give data")])
def test_bad_options(name, kw, error, say):
    with pytest.raises(error, match=say): make_net(name, **(dict(shape=(3, 32, 32), n_classes=10) | kw))

def test_bad_output():
    with pytest.raises(ConfigError, match="'embeding'.*expected"): build("convnet:width=8")(pixels(1), "embeding")

@pytest.mark.parametrize("channels, size", [(1, 8), (3, 28), (3, 32), (1, 64)])
@pytest.mark.parametrize("model", ["resnet10t", "vit_tiny_patch16_224", "convnext_atto"])
def test_timm(model, channels, size):
    rng = torch.get_rng_state()
    net = build(f"timm:{model}", size, channels)
    assert net.training
    o = net.eval()(pixels(2, size, channels), "all")
    assert o.logits.shape == (2, 7) and o.maps and all(m.dim() == 4 for m in o.maps.values())
    assert torch.allclose(net.head(o.embedding), o.logits, atol=1e-5) and not torch.allclose(o.logits[0], o.logits[1], atol=1e-4)
    if size >= 32: assert torch.allclose(net.body(pixels(2, size, channels)), o.logits, atol=1e-4)     # as timm itself answers
    w = {k: v.clone() for k, v in net.reset(generator(1)).state_dict().items()}
    assert all(torch.equal(v, w[k]) for k, v in net.reset(generator(1)).state_dict().items()) and torch.equal(rng, torch.get_rng_state())

def test_timm_says_what_is_wrong(monkeypatch):
    with pytest.raises(UnknownName, match="did you mean.*resnet10t"): build("timm:resnet10")
    with pytest.raises(NetError, match="levit_128s.*cannot be used on images"): build("timm:levit_128s")
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(NetError, match=r'pip install "dd-nb\[timm\]"'): build("timm:resnet10t")
