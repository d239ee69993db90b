"""The endpoint: its containers, role and network, how it is updated, and what is granted of it."""
