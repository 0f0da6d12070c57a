"""RCIG: seconds and peak memory of one meta-gradient beside naive ways to the same gradient (explicit Jacobians; differentiating through the inner gradient descent), each with its error against float64,
and how a whole outer step grows with width, IPC, pool and solver steps (`--growth`). Every row is a process of its own, so that peaks are its own; one that needs more than --limit GB is stopped and says so.

A row is written when it is done; the reference of a size is computed once. With large blocks given back at once (MALLOC_MMAP_THRESHOLD_), peaks are of what is alive and not of what the allocator keeps."""
import json, os, subprocess, sys, tempfile, time
from pathlib import Path
import torch
import torch.nn.functional as F
from common import arguments, peak_mb, reset_peak, stamp, write

args = arguments(__doc__, data=dict(default="cifar10"), limit=dict(type=float, default=10., help="GB of memory a row may take"), repeats=dict(type=int, default=3), growth=dict(action="store_true"), one=dict(default="", help="internal"), reference=dict(type=Path, help="internal"))
LAM, CONV = .05, "convnet:norm=none,init=lecun,activation=softplus60,width="

def problem(width, ipc, real, double=False):
    "A network, synthetic images with labels, a batch of real ones: the same for every side."
    from dd_nb import load_data
    from dd_nb.core import generator
    from dd_nb.methods.rcig import Body
    from dd_nb.methods.regression import centred
    from dd_nb.nets import make_net
    from dd_nb.settings import get_device
    kind = torch.float64 if double else torch.float32
    data = load_data(args.data)
    net = make_net(f"{CONV}{width}", data, generator=generator(0)).to(kind).requires_grad_(False)
    rows = data.sample_index(ipc, generator(1)).flatten()
    x, c = data.get("train", rows).to(kind), data.y_train[rows]
    y = centred(c, data.n_classes).to(kind) + .1*torch.randn(len(c), data.n_classes, generator=generator(2), dtype=torch.float64).to(kind)
    pick = torch.randperm(len(data.y_train), generator=generator(3))[:real]
    to = get_device()
    body = Body(net.to(to), {k: v for k, v in net.named_parameters()})
    return body, x.to(to).requires_grad_(), y.to(to).requires_grad_(), torch.zeros((), dtype=kind, device=to), (data.get("train", pick).to(to, kind), data.y_train[pick].to(to)), LAM*len(x)

def ours(body, x, y, tau, real, lam, steps, tol=1e-6):
    from dd_nb.methods.rcig import Inner, conjugate_gradients, meta_gradient
    p = Inner(body, x, y, lam)
    delta, *_ = conjugate_gradients(p.hessian, -p.value_grad(torch.zeros_like(body.q0))[1], steps, tol)
    _, _, direct, implicit = meta_gradient(p, delta, x, y, tau, real, lambda y: 0., lambda g: conjugate_gradients(p.hessian, g, steps, tol)[0], [x, y])
    return [a + b for a, b in zip(direct, implicit)]

def outer(body, x, y, tau, real, lam, o, o_t):
    h, h_t = body.both(body.q0, x)[1], body.both(body.q0, real[0])[1]
    K = h @ h.T + lam*torch.eye(len(h)).to(h)
    return F.cross_entropy(tau.exp()*(o_t + h_t @ h.T @ torch.linalg.solve(K, y - o)), real[1])

def explicit(body, x, y, tau, real, lam, steps):
    "Jacobians of both sides, whole, the dual system solved, and autograd through all of it."
    J, J_t = (torch.func.jacrev(lambda q: body(q, z))(body.q0).flatten(0, 1) for z in (x, real[0]))
    h = body.both(body.q0, x)[1]
    A = J @ J.T + torch.kron(h @ h.T + lam*torch.eye(len(h)).to(h), torch.eye(y.shape[1]).to(h))
    delta = J.T @ torch.linalg.solve(A, y.flatten())
    return torch.autograd.grad(outer(body, x, y, tau, real, lam, (J @ delta).view_as(y), (J_t @ delta).view(-1, y.shape[1])), [x, y])

def unrolled(body, x, y, tau, real, lam, steps):
    "`steps` of gradient descent on the inner problem (largest stable step size), and autograd back through them."
    from dd_nb.methods.rcig import Inner
    p, v = Inner(body, x, y, lam), torch.ones_like(body.q0)
    for _ in range(8): v = p.hessian(v); top = v.norm(); v = v/top
    del p
    q = body.q0.detach().requires_grad_()
    out, h = body.both(q, x)
    K = h @ h.T + lam*torch.eye(len(h)).to(h)
    d = torch.zeros_like(body.q0)
    push = lambda d: body.push(body.q0, x, d)[1][0]
    for _ in range(steps): d = d - 2/(1 + top)*(d - torch.autograd.grad(out, q, torch.linalg.solve(K, y - push(d)), create_graph=True)[0])
    return torch.autograd.grad(outer(body, x, y, tau, real, lam, push(d), body.push(body.q0, real[0], d)[1][0]), [x, y])

