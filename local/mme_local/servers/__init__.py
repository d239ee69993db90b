"""The real model servers, one module each."""
