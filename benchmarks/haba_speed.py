"""Hallucinators: all in one batched call beside a loop over them, forward and backward, and what factorising costs in memory beside plain images of the same number and of the same budget.

The loop is the release's way: modules of Conv2d, scale and shift, ConvTranspose2d, called one after the other."""
import torch
from torch import nn
from common import arguments, race, stamp, write
from dd_nb.artifacts.factorized import Hallucinators, budget
from dd_nb.core import generator
from dd_nb.settings import get_device

args = arguments(__doc__, steps=dict(type=int, default=10, help="timed calls a round"), rounds=dict(type=int, default=5))

class One(nn.Module):
    def __init__(self, h, j):
        super().__init__()
        self.enc, self.dec = nn.Conv2d(h.c_in, h.mid, h.kernel), nn.ConvTranspose2d(h.mid, h.c_out, h.kernel)
        self.scale, self.shift = nn.Parameter(h.scale[j].detach().clone()[None]), nn.Parameter(h.shift[j].detach().clone()[None])
        with torch.no_grad():
            for mine, its in ((self.enc.weight, h.enc_weight), (self.enc.bias, h.enc_bias), (self.dec.weight, h.dec_weight), (self.dec.bias, h.dec_bias)): mine.copy_(its[j])
    def forward(self, x): return self.dec(self.enc(x)*self.scale + self.shift)

class Side:
    "Makes images, and pulls a gradient back to bases and hallucinators; `images` (n x H x c x H x W)."
    def __init__(self, x, how, params): self.x, self.how, self.params, self.pull = x, how, params, None
    def images(self): return self.how(self.x)
    def step(self):
        out = self.images()
        if self.pull is None: self.pull = torch.randn(out.shape, generator=generator(0)).to(out.device)
        self.grads = torch.autograd.grad(out, [self.x, *self.params], self.pull)

device, rows = get_device(), []
for bases, c_in, n, side in ((10, 3, 5, 32), (90, 3, 5, 32), (100, 3, 5, 32), (10, 1, 3, 32), (10, 3, 5, 128))[:1 if args.quick else None]:
    h = Hallucinators(n, c_in, 3, (side, side)).begin(generator(1)).to(device)
    x = torch.randn(bases, c_in, side, side, generator=generator(2)).to(device).requires_grad_()
    singles = [One(h, j).to(device) for j in range(n)]
    looped, batched = lambda x: torch.stack([s(x) for s in singles], 1), h.every
    for g in (10,):                                                   # ten classes, a hallucinator each: what a matching objective is shown
        which = torch.randint(n, (g,), generator=generator(3))
        a = Side(x, looped, [p for s in singles for p in s.parameters()]); b = Side(x, batched, list(h.parameters()))
        gap = float((a.images() - b.images()).detach().abs().max())
        by_class_loop = lambda x: torch.stack([singles[j](c) for c, j in zip(x.unflatten(0, (g, -1)), which.tolist())])
        by_class = lambda x: h.groups(x.unflatten(0, (g, -1)), which)
        used = sorted(set(which.tolist()))
        c = Side(x, by_class_loop, [p for j in used for p in singles[j].parameters()]); d = Side(x, by_class, list(h.parameters()))
        gap2 = float((c.images() - d.images()).detach().abs().max())
        about = dict(bases=bases, channels=c_in, hallucinators=n, px=side)
        rows += [dict(about, what="all pairs", difference=gap, **r) for r in race({"loop": lambda: a, "batched": lambda: b}, args.steps, args.rounds, device)]
        rows += [dict(about, what="a hallucinator a class", difference=gap2, **r) for r in race({"loop": lambda: c, "batched": lambda: d}, args.steps, args.rounds, device)]
write([r | stamp(device) for r in rows], "haba_speed", args)