SIDES = dict(ours=ours, explicit=explicit, unrolled=unrolled)

def gradient(side, width, ipc, real, steps):
    import resource
    if not args.reference.exists(): torch.save(ours(*problem(width, ipc, real, double=True), steps=60, tol=1e-12), args.reference)
    want = torch.load(args.reference)
    p = problem(width, ipc, real)
    device = p[1].device
    SIDES["ours"](*p, steps=1)                                     # threads and kernels are there before the count begins
    reset_peak(device)
    before = peak_mb(device)
    resource.setrlimit(resource.RLIMIT_DATA, (int(args.limit*2**30),)*2)
    times = []
    for _ in range(1 if side == "explicit" else args.repeats):
        start = time.perf_counter(); got = SIDES[side](*p, steps=steps); times.append(time.perf_counter() - start)
    return dict(seconds=round(sorted(times)[len(times)//2], 3), before_mb=round(before), more_mb=round(peak_mb(device) - before), error=max(float((a - b).norm()/b.norm()) for a, b in zip(got, want)))

def step(ipc, width, **hyper):
    "A whole outer step of the method: pool, both solves, update, the network's training."
    from dd_nb import load_data
    from dd_nb.loop import State, method_config
    from dd_nb.settings import get_device
    device = get_device()
    data = load_data(args.data).to(device)
    m, s = method_config("rcig", args.data, ipc, net=f"{CONV}{width}", flip="no", **hyper), State(0, device)
    m.setup(s, data, ipc)
    notes = m.step(s, data)                                        # finds Adam's step sizes too
    reset_peak(device)
    before, start = peak_mb(device), time.perf_counter()
    for _ in range(args.repeats): s.step += 1; notes = m.step(s, data)
    return dict(seconds=round((time.perf_counter() - start)/args.repeats, 3), before_mb=round(before), more_mb=round(peak_mb(device) - before), residual=float(notes.get("residual", float("nan"))))

if args.one:
    what = json.loads(args.one)
    print(json.dumps((step if args.growth else gradient)(**what))); sys.exit()

if args.growth:
    base, name = dict(ipc=10, width=32, pool=8, solver="cg", inner_steps=6, adjoint_steps=6), "rcig_growth"
    changes = [dict(pool=1), {}, dict(pool=30), dict(width=16), dict(width=64), dict(width=128), dict(ipc=1), dict(ipc=50), dict(inner_steps=3, adjoint_steps=3), dict(inner_steps=20, adjoint_steps=20),
               dict(solver="adam", inner_steps=20, adjoint_steps=20), dict(ipc=1, solver="adam", inner_steps=20, adjoint_steps=20), dict(ipc=1, solver="exact")]
    todo = [base | c for c in (changes[:1] if args.quick else changes)]
else:
    name, sizes = "rcig_speed", [(16, 1, 64), (32, 1, 128), (64, 1, 128), (32, 10, 128), (128, 10, 128)]
    sides = [("ours", 6), ("ours", 20), ("explicit", 0), ("unrolled", 10), ("unrolled", 40)]
    todo = [dict(side=side, width=w, ipc=i, real=r, steps=k) for w, i, r in (sizes[:1] if args.quick else sizes) for side, k in sides]
rows, folder = [], tempfile.TemporaryDirectory()
for what in todo:
    reference = Path(folder.name)/f"{what['width']} {what['ipc']} {what.get('real')}.pt"
    p = subprocess.run([sys.executable, __file__, "--data", args.data, "--limit", str(args.limit), "--repeats", str(1 if args.quick else args.repeats), *(["--growth"] if args.growth else []), "--reference", str(reference), "--one", json.dumps(what)],
                       capture_output=True, text=True, env=os.environ | dict(MALLOC_MMAP_THRESHOLD_="65536"))
    if p.returncode and not (p.returncode < 0 or "alloc" in p.stderr.lower() or "memory" in p.stderr.lower()): sys.exit(p.stderr)
    rows.append(what | (dict(note=f"more than {args.limit:g} GB") if p.returncode else json.loads(p.stdout) | dict(note="")) | dict(data=args.data, seed=0, **stamp()))
    write(rows, name, args)
