"""Every lesson from its first cell to its last, with the solutions; on the way each check meets the empty exercise, typical wrong answers, and the solution."""
import ast, json, os, re, time
import pytest
from execnb.shell import CaptureShell
from conftest import DD_NB, TREE, run
from dd_nb.course import CHECKS, Verdict, directives, lessons, read_notebook, version

LESSONS = lessons()
SECONDS = 180   # of this process, two minutes more than any lesson needs here: a lesson may take six on two cores

def code(nb): return ["".join(c["source"]) for c in nb["cells"] if c["cell_type"] == "code"]
def kind(source): return next(((k, v) for k, v in directives(source).items() if k in ("exercise", "wrong", "solution")), ("", ""))

class Lesson:
    "Runs a lesson's cells in one kernel, as Jupyter would."
    def __init__(self, folder): self.shell, self.last = CaptureShell(path=folder), None
    def run(self, source):
        self.shell.run(source)
        assert not self.shell.exc, f"{type(self.shell.exc).__name__}: {self.shell.exc}\nin the cell\n{source}"
        return self.shell.result
    def check(self, source) -> Verdict:
        v = self.run(source)
        assert isinstance(v, Verdict) and v.message.strip() and "Traceback" not in v.message
        return v

@pytest.mark.parametrize("file", LESSONS, ids=lambda p: p.stem)
def test_lesson(file, tmp_path, monkeypatch):
    monkeypatch.setenv("DD_NB_RUNS", str(tmp_path/"runs"))
    start, lesson, asked, seen = time.process_time(), Lesson(tmp_path), {}, []
    for source in code(read_notebook(file)):
        what, name = kind(source)
        if what: asked.setdefault(name, dict(exercise=[], wrong=[], solution=[]))[what].append(source); continue
        if not (m := re.search(r'(?m)^check\("([\d.]+)"', source)): lesson.run(source); continue
        parts, said = asked.pop(m[1]), []
        assert len(parts["exercise"]) == len(parts["solution"]) == 1 and parts["wrong"], f"exercise {m[1]} wants one exercise, one solution and a wrong answer"
        assert "..." in parts["exercise"][0]
        for p in parts["exercise"] + parts["wrong"]:
            lesson.run(p)
            v = lesson.check(source)
            assert not v, f"the check of {m[1]} accepts\n{p}"
            said.append(v.message)
        assert len({*said}) == len(said) and re.search(r"empty|nothing|replace", said[0]), said
        assert not any("your code stopped" in s for s in said[1:]), said
        lesson.run(parts["solution"][0])
        assert (v := lesson.check(source)), v
        seen.append(m[1])
    assert not asked, f"exercises without a check: {list(asked)}"
    number = str(int(file.stem[:2]))
    assert 3 <= len(seen) <= 5 and {*seen} == {n for n in CHECKS if n.split(".")[0] == number}
    took = time.process_time() - start
    print(f"{file.stem}: {took:.0f} s of processor time")
    assert took < SECONDS

@pytest.mark.parametrize("file", LESSONS, ids=lambda p: p.stem)
def test_lesson_has_what_a_lesson_has(file):
    nb = read_notebook(file)
    text = "\n".join("".join(c["source"]) for c in nb["cells"])
    for words in ("**You will be able to**", "## Intuition", "## Quiz", "## Further reading", "$$", "try_it(", "quiz("): assert words in text, words

def test_there_are_eight(): assert [p.stem[:2] for p in LESSONS] == [f"0{i}" for i in range(1, 9)]

def test_the_student_gets_no_solutions_and_keeps_his_work(tmp_path):
    out = run(DD_NB, "course", tmp_path/"class", env=os.environ).stdout
    files = sorted((tmp_path/"class").glob("0*.ipynb"))
    assert len(files) == len(LESSONS) and "dd-nb lab" in out
    for f, source in zip(files, LESSONS):
        student, whole = json.loads(f.read_text()), read_notebook(source)
        for c in code(whole):
            if kind(c)[0] in ("solution", "wrong"):
                body = c.split("\n", 1)[1]
                assert body not in "\n\n".join(code(student)), f"{f.name} gives away {c.splitlines()[0]}"
        assert "#| " not in "\n".join(code(student)) and not any(c.get("outputs") for c in student["cells"])
        for c in code(student): ast.parse(c)
    files[0].write_text("mine")
    assert run(DD_NB, "course", tmp_path/"class", "--solutions", env=os.environ).returncode == 0
    assert files[0].read_text() == "mine"
    solved = sorted((tmp_path/"class"/"solutions").glob("0*.ipynb"))
    assert len(solved) == len(LESSONS) and (tmp_path/"class"/"leaderboard.ipynb").is_file()
    assert not any("..." in c for c in code(json.loads(solved[0].read_text())) if c.startswith("# Solution"))

def test_the_leaderboard_notebook(tmp_path, monkeypatch):
    "Its cells in a folder with a good file, a broken one and one that comes later; the board looks by itself."
    monkeypatch.chdir(tmp_path)
    from dd_nb.core import generator
    from dd_nb.data import load_data
    from dd_nb.distilled import Images
    (tmp_path/"handed_in").mkdir()
    hand = lambda name, seed: os.utime(Images.start(load_data("digits"), 1, generator(seed), recipe=dict(method="random", data="digits")).save(tmp_path/"handed_in"/name), (time.time() - 5,)*2)
    hand("ada.safetensors", 0)
    (tmp_path/"handed_in"/"bob.safetensors").write_bytes(b"broken")
    os.utime(tmp_path/"handed_in"/"bob.safetensors", (time.time() - 5,)*2)
    first, second = code(read_notebook(LESSONS[0].with_name("leaderboard.ipynb")))
    lesson = Lesson(tmp_path)
    lesson.run(first)
    board = lesson.run(re.sub("epochs=100", "epochs=10", second.replace("every=5", "every=.5")))
    try:
        assert "ada" in board.shown.value and "damaged" in board.shown.value
        hand("cem.safetensors", 1)
        end = time.time() + 90
        while "cem" not in board.shown.value: assert time.time() < end; time.sleep(.2)
    finally: board.stop()
