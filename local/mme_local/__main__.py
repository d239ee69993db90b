"""``python -m mme_local`` is ``mme serve``."""

from mme_local.cli import serve

serve(prog_name="mme serve")
