"""The services over HTTP: Connect's unary protocol for all of them, and `/v1` for gateways."""
