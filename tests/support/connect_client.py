"""A client of Connect's unary protocol, as any HTTP client can be one."""

import base64
import json
from http.client import HTTPConnection
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import ErrorInfo

from gate.envoy import auth_pb2, ratelimit_pb2
from gate.v1 import gate_pb2
from meter.v1 import accounts_pb2, ledger_pb2, notifications_pb2, payments_pb2

# The names that the stubs have in a client of gRPC, and their services.
_OF_GATE = (
    ("gate", gate_pb2, "Gate"),
    ("accounts", accounts_pb2, "Accounts"),
    ("authorization", auth_pb2, "Authorization"),
    ("rate_limit", ratelimit_pb2, "RateLimitService"),
)
_OF_BILLING = (
    ("ledger", ledger_pb2, "Ledger"),
    ("payments", payments_pb2, "Payments"),
    ("notifications", notifications_pb2, "Notifications"),
)


class Answer:
    """Holds what came back."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Http:
    """Speaks HTTP with one address, and bears a token; an empty one is not sent."""

    def __init__(self, address: str, token: str = "") -> None:
        self._connection = HTTPConnection(address, timeout=10)
        self._own = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Sends a request; headers are named with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(method, path, body, self._own | named)
        with self._connection.getresponse() as response:
            fields = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, fields, response.read())

    def post(self, path: str, content: Any, **headers: str) -> Answer:
        """Posts JSON."""
        body = json.dumps(content).encode()
        return self.ask("POST", path, body, **{"Content_Type": "application/json"} | headers)

    def close(self) -> None:
        self._connection.close()


class ConnectError(Exception):
    """Tells the reason of an error."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.json["message"])
        self.status = answer.status
        self.code = answer.json["code"]
        self.reason = self.code
        for detail in answer.json.get("details", ()):
            if detail["type"] == "google.rpc.ErrorInfo":
                padded = f"{detail['value']}==="
                self.reason = ErrorInfo.FromString(base64.b64decode(padded)).reason


class ConnectClient:
    """Has the same stubs as a client of gRPC."""

    def __init__(self, target: str, billing_target: str, token: str) -> None:
        self._gate = Http(target, token)
        self._billing = Http(billing_target, token)
        for name, file, service in _OF_GATE:
            setattr(self, name, _Stub(self._gate, file.DESCRIPTOR.services_by_name[service]))
        for name, file, service in _OF_BILLING:
            setattr(self, name, _Stub(self._billing, file.DESCRIPTOR.services_by_name[service]))

    def close(self) -> None:
        self._gate.close()
        self._billing.close()


class _Stub:
    def __init__(self, http: Http, service: ServiceDescriptor) -> None:
        self._http = http
        self._service = service

    def __getattr__(self, name: str) -> Any:
        method = self._service.methods_by_name[name]
        path = f"/{self._service.full_name}/{name}"

        def call(request: Any) -> Any:
            body = request.SerializeToString()
            answer = self._http.ask("POST", path, body, Content_Type="application/proto")
            if answer.status != 200:
                raise ConnectError(answer)
            return GetMessageClass(method.output_type).FromString(answer.body)

        return call
