"""Run the client's tests with the oldest dependencies that the toolkit takes, and with the newest there are.

Usage: ``python -m scripts.try_dependencies [lowest-direct] [highest]``, as uv calls them; both by default.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests" / "toolkit" / "calling"
"""They need nothing but the toolkit, and so none of the fixtures above their folder."""


def main(resolutions: list[str]) -> int:
    """The exit status is 1 when a test has failed."""
    return max(run_tests(resolution) for resolution in resolutions or ("lowest-direct", "highest"))


def run_tests(resolution: str) -> int:
    """Run the tests in an environment of their own."""
    uv = (sys.executable, "-m", "uv", "--quiet")
    with tempfile.TemporaryDirectory() as folder:
        python, pins = Path(folder, "venv", "bin", "python"), Path(folder, "pins.txt")
        subprocess.run([*uv, "venv", "--python", sys.executable, folder + "/venv"], check=True)
        options = ("--resolution", resolution, "--no-emit-index-url", "--output-file", str(pins))
        subprocess.run([*uv, "pip", "compile", *options, str(ROOT / "toolkit" / "pyproject.toml")], check=True)
        install = ("pip", "install", "--python", str(python), "--requirement", str(pins), "pytest")
        subprocess.run([*uv, *install], check=True)
        found = subprocess.run(
            [str(python), "-c", "import boto3, botocore; print(boto3.__version__, botocore.__version__)"],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        print(f"{resolution}: boto3 and botocore {found.stdout.strip()}", flush=True)
        pytest = ("-m", "pytest", "-q", "-c", "/dev/null", "--rootdir", str(ROOT), "--confcutdir", str(TESTS))
        command = [str(python), *pytest, "--import-mode=importlib", "-p", "no:cacheprovider", str(TESTS)]
        return subprocess.run(command, env={"PYTHONPATH": str(ROOT / "toolkit")}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
