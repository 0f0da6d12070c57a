"""DM: seconds a step and peak memory, ours beside a plain transcription of the published procedure, in one process on the same images.

The transcription loops over classes: real images of a class by a random permutation, one siamese augmentation, both through the network, squared
distance of means added up, one SGD step; float32, images resident as normalised floats. Ours are `dm` steps with the real branch in float32 and, where
the machine has it, in bfloat16. Before timing, all are given the same network and images and must agree on the loss."""
from dataclasses import replace
import torch
from common import arguments, race, stamp, write
from dd_nb import DSA, load_data, make_net, method_config
from dd_nb.core import generator
from dd_nb.loop import State
from dd_nb.methods.dm import dm_loss
from dd_nb.settings import get_device

args = arguments(__doc__, data=dict(default="cifar10"), steps=dict(type=int, default=4, help="timed steps a round"), rounds=dict(type=int, default=3))

class Published:
    "The published loop, over classes."
    def __init__(self, data, m, ipc):
        self.data, self.m, self.rng = data, m, generator(0, "published")
        self.images = data.get("train", slice(None))               # resident, normalised, float
        self.syn = torch.cat([self.images[data.class_index(k)[:ipc].to(data.device)] for k in range(data.n_classes)]).clone().requires_grad_()
        self.opt, self.ipc, self.dsa = torch.optim.SGD([self.syn], lr=m.lr_img, momentum=m.momentum), ipc, DSA(m.strategy(data))
    def step(self):
        net = make_net(self.m.net, self.data, generator=self.rng).to(self.data.device).requires_grad_(False).train()
        loss = 0.
        for k in range(self.data.n_classes):
            idx = self.data.class_index(k)
            real = self.images[idx[torch.randperm(len(idx), generator=self.rng)[:self.m.batch_real]].to(self.data.device)]
            loss = loss + self.class_loss(real, self.syn[k*self.ipc:(k + 1)*self.ipc], net, self.dsa.draw(1, self.rng))
        self.opt.zero_grad()
        loss.backward()
        self.opt.step()
        return loss.item()
    def class_loss(self, real, syn, net, draw):
        a, b = net.embed(self.dsa.apply(real, draw)).detach(), net.embed(self.dsa.apply(syn, draw))
        return ((a.mean(0) - b.mean(0))**2).sum()

class Ours:
    def __init__(self, data, m, ipc):
        self.data, self.m, self.state = data, m, State(0, data.device)
        m.setup(self.state, data, ipc)
    def step(self): return float(self.m.step(self.state, self.data)["loss"])

def agree(data, m, ipc):
    "Losses on one network and one batch: the published loop's, ours, ours with the real branch in bfloat16."
    real, syn = data.sample(m.batch_real, generator(1)), data.sample(ipc, generator(2))
    out = []
    for precision in ("float32", "bfloat16"):
        net = replace(m, real=precision).fresh_net(s := State(0, data.device), data)
        with torch.no_grad():
            loop = sum(((net.embed(r).mean(0) - net.embed(x).mean(0))**2).sum() for r, x in zip(real, syn))
            out.append(float(abs(dm_loss(real, syn, net) - loop)/loop))
    return out

rows, device = [], get_device()
data = load_data(args.data).to(device)
sizes = {"quick": [1, 10]} if args.quick else {"quick": [1, 10], "paper": [1, 10, 50]}
for size, ipcs in sizes.items():
    for ipc in ipcs:
        m = method_config("dm", data.name, ipc, size)
        if args.quick: m = replace(m, net="convnet:width=16")
        err = agree(data, m, ipc)
        sides = dict(published=lambda: Published(data, m, ipc), ours=lambda: Ours(data, replace(m, real="float32"), ipc), **{"ours, bfloat16": lambda: Ours(data, replace(m, real="bfloat16"), ipc)})
        for r in race(sides, args.steps, 1 if args.quick else args.rounds, device):
            rows.append(dict(size=size, data=data.name, net=m.net, batch_real=m.batch_real, ipc=ipc, augment=m.strategy(data)) | r
                        | dict(loss_difference={"published": 0., "ours": err[0], "ours, bfloat16": err[1]}[r["side"]], seed=0, **stamp(device)))
            print(rows[-1], flush=True)
write(rows, "dm_speed", args)
