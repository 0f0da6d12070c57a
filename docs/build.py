"""Build the documentation site from the notebooks: `python docs/build.py [--out DIR]`, or `make docs`. Nothing is run: what is shown are stored outputs.
The pages are laid out in a temporary folder in the tree's own order, so that the links of a notebook or text lead where they lead in the repository; Sphinx makes HTML of them."""
import argparse, importlib, inspect, json, os, pkgutil, re, shutil, sys, tempfile
from dataclasses import fields, is_dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TITLES = {"artifacts": "Artifacts", "views": "Views", "compare": "Comparing", "course": "The course", "sharing": "For others"}
SHARED = "matching attention gradients trajectories coreset regression pool adaptive quantize codecs diffusion pretrained trained prototypes".split()      # what several methods stand on; not methods themselves
text_of = lambda cell: "".join(cell["source"])

def anchor(module, name): return f"api-{module}-{name.replace('.', '-')}" + ("-class" if name[0].isupper() else "")     # targets know no capitals: Budget is not budget

def names() -> dict:
    "Public names of the package: name -> module; a name that several modules have is left out."
    import dd_nb
    out, twice = {}, set()
    for m in pkgutil.walk_packages(dd_nb.__path__, "dd_nb."):
        module = importlib.import_module(m.name)
        for n in getattr(module, "__all__", []):
            if n in out: twice.add(n)
            out[n] = m.name
    return {n: m for n, m in out.items() if n not in twice}

def lesson(nb) -> dict:
    "A lesson as its students get it, with the pictures of the source; the quiz, which is a widget, is left out."
    from dd_nb.course import version
    pictures = {text_of(c): c["outputs"] for c in nb["cells"] if c.get("outputs")}
    cells = [c | (dict(outputs=pictures.get(text_of(c), [])) if c["cell_type"] == "code" else {}) for c in version(nb)["cells"]]
    return nb | dict(cells=[c | dict(source=text_of(c) + ("\n\n*The quiz is in the notebook: `dd-nb course my-class`.*" if text_of(c).startswith("## Quiz") else "")) for c in cells if "\nquiz(" not in text_of(c)])

