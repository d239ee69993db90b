"""The store of the models, what is in it, and how it gets there."""
