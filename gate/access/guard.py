"""Stands before the services: a call goes on only if the caller's token allows the call."""

import time
from collections.abc import Awaitable, Callable, Mapping
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

import structlog
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor

from gate.access.callers import Caller, Callers
from gate.access.roles import RIGHTS, Right
from gate.metrics import AccessMetrics
from gate.server.status import status_of
from gate.v1.gate_pb2 import BatchRequest, BatchResponse, BatchResult
from gate.validation import check_batch
from meter.actor import ACTOR
from meter.errors import PermissionDenied, ServiceError, Unauthenticated

_Method = Callable[[Any], Awaitable[Any]]
_AccountOf = Callable[[Any], str]

_LOG_AGAIN_S = 60.0
_BATCH = BatchRequest.DESCRIPTOR.full_name

log = structlog.get_logger()


class Guard:
    """Wraps services so that their methods ask for the caller's token first.

    The server tells the token by `present` before it calls a method.
    """

    def __init__(self, callers: Callers, metrics: AccessMetrics) -> None:
        self._callers = callers
        self._rejections = _Rejections(metrics)

    def over(
        self, services: Mapping[ServiceDescriptor, object]
    ) -> dict[ServiceDescriptor, SimpleNamespace]:
        """Returns the services with the guard before each method."""
        return {
            descriptor: self._service(descriptor, service)
            for descriptor, service in services.items()
        }

    def _service(self, descriptor: ServiceDescriptor, service: object) -> SimpleNamespace:
        methods = {}
        for method in descriptor.methods:
            methods[method.name] = self._guarded(method, getattr(service, method.name))
        return SimpleNamespace(**methods)

    def _guarded(self, method: MethodDescriptor, call: _Method) -> _Method:
        right = RIGHTS[method.full_name]
        if method.input_type.full_name == _BATCH:
            return self._batch(method.name, right, call)
        account_of = account_finder(method.input_type)
        if right.is_change:
            return self._change(method.name, right, account_of, call)
        return self._plain(method.name, right, account_of, call)

    def _plain(
        self,
        name: str,
        right: Right,
        account_of: _AccountOf,
        call: _Method,
    ) -> _Method:
        def plain(request: Any) -> Awaitable[Any]:
            caller = self._identified(name)
            self._require_right(caller, name, right)
            self._require_account(caller, name, account_of(request))
            return call(request)

        return plain

    def _change(
        self,
        name: str,
        right: Right,
        account_of: _AccountOf,
        call: _Method,
    ) -> _Method:
        """Returns the method under the caller's name, with a line in the log for each call."""

        async def change(request: Any) -> Any:
            caller = self._identified(name)
            outcome = "FAILED"
            ACTOR.set(caller.name)
            try:
                self._require_right(caller, name, right)
                self._require_account(caller, name, account_of(request))
                response = await call(request)
                outcome = "OK"
                return response
            except ServiceError as refused:
                outcome = refused.reason
                raise
            finally:
                ACTOR.set("")  # not by a token: a call may end in another context
                log.info(
                    "admin_call",
                    caller=caller.name,
                    method=name,
                    account_id=account_of(request),
                    request_id=getattr(request, "request_id", ""),
                    outcome=outcome,
                )

        return change

    def _batch(self, name: str, right: Right, call: _Method) -> _Method:
        """Returns the method, in which items of foreign accounts fail alone."""

        async def batch(request: BatchRequest) -> BatchResponse:
            caller = self._identified(name)
            self._require_right(caller, name, right)
            foreign = self._foreign_items(caller, name, request)
            if not foreign:
                response: BatchResponse = await call(request)
                return response
            check_batch(request)
            own = [item for index, item in enumerate(request.items) if index not in foreign]
            results = []
            if own:
                results = list((await call(BatchRequest(items=own))).results)
            for index, refused in foreign.items():
                results.insert(index, BatchResult(error=status_of(refused)))
            return BatchResponse(results=results)

        return batch

    def _foreign_items(
        self,
        caller: Caller,
        name: str,
        request: BatchRequest,
    ) -> dict[int, ServiceError]:
        """Returns the errors of the items that the caller may not send, by ascending index."""
        foreign: dict[int, ServiceError] = {}
        if caller.is_for_all_accounts:
            return foreign
        for index, item in enumerate(request.items):
            kind = item.WhichOneof("request")
            if kind is None:
                continue  # the service tells what is wrong with it
            try:
                self._require_account(caller, name, getattr(item, kind).account_id)
            except PermissionDenied as refused:
                foreign[index] = refused
        return foreign

    def _identified(self, name: str) -> Caller:
        caller, why = self._callers.presented()
        if caller is None:
            self._rejections.note(why, name, "")
            # One message for all: what a stranger has tried is nothing to tell him.
            raise Unauthenticated(
                "UNAUTHENTICATED",
                "the call needs a valid token: send the metadata `authorization: Bearer TOKEN`"
                " with a token that `creditgate token create` made",
            )
        return caller

    def _require_right(
        self,
        caller: Caller,
        name: str,
        right: Right,
    ) -> None:
        if caller.has(right):
            return
        self._rejections.note("role", name, caller.name)
        raise PermissionDenied(
            "FORBIDDEN",
            f"{name} needs a token with the role {' or '.join(sorted(right.roles))}",
        )

    def _require_account(
        self,
        caller: Caller,
        name: str,
        account_id: str,
    ) -> None:
        if caller.is_for(account_id):
            return
        self._rejections.note("account", name, caller.name)
        raise PermissionDenied(
            "FORBIDDEN",
            "account_id: the token is for certain accounts; name one of them",
            "account_id",
        )


class _Rejections:
    """Counts rejected calls, and logs one of each kind and caller in a minute."""

    def __init__(self, metrics: AccessMetrics) -> None:
        self._counter = metrics.rejected_tokens
        self._logged_s: dict[tuple[str, str], float] = {}

    def note(
        self,
        why: str,
        method: str,
        caller: str,
    ) -> None:
        self._counter.labels(why).inc()
        now_s = time.monotonic()
        last_s = self._logged_s.get((why, caller))
        if last_s is None or now_s - last_s >= _LOG_AGAIN_S:
            self._logged_s[(why, caller)] = now_s
            log.warning(
                "token_rejected",
                why=why,
                method=method,
                caller=caller,
            )


def account_finder(message: Descriptor) -> _AccountOf:
    """Returns the function that reads a request's account id; "" for a request of no account.

    The id is the request's own field, or a field of the resource that the request carries.
    """
    if "account_id" in message.fields_by_name:
        return attrgetter("account_id")
    for field in message.fields:
        resource = field.message_type
        if resource is not None and "account_id" in resource.fields_by_name:
            return attrgetter(f"{field.name}.account_id")
    return lambda _: ""
