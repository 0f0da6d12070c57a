"""ATOM, DataDAM and DSA: seconds a step and peak memory, ours beside plain transcriptions of the published procedures, in one process on the same images.

Published DataDAM/ATOM: one DSA draw a class in a loop over classes, hooks that keep the output of every ReLU, one forward pass for all real and one for all synthetic images, `pow` for the power, float32.
Published DSA: a loop over classes; real and synthetic gradients of each class, layer by layer distance, one backward through all; then `inner` epochs of the network. Before timing the losses on one network and batch are compared."""
from dataclasses import replace
import torch
import torch.nn.functional as F
from common import arguments, race, stamp, write
from dd_nb import DSA, load_data, make_net, method_config
from dd_nb.core import generator
from dd_nb.loop import State
from dd_nb.settings import get_device

args = arguments(__doc__, data=dict(default="cifar10"), steps=dict(type=int, default=2, help="timed steps a round"), rounds=dict(type=int, default=3),
                 methods=dict(default="datadam,atom,dsa"), sizes=dict(default="quick,paper"), ipc=dict(default="1,10"))

class Published:
    def __init__(self, data, m, ipc):
        self.data, self.m, self.ipc, self.rng, self.dsa, self.at = data, m, ipc, generator(0, "published"), DSA(m.strategy(data)), 0
        self.images = data.get("train", slice(None))
        self.syn = torch.cat([self.images[data.class_index(k)[:ipc].to(data.device)] for k in range(data.n_classes)]).clone().requires_grad_()
        self.opt = torch.optim.SGD([self.syn], lr=m.lr_img, momentum=m.momentum)
    def real(self, k):
        idx = self.data.class_index(k)
        return self.images[idx[torch.randperm(len(idx), generator=self.rng)[:self.m.batch_real]].to(self.data.device)]
    def synthetic(self, k): return self.syn[k*self.ipc:(k + 1)*self.ipc]
    def update(self, loss):
        self.opt.zero_grad(); loss.backward(); self.opt.step()

class PublishedAttention(Published):
    def step(self):
        net = make_net(self.m.net, self.data, generator=self.rng).to(self.data.device).requires_grad_(False).train()
        real, syn = [], []
        for k in range(self.data.n_classes):
            draw = self.dsa.draw(1, self.rng)
            real.append(self.dsa.apply(self.real(k), draw)); syn.append(self.dsa.apply(self.synthetic(k), draw))
        self.update(self.loss(torch.stack(real), torch.stack(syn), net))
    def loss(self, real, syn, net):
        kept, hooks = [], []
        for block in net.blocks: hooks.append(block[2].register_forward_hook(lambda m, i, o: kept.append(o)))
        def run(x):
            kept.clear()
            z = net.embed(x.flatten(0, 1))
            return list(kept), z.unflatten(0, x.shape[:2]).mean(1)
        with torch.no_grad(): a, za = run(real)
        b, zb = run(syn)
        for h in hooks: h.remove()
        w, total = self.m.weights(), 0.
        for f, g in zip(a[:-1], b[:-1]):
            for kind, dims in (("spatial", 1), ("channel", (2, 3))):
                if not w[kind]: continue
                means = [F.normalize(t.abs().pow(w[f"p_{kind}"]).sum(dims).flatten(1), dim=1).unflatten(0, x.shape[:2]).mean(1) for t, x in ((f, real), (g, syn))]
                total = total + w[kind]*(means[0] - means[1]).square().sum()
        return self.m.scale*(total + self.m.mmd*(za - zb).square().sum())

class PublishedDSA(Published):
    def step(self):
        if self.at % self.m.outer == 0: self.net = make_net(self.m.net, self.data, generator=self.rng).to(self.data.device).train()
        pairs = []
        for k in range(self.data.n_classes):
            draw = self.dsa.draw(1, self.rng)
            pairs.append((self.dsa.apply(self.real(k), draw), self.dsa.apply(self.synthetic(k), draw)))
        self.update(self.loss([p[0] for p in pairs], [p[1] for p in pairs], self.net))
        if self.at % self.m.outer != self.m.outer - 1:
            opt, y = torch.optim.SGD(self.net.parameters(), lr=self.m.lr_net), torch.arange(self.data.n_classes).repeat_interleave(self.ipc).to(self.syn.device)
            for _ in range(self.m.inner):
                for idx in torch.randperm(len(y), generator=self.rng).split(self.m.batch_net):
                    loss = F.cross_entropy(self.net(self.dsa(self.syn.detach()[idx], self.rng)), y[idx])
                    opt.zero_grad(); loss.backward(); opt.step()
        self.at += 1
    def loss(self, real, syn, net):
        params, total = list(net.parameters()), 0.
        for k, (x, s) in enumerate(zip(real, syn)):
            target = lambda t: torch.full((len(t),), k, device=t.device)
            a = [g.detach() for g in torch.autograd.grad(F.cross_entropy(net(x), target(x)), params)]
            b = torch.autograd.grad(F.cross_entropy(net(s), target(s)), params, create_graph=True)
            for g, h in zip(a, b):
                if g.dim() < 2: continue
                g, h = g.flatten(1), h.flatten(1)
                total = total + (1 - (g*h).sum(1)/(g.norm(dim=1)*h.norm(dim=1) + 1e-6)).sum()
        return total

class Ours:
    def __init__(self, data, m, ipc):
        self.data, self.m, self.state = data, m, State(0, data.device)
        m.setup(self.state, data, ipc)
    def step(self):
        float(self.m.step(self.state, self.data)["loss"])
        self.state.step += 1

def loss_gap(published, data, m, ipc, precision):
    "Relative difference to the published loss, one network and one batch."
    ours = replace(m, real=precision)
    s = State(0, data.device)
    ours.setup(s, data, ipc)
    net, real, syn = ours.fresh_net(s, data), data.sample(m.batch_real, generator(1)), data.sample(ipc, generator(2))
    want = float(published.loss(real, syn, net))
    return abs(float(ours.loss(real, syn, net)) - want)/want

rows, device = [], get_device()
data = load_data(args.data).to(device)
for name in args.methods.split(","):
    for size in (["quick"] if args.quick else args.sizes.split(",")):
        for ipc in map(int, args.ipc.split(",")):
            m = method_config(name, data.name, ipc, size)
            if args.quick: m = replace(m, net=m.net.replace("width=64", "width=16"), batch_real=16)
            kind = PublishedDSA if name == "dsa" else PublishedAttention
            published = kind(data, m, ipc)
            gap = {"published": 0., "ours": loss_gap(published, data, m, ipc, "float32"), "ours, bfloat16": loss_gap(published, data, m, ipc, "bfloat16")}
            sides = dict(published=lambda: published, ours=lambda: Ours(data, replace(m, real="float32"), ipc), **{"ours, bfloat16": lambda: Ours(data, replace(m, real="bfloat16"), ipc)})
            for r in race(sides, args.steps, 1 if args.quick else args.rounds, device):
                rows.append(dict(method=name, size=size, data=data.name, net=m.net, batch_real=m.batch_real, ipc=ipc, augment=m.strategy(data)) | r
                            | dict(loss_difference=float(f"{gap[r['side']]:.1e}"), seed=0, **stamp(device)))
                print({k: v for k, v in rows[-1].items() if k not in ("device", "torch", "date", "augment")}, flush=True)
write(rows, "matching_speed", args)
