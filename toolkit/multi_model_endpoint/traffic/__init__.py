"""What models are sent, and how often."""

from .payloads import Payload, payloads_in, some_payloads_in
from .popularity import zipf_weights

__all__ = ["Payload", "payloads_in", "some_payloads_in", "zipf_weights"]
