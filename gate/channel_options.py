"""Options of every channel to the services."""

# Proxies of the environment are for the world outside; nobody reaches a sidecar through one.
NO_PROXY = ("grpc.enable_http_proxy", 0)
