"""Doors for gateways: each speaks a gateway's own protocol, and asks the gate's service."""
