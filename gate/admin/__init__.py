"""`meter.v1.Accounts`: each change is recorded in the ledger first, then applied to Redis."""

from meter.v1.accounts_pb2 import DESCRIPTOR

SERVICE = DESCRIPTOR.services_by_name["Accounts"]


class AccountsService:
    """The service's calls, each by the part that has it; what they mean stands in
    proto/meter/v1/accounts.proto.
    """

    def __init__(self, *parts: object) -> None:
        for method in SERVICE.methods:
            (part,) = (part for part in parts if hasattr(part, method.name))
            setattr(self, method.name, getattr(part, method.name))
