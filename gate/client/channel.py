"""Opens the client's channel to a gate."""

import grpc

from gate.address import Address
from gate.channel_options import NO_PROXY
from gate.client.tls import Tls

_OPTIONS = [
    NO_PROXY,
    ("grpc.enable_retries", 0),  # the sender's own repeats are the only ones
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 1000),  # also what one attempt to connect may take
    ("grpc.max_reconnect_backoff_ms", 1000),
]


def open_channel(address: Address, tls: Tls | None) -> grpc.aio.Channel:
    """Returns a channel that connects with the first call; OSError for a file of `tls`."""
    if tls is None:
        return grpc.aio.insecure_channel(address.grpc_target, options=_OPTIONS)
    return grpc.aio.secure_channel(address.grpc_target, tls.credentials(), options=_OPTIONS)
