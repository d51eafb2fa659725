import subprocess
import sys

import pytest
from distributions import environment


@pytest.fixture(scope="session")
def hyperprune_in():
    """Run the command line in a process that sees packages in a folder."""

    def call(site, *words, cwd=None, python=sys.executable, **others):
        return subprocess.run(
            [python, "-m", "hyperprune", *map(str, words)],
            capture_output=True,
            text=True,
            cwd=cwd or site,
            env=environment(site, **others),
            check=False,
        )

    return call
