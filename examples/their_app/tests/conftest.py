"""The fixture ``local_aws``: a local endpoint that all tests share."""

pytest_plugins = ["mme_local.testing.fixtures"]
