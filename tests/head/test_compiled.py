"""Compiled functions work where what is compiled cannot be kept."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from facemotion.head.compiled import compiled


def test_a_full_disk_costs_only_the_next_run_its_time():
    @compiled()
    def doubled(x):
        return 2 * x

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    doubled._cache._cache_file.save = full
    assert doubled(3) == 6


@pytest.mark.skipif(os.name == "nt", reason="places of POSIX")
def test_nowhere_to_keep_it_is_no_error(tmp_path):
    code = "from facemotion.head.compiled import compiled\n@compiled()\ndef f(x): return x + 1\nprint(f(1))"
    module = tmp_path / "package.py"
    module.write_text(code)
    locate = "from numba.core import caching; caching.CacheImpl._locator_classes = []"
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}
    done = subprocess.run(
        [sys.executable, "-c", f"{locate}; import package"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "2\n", done.stderr


def test_what_is_compiled_is_kept_with_the_user_and_not_beside_the_source(tmp_path):
    """What an uninstalled package leaves behind would hide the next one."""
    module = tmp_path / "package" / "module.py"
    module.parent.mkdir()
    module.write_text("from facemotion.head.compiled import compiled\n@compiled()\ndef f(x): return x + 1\nf(1)")
    paths = f"{module.parent}{os.pathsep}{Path(__file__).parents[2]}"
    environment = os.environ | {"PYTHONPATH": paths, "FACEMOTION_CACHE": str(tmp_path / "cache")}
    environment.pop("NUMBA_CACHE_DIR", None)
    subprocess.run([sys.executable, "-c", "import module"], env=environment, check=True, timeout=120)
    assert not list(module.parent.rglob("*.nbi"))
    assert list((tmp_path / "cache" / "kernels").rglob("*.nbi"))
