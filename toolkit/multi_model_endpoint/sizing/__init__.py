"""Which instances, and how many: the arithmetic of an endpoint's cache."""
