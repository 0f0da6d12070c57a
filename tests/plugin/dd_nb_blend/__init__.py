"""A method of another package: each synthetic image is the mean of a few real ones of its class."""
from dataclasses import dataclass
from typing import ClassVar
from dd_nb.core import param
from dd_nb.loop import Method, register_method
from dd_nb.distilled import Images

@register_method("blend")
@dataclass(frozen=True, kw_only=True)
class Blend(Method):
    "Means of real images, as many a picture as you say."
    n: int = param(4, 1, 1_000)  # real images in each synthetic one
    presets: ClassVar[dict] = {"quick": {}, "paper": {"*": dict(n=16)}}
    steps: ClassVar[int] = 1
    def init(self, data, ipc, rng): return Images.start(data, ipc, rng["init"])
    def step(self, state, data):
        d, real = state.distilled, data.sample(self.n*state.distilled.ipc, state.rng["real"])
        d.images.data.copy_(real.unflatten(1, (d.ipc, self.n)).mean(2).flatten(0, 1))
        return {}
