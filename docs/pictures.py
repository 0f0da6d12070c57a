"The gallery's pictures: what every method makes of the digits, one image a class, `quick` preset, seed 0. `python docs/pictures.py [NAME ...]` writes docs/gallery/NAME.png; some minutes in all."
import sys, tempfile
from pathlib import Path
from dd_nb import distill, get_method, image_grid, list_methods
from dd_nb.core import atomic_write
from dd_nb.plots import png

IPC = dict(haba=2)   # one image a class has no room for a basis and two hallucinators
HERE = Path(__file__).parent/"gallery"

if __name__ == "__main__":
    for name in sys.argv[1:] or [m for m in list_methods() if get_method(m).__module__.startswith("dd_nb.")]:
        with tempfile.TemporaryDirectory() as root: d = distill(name, "digits", ipc=IPC.get(name, 1), root=root, device="cpu", progress=False).distilled
        atomic_write(HERE/f"{name}.png", png(image_grid(d.pictures(1), d.classes, 1), 72))
        print(name, (HERE/f"{name}.png").stat().st_size, "bytes", flush=True)
