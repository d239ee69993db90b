"""What the images do first in script mode: import the program, and die where that fails; then become the model server.

Usage: ``python -m mme_local.servers.handlers.import_program DIRECTORY PROGRAM COMMAND…``
"""

from __future__ import annotations

import importlib
import os
import sys

if __name__ == "__main__":
    directory, program, *command = sys.argv[1:]
    sys.path.insert(0, directory)
    importlib.import_module(program.removesuffix(".py"))
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - our own command