class Site:
    "Pages in the making: repository path -> page in the staging folder."
    def __init__(self, stage):
        self.stage, self.names = stage, names()
        books = [Path("index.ipynb"), *sorted(p.relative_to(ROOT) for p in (ROOT/"nbs").rglob("*.ipynb") if not {c for c in p.parts if c.startswith(".")} and not p.name.startswith("_"))]
        texts = [Path(p) for p in ("CONTRIBUTING.md", "CHANGELOG.md", "docs/measured.md", "docs/teaching.md", "docs/stumbles.md", "benchmarks/README.md")] + sorted(p.relative_to(ROOT) for p in (ROOT/"docs/howto").glob("*.md"))
        self.pages = {b: Path("start.ipynb") if b.name == "index.ipynb" and len(b.parts) == 1 else b for b in books} | {t: t for t in texts}
        self.pages[Path("README.md")] = Path("index.md")
        self.pages[Path("docs/index.md")] = Path("index.md")
        self.pages[Path("docs/gallery")] = Path("gallery.md")

    def write(self, page, text):
        (self.stage/page).parent.mkdir(parents=True, exist_ok=True)
        (self.stage/page).write_text(text)

    def links(self, text: str, source: Path) -> str:
        "Links between files of the tree become links between pages; names of the package lead to its reference; files that are no page are named, not linked."
        page = self.pages[source]
        def link(m):
            label, target = m[1], m[2]
            if re.match(r"\w+:|#", target): return m[0]
            path, _, anchor = target.partition("#")
            there = Path(os.path.normpath(ROOT/source.parent/path)).relative_to(ROOT)
            if there in self.pages: return f"[{label}]({os.path.relpath(self.pages[there], page.parent)}{'#' + anchor if anchor else ''})"
            if there.suffix in (".png", ".svg", ".jpg"): return f"[{label}]({self.asset(there, page)})"
            if (ROOT/there/"index.ipynb").is_file() or (ROOT/there).is_dir() and there.parts[:1] == ("nbs",): return f"[{label}]({os.path.relpath('packages.md' if there == Path('nbs') else 'gallery.md' if there.name == 'methods' else 'packages.md', page.parent)})"
            if not (ROOT/there).exists(): raise SystemExit(f"{source}: no file {there} for the link {m[0]}")
            return label if "`" in label else f"`{label}`"
        parts = re.split(r"(?ms)(^```.*?^```\s*?$|\$\$.*?\$\$)", text)
        for i in range(0, len(parts), 2):
            parts[i] = re.sub(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)", link, parts[i])
            parts[i] = parts[i].replace(" ± ", "\u00a0±\u00a0")
            parts[i] = re.sub(r"(?<![\[`\w(])`([A-Za-z_]\w*)`(?![`\]])", lambda m: f"[`{m[1]}`](#{anchor(self.names[m[1]], m[1])})" if m[1] in self.names and len(m[1]) > 2 else m[0], parts[i])
        return "".join(parts)

    def asset(self, file, page):
        (self.stage/file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT/file, self.stage/file)
        return os.path.relpath(file, page.parent)

    def notebook(self, source: Path):
        "A notebook without its directives and what they hide; cells that are exported are marked, pictures are described by the heading they stand under."
        nb, cells, heading = json.loads((ROOT/source).read_text()), [], ""
        if source.parent == Path("nbs/course"): nb = lesson(nb)
        if source == Path("index.ipynb"): nb["cells"][0]["source"] = text_of(nb["cells"][0]).replace("# dd_nb", "# The start page", 1)     # the front page is called dd_nb
        for c in nb["cells"]:
            s = text_of(c)
            if c["cell_type"] == "markdown":
                if found := re.findall(r"(?m)^#+ (.+)$", s): heading = re.sub(r"[`*]", "", found[-1])
                cells.append(c | dict(source=self.links(s, source)))
                continue
            said = re.findall(r"(?m)^[ \t]*#[ \t]*\|[ \t]*(\w+)", s)
            body = re.sub(r"(?m)^[ \t]*#[ \t]*\|.*\n?", "", s).strip("\n")
            if {"hide", "default_exp"} & {*said} or not body: continue
            meta = dict(tags=["dd-export"]) if {"export", "exports"} & {*said} else {}
            if c.get("outputs"): meta["mystnb"] = dict(image=dict(alt=f"Output of this cell, under {heading}: {' '.join(body.splitlines()[-1].split())[:80]}"))
            cells.append(c | dict(source=body, metadata=meta))
        self.write(self.pages[source], json.dumps(nb | dict(cells=cells)))

    def markdown(self, source: Path): self.write(self.pages[source], self.links((ROOT/source).read_text(), source))

# --- reference ---------------------------------------------------------------------------------------------------------------------------------------

def cell(text): return " ".join(str(text or "").split()).replace("|", r"\|")

def shown(default):
    if default is inspect.Parameter.empty: return "*needed*"
    if inspect.isclass(default) or inspect.isfunction(default): return f"`{default.__name__}`"
    return f"`{default!r}`" if len(repr(default)) < 60 and " at 0x" not in repr(default) else "…"

def kind_of(annotation):
    if annotation is inspect.Parameter.empty: return ""
    return f"`{annotation if isinstance(annotation, str) else getattr(annotation, '__name__', str(annotation).replace('typing.', ''))}`"

def table(rows, head):
    told = [i for i, h in enumerate(head) if i == 0 or any(r[i] for r in rows)]      # a column in which nothing stands is left out
    head, rows = [head[i] for i in told], [[r[i] for i in told] for r in rows]
    return "\n".join(["", ":::{rst-class} dd-params", ":::", "", "| " + " | ".join(head) + " |", "|" + "---|"*len(head), *("| " + " | ".join(cell(v) for v in r) + " |" for r in rows), ""]) if rows else ""

