"""What reads files that somebody else may have written, as functions of the files' bytes.

Each target may answer or raise a HyperpruneError; anything else is a fault. `guarded` also turns a
write outside the sandbox, a new process, a connection or an unpickled name into one.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

RECIPE = """title = "toy"
[data]
corpus = "text"
root = {root!r}
[model]
name = "stacked_lstm"
hidden = 4
embedding = 4
layers = 1
[train]
epochs = 3
batch = 12
lr = 5.0
eval_batch = 4
bptt = 20
threads = 1
[space]
removal = ["magnitude", {{ name = "mest", gamma = 0.5 }}]
removal_rate = {{ low = 0.3, high = 0.7 }}
[spectrum]
sequences = 2
burn_in = 2
steps = 5
[search]
searcher = "random"
candidates = 2
[final]
finalists = 1
"""


class Escaped(BaseException):
    """Something was done that no file may cause."""


NEVER = {
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "socket.connect",
    "pickle.find_class",
    "code.__new__",
}
WRITES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate"}

_sandbox: list[str] = []


def _audit(event, arguments):
    if not _sandbox:
        return
    if event in NEVER:
        raise Escaped(f"{event} {arguments}")
    writing = event == "open" and _writes(arguments)
    if writing or event in WRITES:
        path = arguments[0]
        if isinstance(path, (str, bytes, os.PathLike)):
            real = os.path.realpath(os.fsdecode(path))
            if not real.startswith((_sandbox[0], "/dev/null")) and "__pycache__" not in real:
                raise Escaped(f"{event} {real}")


def _writes(arguments):
    _, mode, flags = arguments
    if isinstance(mode, str):
        return bool(set(mode) & set("wax+"))
    return bool(flags and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


_hooked: list[bool] = []


@contextlib.contextmanager
def guarded(sandbox):
    """Watch what is done within the block."""
    if not _hooked:
        sys.addaudithook(_audit)  # for good: a hook cannot be taken away
        _hooked.append(True)
    _sandbox[:] = [os.path.realpath(sandbox)]
    try:
        yield
    finally:
        _sandbox.clear()


class Targets:
    """A finished run in a sandbox, and one file of it at a time replaced."""

    names = ("recipe", "corpus", "journal", "run", "result", "checkpoint", "spectrum")

    def __init__(self, sandbox: Path) -> None:
        import torch

        import hyperprune
        from hyperprune.execution.job import Job
        from hyperprune.execution.worker import advance
        from hyperprune.recipe import loads
        from hyperprune.training.build import build_trainer, load_task

        torch.set_num_threads(1)
        self.sandbox = sandbox
        self.text = sandbox / "text"
        self.text.mkdir()
        words = " ".join(f"w{i * i % 17}" for i in range(120))
        for split in ("train", "valid", "test"):
            (self.text / f"{split}.txt").write_text(f"{words}\n{words}\n")
        self.recipe_text = RECIPE.format(root=str(self.text))
        self.recipe = loads(self.recipe_text)
        self.run = sandbox / "run"
        hyperprune.run(self.recipe, folder=self.run)
        self.trainer = build_trainer(self.recipe, load_task(self.recipe), sparse=True)
        job = Job("c000", sandbox / "c000", self.recipe.model_dump(mode="json"), True, 2)
        outcome = advance(job, lambda event: None, lambda: False)
        assert outcome.failure is None, outcome
        self.seeds = {
            "recipe": self.recipe_text.encode(),
            "corpus": (self.text / "train.txt").read_bytes(),
            "journal": (self.run / "journal.jsonl").read_bytes(),
            "run": (self.run / "run.json").read_bytes(),
            "result": (self.run / "result.json").read_bytes(),
            "checkpoint": (sandbox / "c000" / "checkpoint.safetensors").read_bytes(),
            "spectrum": (self.run / "dense" / "spectra" / "0001.safetensors").read_bytes(),
        }

    def check(self, name: str, data: bytes) -> bool:
        """Feed bytes to a target; says whether they were refused."""
        from hyperprune.errors import HyperpruneError

        with guarded(self.sandbox):
            try:
                getattr(self, f"_{name}")(data)
            except HyperpruneError as error:
                refused = str(error)
            else:
                return False
        if not refused.strip():
            raise AssertionError("an error without words")
        return True

    def _recipe(self, data):
        from hyperprune.recipe import loads

        loads(data.decode("utf-8", "replace"))

    def _corpus(self, data):
        from hyperprune.builtin.corpora.folder import text

        folder = self.sandbox / "corpus"
        folder.mkdir(exist_ok=True)
        for split in ("train", "valid", "test"):
            (folder / f"{split}.txt").write_bytes(data)
        found = text(folder)
        assert int(found.train.max()) < len(found.vocabulary)

    def _replaced(self, name, data, read):
        path = self.run / name
        before = path.read_bytes()
        path.write_bytes(data)
        try:
            read()
        finally:
            path.write_bytes(before)

    def _look(self):
        from hyperprune.judgement.standing import standing

        result = self.run / "result.json"
        kept = result.read_bytes()
        result.unlink()  # what an unfinished run shows is read from its journal
        try:
            standing(self.run)
        finally:
            result.write_bytes(kept)

    def _journal(self, data):
        self._replaced("journal.jsonl", data, self._look)

    def _run(self, data):
        from hyperprune.pipeline.changes import check_unchanged
        from hyperprune.store.run import Run

        self._replaced("run.json", data, lambda: check_unchanged(Run.open(self.run)))

    def _result(self, data):
        from hyperprune.judgement.standing import standing

        self._replaced("result.json", data, lambda: standing(self.run))

    def _checkpoint(self, data):
        from hyperprune.store.training import TrainingFolder

        folder = TrainingFolder(self.sandbox / "c000")
        folder.checkpoint.write_bytes(data)
        folder.restore(self.trainer)

    def _spectrum(self, data):
        from hyperprune.builtin.distances import DISTANCES
        from hyperprune.lyapunov import LyapunovSpectrum, distance_with_error

        path = self.sandbox / "spectrum.safetensors"
        path.write_bytes(data)
        found = LyapunovSpectrum.load(path)
        reference = LyapunovSpectrum.load(self.run / "dense" / "spectra" / "0001.safetensors")
        distance_with_error(DISTANCES["l2"], found, reference)
