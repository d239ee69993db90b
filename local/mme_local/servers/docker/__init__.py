"""The very image that a container names, run by the ``docker`` command of this machine."""
