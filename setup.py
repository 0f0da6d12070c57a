"The one thing pyproject.toml cannot say: the start notebook and settings.ini at the top go into the wheel as dd_nb/_start, for `dd-nb lab`."
from pathlib import Path
from shutil import copyfile
from setuptools import setup
from setuptools.command.build_py import build_py

class WithStart(build_py):
    def run(self):
        super().run()
        if self.editable_mode: return              # a checkout has them at its top
        start = Path(self.build_lib)/"dd_nb"/"_start"
        start.mkdir(parents=True, exist_ok=True)
        for f in ("index.ipynb", "settings.ini"): copyfile(f, start/f)

setup(cmdclass=dict(build_py=WithStart))
