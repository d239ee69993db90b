"""MiniStack as the local AWS: all that knows its internals, and nothing outside of this folder does.

They are private, so its version is pinned, and tests/local/control_plane/test_ministack.py fails when one moves.
"""