def entry(name, obj, module, level="##") -> str:
    "A function or class as docments and docstring describe it."
    from fastcore.docments import docments
    from dd_nb.explorer import field_docs
    doc = inspect.cleandoc(obj.__doc__) if obj.__doc__ and not obj.__doc__.startswith(f"{name}(") else ""
    out = [f"({anchor(module, name)})=", f"{level} `{name}`", "", escaped(doc)]
    if inspect.isclass(obj) and is_dataclass(obj):
        docs = field_docs(obj)
        limits = lambda m: ", ".join(map(str, m["choices"])) if m.get("choices") else " .. ".join("" if v is None else f"{v:g}" for v in (m.get("lo"), m.get("hi"))).strip() if m.get("lo") is not None or m.get("hi") is not None else ""
        from dataclasses import MISSING
        rows = [(f"`{f.name}`", shown(f.default) if f.default is not MISSING else "" if f.default_factory is not MISSING else "*needed*", limits(f.metadata), docs[f.name]) for f in fields(obj) if not f.name.startswith("_")]
        return "\n".join([*out, table(rows, ("field", "default", "limits", "meaning"))])
    try: sig, docs = inspect.signature(obj), docments(obj, full=True, args_kwargs=True)
    except (ValueError, TypeError, OSError, SyntaxError): return "\n".join(out) + "\n"
    rows = [(f"`{'*' if p.kind == p.VAR_POSITIONAL else '**' if p.kind == p.VAR_KEYWORD else ''}{k}`", kind_of(p.annotation), shown(p.default) if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) else "",
             (docs.get(k) or {}).get("docment")) for k, p in sig.parameters.items() if k not in ("self", "cls")]
    back = docs.get("return") or {}
    gives = " ".join(filter(None, (kind_of(sig.return_annotation) if sig.return_annotation is not inspect.Signature.empty else "", cell(back.get("docment")))))
    return "\n".join([*out, table(rows, ("parameter", "type", "default", "meaning")), f"Gives {gives}\n" if gives and gives != "`NoneType`" else ""])

def escaped(text): return re.sub(r"([<*_])", r"\\\1", " ".join(text.split()))

def methods_of(cls) -> str:
    "What a class can be asked, each in a line."
    found = [(k, v) for k, v in vars(cls).items() if not k.startswith("_") and inspect.isfunction(v) and v.__doc__]
    sign = lambda v: s if len(s := re.sub(r"^\(self(, )?", "(", str(inspect.signature(v)))) < 90 else "(…)"
    return "\n" + "\n".join(f"`.{k}{sign(v)}`\n: {escaped(v.__doc__)}\n" for k, v in found)

def reference(site) -> list:
    "A page a module; gives their names."
    import dd_nb
    pages = []
    for m in pkgutil.walk_packages(dd_nb.__path__, "dd_nb."):
        module = importlib.import_module(m.name)
        public = [n for n in getattr(module, "__all__", []) if inspect.isclass(getattr(module, n)) or inspect.isroutine(getattr(module, n))]
        if not public: continue
        own, parts = Path(inspect.getsourcefile(module)), []
        for n in public:
            obj = getattr(module, n)
            if not (obj.__doc__ or inspect.isroutine(obj)): continue
            parts.append(entry(n, obj, m.name))
            if inspect.isclass(obj) and not issubclass(obj, Exception): parts.append(methods_of(obj))
        home = re.search(r"File to edit: (?:\.\./)*(nbs/\S+?\.ipynb)", own.read_text())
        book = Path(home[1]) if home else None
        where = f"Source: [{book}]({os.path.relpath(site.pages[book], 'api')})\n" if book in site.pages else ""
        head = f"# `{m.name}`\n\n{module.__doc__ or ''}\n\n{where}"
        names_here = [n for n in getattr(module, "__all__", []) if n not in public]
        rest = "".join(f"\n({anchor(m.name, n)})=\n## `{n}`\n\nA value of this module.\n" for n in names_here)
        missing = "".join(f"\n({anchor(m.name, n)})=\n" for n in public if f"({anchor(m.name, n)})=" not in "\n".join(parts))
        site.write(f"api/{m.name}.md", head + "\n" + "\n\n".join(parts) + rest + missing)
        pages.append(m.name)
    return pages

