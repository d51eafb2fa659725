"""Output that cannot be written costs the screen, never the run; a record stands alone."""

import json
import os
import subprocess
import sys

import pytest

from hyperprune.recipe import dumps
from hyperprune.testing import tiny_recipe, tiny_text

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell and /dev/full")

NOISY = """
import atexit, os, sys
from hyperprune import hookimpl
print("noise at import")
os.write(1, b"noise below Python")

def loud(progress, start):
    \"\"\"A schedule that talks.\"\"\"
    print("noise in training")
    return start

@hookimpl
def hyperprune_schedules():
    print("noise in a hook")
    return {"loud": loud}
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(dumps(tiny_recipe(tiny_text(tmp_path / "text"))))
    return path


def shell(line, folder, **others):
    known = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    command = line.replace("hyperprune", f"{sys.executable} -m hyperprune", 1)
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=known | {"OMP_NUM_THREADS": "1", **others},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("where", ["> /dev/full", ">&-"])
def test_a_screen_that_is_gone_does_not_cost_the_run(recipe, tmp_path, where):
    done = shell(f"hyperprune run {recipe} -o run {where}", tmp_path)
    assert (tmp_path / "run" / "result.json").exists()
    assert "internal error" not in done.stderr
    assert "Traceback" not in done.stderr
    if "full" in where:
        assert done.returncode == 74
        assert "the output cannot be written: No space left on device" in done.stderr
        assert "the screen is gone" in (tmp_path / "run" / "log.jsonl").read_text()


def test_forced_colours_draw_no_screen_into_a_file(recipe, tmp_path):
    done = shell(f"hyperprune run {recipe} -o run > out.txt", tmp_path, FORCE_COLOR="1")
    assert done.returncode == 0, done.stderr
    assert "\x1b[?1049h" not in (tmp_path / "out.txt").read_text()


def test_standard_output_holds_the_record_alone(recipe, tmp_path):
    about = tmp_path / "noisy-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: noisy\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[hyperprune]\nnoisy = noisy\n")
    (tmp_path / "noisy.py").write_text(NOISY)
    seen = {
        "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}",
        "HYPERPRUNE_AUTOLOAD": "1",
    }
    done = shell(
        f"hyperprune run {recipe} -o run --json --set prune.schedule=loud", tmp_path, **seen
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["winner"]
    for words in ("at import", "below Python", "in training", "in a hook"):
        assert f"noise {words}" in done.stderr
    listed = shell("hyperprune plugins --json", tmp_path, **seen)
    assert any(item["name"] == "loud" for item in json.loads(listed.stdout)["plugins"])
    assert json.loads(shell("hyperprune schema", tmp_path, **seen).stdout)
