"""DiM: images a second in both phases and at deployment, beside a plain transcription of the released loop, in one process, in turns, on the same real images and networks.

What the released loop does and ours does not: images come through a loader that decodes and normalises one at a time, which phase B starts anew for every generator step; the critic's gradients are computed in the generator's step, the pool network's and those of real images in matching;
real and generated images pass the critic one after the other; all in float32 and eager. `ours, float32` is ours without bfloat16 and without compiling. Deployment is a student's step on fresh images."""
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms.functional import normalize, to_tensor
from common import arguments, race, stamp, write
from dd_nb import load_data
from dd_nb.augment import DSA
from dd_nb.core import generator
from dd_nb.judge import compiled_once
from dd_nb.loop import State, method_config
from dd_nb.methods.dim import condition, gradient_penalty
from dd_nb.nets import make_net
from dd_nb.settings import can_compile, get_device

args = arguments(__doc__, data=dict(default="cifar10"), width=dict(type=int, default=196), batch=dict(type=int, default=32, help="images a step, in all phases (published: 128, 64, 128)"), net=dict(default="convnet", help="network of the pool, and student"),
                 pool_steps=dict(type=int, default=16), steps=dict(type=int, default=1, help="timed steps a round"), rounds=dict(type=int, default=3))
width, batch, pool_steps = (8, 16, 2) if args.quick else (args.width, args.batch, args.pool_steps)
net_name = "convnet:width=8" if args.quick else args.net
device, data = get_device(), load_data("digits" if args.quick else args.data).to(get_device())
C = data.n_classes

class Loaded(torch.utils.data.Dataset):
    "An image at a time, as torchvision's data sets and transforms do it."
    def __init__(self): self.x, self.y = data.x_train.cpu().permute(0, 2, 3, 1).contiguous().numpy(), data.y_train.tolist()
    def __len__(self): return len(self.y)
    def __getitem__(self, i):
        im = self.x[i]
        return normalize(to_tensor(Image.fromarray(im if im.shape[2] == 3 else im[..., 0])), [.5]*im.shape[2], [.5]*im.shape[2]), self.y[i]

def made(precision):
    m = method_config("dim", data.name, 10, width=width, batch_gan=batch, batch_match=batch, pool_batch=batch, pool_steps=pool_steps, pool_nets=net_name, refresh=10**9, lazy=1, precision=precision, pool_compile="no" if precision == "float32" else "yes" if can_compile() and not args.quick else "no").resolve(device)
    s = State(0, device)
    m.setup(s, data, 10)
    return m, s

class Released:
    "The released procedure, written plainly."
    def __init__(self):
        self.m, s = made("float32")
        self.G, self.D, self.noise, self.opt_g, self.opt_d = s.distilled.net, s.modules["critic"], s.distilled.noise, s.optimizers["generator"], s.optimizers["critic"]
        self.loader = torch.utils.data.DataLoader(Loaded(), batch, shuffle=True, drop_last=True)
        self.real = self.endless()
        self.pool = make_net(net_name, data, generator=generator(0)).to(device).train()
        self.opt = torch.optim.SGD(self.pool.parameters(), lr=.01, momentum=.9, weight_decay=5e-4)
        self.rng = generator(0, "released")
    def endless(self):
        while True: yield from self.loader
    def fake(self, y, train=True): return self.G(condition(y, torch.randn(len(y), self.noise).to(device), C), train)
    def space(self, x): return data.space.encode((x + 1)/2)
    def phase_a(self, more=None):
        x, y = (t.to(device) for t in next(self.real))
        self.opt_g.zero_grad()
        x_fake = self.fake(y)
        score, logits = self.D(x_fake)
        loss = F.cross_entropy(logits, y) - score.mean()
        if more: loss = loss + more(x, x_fake)
        loss.backward()
        self.opt_g.step()
        self.opt_d.zero_grad()
        own = torch.randint(C, y.shape).to(device)
        with torch.no_grad(): x_fake = self.fake(own)
        (a, la), (b, lb) = self.D(x), self.D(x_fake)
        penalty = gradient_penalty(lambda u: self.D(u)[0], x, x_fake, torch.rand(len(x)).to(device))
        (b.mean() - a.mean() + F.cross_entropy(lb, own) + F.cross_entropy(la, y) + 10*penalty).backward()
        self.opt_d.step()
    def phase_b(self):
        for _, (x, y) in zip(range(pool_steps), self.loader):             # a new shuffled pass for every step
            loss = F.cross_entropy(self.pool(DSA("color_crop", "M")(self.space(x.to(device)), self.rng)), y.to(device))
            self.opt.zero_grad(); loss.backward(); self.opt.step()
        def more(x, x_fake):
            dsa = DSA("color_crop_cutout", "M")
            both = dsa.apply(self.space(torch.cat([x, x_fake])), dsa.draw(1, self.rng))
            a, b = self.pool(both[:len(x)]), self.pool(both[len(x):])
            return .01*(a.log_softmax(1) - b.log_softmax(1)).square().mean()
        self.phase_a(more)
    def deploy(self):
        y = torch.randint(C, (batch,)).to(device)
        with torch.no_grad(): x = self.space(self.fake(y, False))
        loss = F.cross_entropy(self.pool(DSA("color_crop", "M")(x, self.rng)), y)
        self.opt.zero_grad(); loss.backward(); self.opt.step()

class Ours:
    def __init__(self, precision):
        self.m, self.s = made(precision)
        self.k, self.rng = 0, generator(0, "ours")
        self.student = make_net(net_name, data, generator=generator(0)).to(device).train()
        self.forward = compiled_once(self.student, "student", {})[1] if self.m.pool_compile == "yes" else self.student      # as the judge does with a student of this length
        self.opt = torch.optim.SGD(self.student.parameters(), lr=.01, momentum=.9, weight_decay=5e-4)
        self.flow = iter(())
    def phase_a(self): self.m.first_phase(self.s, data, self.k); self.k += 1
    def phase_b(self): self.m.second_phase(self.s, data, self.k); self.k += 1
    def deploy(self):
        b = next(self.flow, None)
        if b is None: self.flow = self.s.distilled.at(50).epoch(batch, self.rng); b = next(self.flow)
        x = DSA("color_crop", "M")(b.images, self.rng).contiguous(memory_format=torch.channels_last)
        with self.m.half(self.s): logits = self.forward(x).float()
        loss = F.cross_entropy(logits, b.labels)
        self.opt.zero_grad(set_to_none=True); loss.backward(); self.opt.step()

class Part:
    def __init__(self, make, name): self.step = getattr(make(), name)

rows = []
for phase in ("phase_a", "phase_b", "deploy"):
    sides = {"released": Released, "ours, float32": lambda: Ours("float32"), "ours": lambda: Ours("auto")}
    for r in race({k: (lambda make=make: Part(make, phase)) for k, make in sides.items()}, args.steps, 1 if args.quick else args.rounds, device):
        rows.append(dict(phase=phase.replace("_", " ").replace("deploy", "deployment"), data=data.name, width=width, batch=batch, net=net_name, images_a_second=round(batch/r["seconds_a_step"], 2) if r["seconds_a_step"] else None, precision=made("auto")[0].precision if r["side"] == "ours" else "float32", **r))
        print(rows[-1], flush=True)
write([r | stamp(device) for r in rows], "dim_speed", args)
