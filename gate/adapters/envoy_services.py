"""Builds the services that Envoy calls; they ask the gate's service in the same process."""

from google.protobuf.descriptor import ServiceDescriptor

from gate.adapters.envoy import AuthorizationService
from gate.adapters.envoy_settling import RateLimitService
from gate.envoy import auth_pb2, ratelimit_pb2
from gate.envoy_settings import EnvoySettings
from gate.metrics import GateMetrics
from gate.pricing import Pricer
from gate.service import GateService


def envoy_services(
    settings: EnvoySettings,
    gate: GateService,
    pricer: Pricer,
    metrics: GateMetrics,
) -> dict[ServiceDescriptor, object]:
    """Returns the services by their descriptors."""
    auth = auth_pb2.DESCRIPTOR.services_by_name["Authorization"]
    rate_limit = ratelimit_pb2.DESCRIPTOR.services_by_name["RateLimitService"]
    return {
        auth: AuthorizationService(gate, pricer, settings),
        rate_limit: RateLimitService(gate, metrics.decisions, settings),
    }
