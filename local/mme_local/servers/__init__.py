"""The real model servers, one module each; ``choice`` says which one stands in for an image."""
