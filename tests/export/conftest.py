import shutil

import pytest

from hyperprune.testing.tiny import tiny_run


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of a finished tiny run, whose text is no longer there."""
    folder = tmp_path_factory.mktemp("export")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYPERPRUNE_CACHE", str(folder / "cache"))
        tiny_run(folder)
    shutil.rmtree(folder / "text")
    return folder / "run"
