"""What the start of ``mme serve`` imports."""

from __future__ import annotations

import subprocess
import sys


def test_a_start_imports_no_client_of_model_servers() -> None:
    program = (
        "import sys, pathlib, mme_local.cli as cli; unused = pathlib.Path('unused');"
        "cli.make_hosting(1, unused, cli.make_servers('auto', {}, unused, None), None, 1, False);"
        "print(*sorted({'aiohttp', 'mme_local.servers.mms', 'mme_local.servers.triton'} & set(sys.modules)))"
    )
    imported = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert imported.split() == []