# --- pages made from several -------------------------------------------------------------------------------------------------------------------------

def tables(text: str) -> dict:
    "The tables of measured.md by name: (header cells, rows)."
    out = {}
    for name, body in re.findall(r"(?ms)^<!-- table: (\w+) -->\n(.*?)^<!-- end -->", text):
        rows = [[c.strip() for c in l.strip("|").split("|")] for l in body.splitlines() if l.startswith("|")]
        if len(rows) > 2: out[name] = rows[0], rows[2:]
    return out

def gallery(site) -> str:
    "A card for every method: what it learned on digits, what it is, what was measured."
    from dd_nb.loop import get_method, list_methods
    measured = tables((ROOT/"docs/measured.md").read_text())
    fixed = lambda v: v.replace(" ", "\u00a0")
    def figures(name):
        found = []
        for key in ("digits", "quick"):
            head, rows = measured.get(key, ([], []))
            for r in rows:
                if r[0].strip("`") == name: found += [f"{h}: {fixed(v)}" for h, v in zip(head[1:], r[1:]) if v and ("digits" in h or "cifar10" in h)]
        head, rows = measured.get("regression", ([], []))
        found += [f"{h}: {fixed(v)} ({'learned labels' if r[1] == 'own' else 'hard labels'})" for r in rows if r[0] == name for h, v in zip(head[2:], r[2:]) if v]
        head, rows = measured.get("dim", ([], []))
        found += [f"{h}: {fixed(v)} (fresh draws)" for r in rows if r[1] == name for h, v in zip(head[3:], r[3:]) if v]
        head, rows = measured.get("haba", ([], []))
        if name == "haba": found += [f"with {r[0]}, {h}: {fixed(v)}" for r in rows if r[1] == "haba" for h, v in zip(head[2:], r[2:]) if v and "cifar10, budget 10, convnet:width=64" == h]
        return found
    cards = []
    for name in list_methods():
        cls = get_method(name)
        if not cls.__module__.startswith("dd_nb."): continue
        book = Path("nbs")/Path(*cls.__module__.split(".")[1:]).with_suffix(".ipynb")
        png, numbers = Path("docs/gallery")/f"{name}.png", figures(name)
        picture = f"\n```{{image}} {site.asset(png, Path('gallery.md'))}\n:alt: Ten digits as {name} keeps them\n:class: dd-picture\n```\n" if (ROOT/png).is_file() else ""
        cards.append(f":::{{grid-item-card}} {name}\n:link: {site.pages[book].with_suffix('')}\n:link-type: doc\n{picture}\n{cls.__doc__}\n\n" + "".join(f"- {n}\n" for n in numbers) + ("" if numbers else "- not measured yet\n") + ":::\n")
    shown_tables = "\n".join(f"\n### {'Digits' if k == 'digits' else 'MNIST, Fashion-MNIST, CIFAR-10'}\n\n" + "| " + " | ".join(measured[k][0]) + " |\n" + "|---"*len(measured[k][0]) + "|\n" + "\n".join("| " + " | ".join(r) + " |" for r in measured[k][1]) + "\n" for k in ("digits", "quick") if k in measured)
    return ("# Gallery of methods\n\nWhat each method makes of the handwritten digits, at one image a class (HaBa: a budget of two), with its `quick` preset: seconds to two minutes on two CPU cores (`docs/pictures.py`). "
            "The figures are accuracies on all real test images, in percent, as [What was measured](docs/measured.md) explains them.\n\n::::{grid} 1 2 2 3\n:gutter: 2\n\n" + "\n".join(cards) + f"::::\n\n## Side by side\n{shown_tables}")

def toctree(caption, entries, depth=1, **options): return "\n```{toctree}\n" + f":caption: {caption}\n:maxdepth: {depth}\n:hidden:\n" + "".join(f":{k}:\n" for k in options) + "\n" + "\n".join(map(str, entries)) + "\n```\n"

def front(site, api) -> str:
    of = lambda *folders: [str(site.pages[p].with_suffix("")) for p in site.pages if p.suffix == ".ipynb" and p.parent == Path(*folders)]
    method_books = of("nbs", "methods")
    own, shared = [m for m in method_books if Path(m).name not in SHARED], [m for m in method_books if Path(m).name in SHARED]
    order = "install first_run own_data gpu artifacts cluster new_method class_page".split()
    how = sorted((str(p.with_suffix("")) for p in site.pages if p.parent == Path("docs/howto")), key=lambda p: order.index(Path(p).name) if Path(p).name in order else 99)
    site.write("packages.md", "# The package, notebook by notebook\n\nThe notebooks are the source: they are read from the first to the last, and `dd_nb` is exported from them. Cells with a line at their left become the package; all others are tests and examples.\n\n"
        + "".join(f"## {t}\n\n" + "".join(f"- {{doc}}`{p}`\n" for p in ps) + "\n" for t, ps in (("In reading order", of("nbs")), ("What can be stored", of("nbs", "artifacts")), ("What methods share", shared), ("Views", of("nbs", "views")), ("Comparing", of("nbs", "compare")), ("For others", of("nbs", "sharing")))))
    site.write("api.md", "# Reference\n\nEvery public name, from the comments beside its parameters. The notebooks tell why it is so.\n\n```{toctree}\n:maxdepth: 1\n\n" + "\n".join(f"api/{m}" for m in api) + "\n```\n")
    trees = [toctree("Begin", ["The start page <start>", *how]), toctree("Methods", ["gallery", "docs/measured", *own])]
    trees.append(toctree("Course", ["docs/teaching", *of("nbs", "course")]))
    trees += [toctree("The package", ["packages", *of("nbs"), *of("nbs", "artifacts"), *shared, *of("nbs", "views"), *of("nbs", "compare"), *of("nbs", "sharing")]), toctree("Reference", ["api", "CONTRIBUTING", "docs/stumbles", "CHANGELOG", "benchmarks/README"])]
    text = (ROOT/"docs/index.md").read_text().replace("{image} explorer.png", "{image} " + site.asset(Path("docs/explorer.png"), Path("index.md")))
    return site.links(text, Path("docs/index.md")) + "".join(trees)

def build(out) -> int:
    "Lay out the pages and make HTML of them; anything Sphinx warns of is a failure."
    from sphinx.cmd.build import main as sphinx
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory(prefix="dd_nb-docs-") as tmp:
        site = Site(Path(tmp)/"pages")
        for p in [*site.pages]:
            if p.suffix == ".ipynb": site.notebook(p)
            elif p not in map(Path, ("README.md", "docs/index.md", "docs/gallery")): site.markdown(p)
        api = reference(site)
        site.write("gallery.md", gallery(site))
        site.write("index.md", front(site, api))
        shutil.copy(ROOT/"docs/conf.py", site.stage)
        shutil.copytree(ROOT/"docs/_static", site.stage/"_static")
        rc = sphinx(["-q", "-W", "--keep-going", "-d", f"{tmp}/doctrees", str(site.stage), f"{tmp}/made/html"])
        shutil.move(f"{tmp}/made/html", out)                 # myst-nb leaves copies of the notebooks beside what it makes
        return rc

if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--out", type=Path, default=ROOT/"_docs", help="folder for the site; default _docs")
    out = p.parse_args().out
    shutil.rmtree(out, ignore_errors=True)
    rc = build(out)
    print(f"The site is in {out}: open {out/'index.html'}" if not rc else "The site was built, but the warnings above must be mended.")
    sys.exit(rc)
