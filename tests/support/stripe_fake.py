"""A Stripe of our own: the objects that we use as state machines, with Stripe's idempotency, its
events, and faults by rule. The real library speaks to it over HTTP.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import stripe

SECRET = "whsec_of_the_fake"
NOON_S = 1_772_366_400
CARDS = {
    "visa": ("visa", "4242"),
    "insufficient": ("visa", "9995"),
    "stolen": ("visa", "9979"),
    "not again": ("mastercard", "0002"),
    "3ds": ("visa", "3184"),
    "slow": ("visa", "0077"),
}
_DECLINES = {
    "insufficient": {"code": "card_declined", "decline_code": "insufficient_funds"},
    "stolen": {"code": "card_declined", "decline_code": "stolen_card"},
    "not again": {
        "code": "card_declined",
        "decline_code": "do_not_honor",
        "advice_code": "do_not_try_again",
    },
}
Params = dict[str, str]


class Refused(Exception):
    def __init__(self, status: int, **error: Any) -> None:
        super().__init__(error)
        self.status = status
        self.error = {"message": error.get("code", "refused"), **error}


class StripeFake:
    """Holds all objects; each call of a test, or by HTTP, is one step."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.requests: list[tuple[str, Params]] = []
        self.faults: list[tuple[str, str]] = []  # (part of the path, what goes wrong), once each
        self.url = ""
        self._answers: dict[str, tuple[str, Params, int, Any]] = {}
        self._lock = threading.RLock()

    # What a test does in place of a customer, a bank, or Stripe itself.

    def save_card(self, customer: str, kind: str) -> str:
        brand, last4 = CARDS[kind]
        card = {
            "brand": brand,
            "last4": last4,
            "exp_month": 12,
            "exp_year": 2099,
            "fingerprint": f"fp {kind}",
        }
        method = self._new("pm", "payment_method", type="card", customer=customer, card=card)
        method["billing_details"] = {"name": "Ada Lovelace"}
        method["kind"] = kind
        for session in self.objects.values():
            if session.get("mode") == "setup" and session["customer"] == customer:
                session["status"] = "complete"
                self._tell("checkout.session.completed", session)
        return str(method["id"])

    def finish(self, intent_id: str, *, succeeds: bool = True) -> None:
        """Ends what is processing, or what the customer has confirmed or not."""
        intent = self.objects[intent_id]
        if succeeds:
            self._charge(intent)
        else:
            error = {"code": "payment_intent_authentication_failure", "type": "card_error"}
            intent.update(status="requires_payment_method", last_payment_error=error)
            self._tell("payment_intent.payment_failed", intent)

    def pay_page(self, session_id: str, amount: int | None = None) -> str:
        """Pays on a page; another amount is what a coupon would do."""
        session = self.objects[session_id]
        intent = self.objects[session["intent_id"]]
        if amount is not None:
            intent["amount"] = amount
        self._charge(intent)
        session.update(status="complete", payment_intent=intent["id"], url=None)
        self._tell("checkout.session.completed", session)
        return str(intent["id"])

    def dispute(self, intent_id: str, status: str, amount: int) -> None:
        charge = self.objects[self.objects[intent_id]["latest_charge"]]
        charge["disputed"] = True
        dispute = self._new("dp", "dispute", payment_intent=intent_id, amount=amount, status=status)
        self._tell("charge.dispute.created", dispute)

    def close_dispute(self, intent_id: str, status: str) -> None:
        for each in self._all("dispute", payment_intent=intent_id):
            each["status"] = status
            self._tell("charge.dispute.closed", each)

    def signed(self, event: dict[str, Any], secret: str = SECRET) -> tuple[str, bytes]:
        """Returns the header and the body with which Stripe delivers an event."""
        body = json.dumps(event)
        header = stripe.WebhookSignature.generate_signature_header(body, secret)
        return header, body.encode()

    def charges(self, intent_id: str) -> int:
        """Counts how often a payment has taken money."""
        return len(self._all("charge", payment_intent=intent_id, paid=True))

    # The API.

    def answer(self, method: str, path: str, params: Params, key: str) -> tuple[int, Any]:
        with self._lock:
            self.requests.append((f"{method} {path}", params))
            if key and key in self._answers:
                known_path, known_params, status, body = self._answers[key]
                if (known_path, known_params) != (path, params):
                    return 400, {"error": {"type": "idempotency_error", "message": "other"}}
                return status, body
            status, body = self._answer_new(method, path, params)
            if key:
                self._answers[key] = (path, dict(params), status, body)
            return status, body

    def _answer_new(self, method: str, path: str, params: Params) -> tuple[int, Any]:
        words = path.strip("/").split("/")[1:]
        try:
            return 200, json.loads(json.dumps(self._route(method, words, params)))
        except Refused as refused:
            return refused.status, {"error": json.loads(json.dumps(refused.error))}

    def _route(self, method: str, words: list[str], params: Params) -> Any:
        match method, words:
            case "POST", ["customers"]:
                return self._new("cus", "customer", metadata={})
            case "GET", ["customers", customer, "payment_methods"]:
                return self._list(self._all("payment_method", customer=customer)[::-1])
            case "POST", ["payment_methods", ref, "detach"]:
                return self._detach(ref)
            case "POST", ["payment_intents"]:
                return self._new_intent(params)
            case "GET", ["payment_intents", ref]:
                return self._shown(self._get(ref), params)
            case "POST", ["payment_intents", ref, "confirm"]:
                return self._shown(self._confirm(self._get(ref), params), params)
            case "POST", ["payment_intents", ref, "cancel"]:
                return self._cancel(self._get(ref))
            case "POST", ["checkout", "sessions"]:
                return self._new_session(params)
            case "GET", ["checkout", "sessions", ref]:
                return self._shown_session(self._get(ref))
            case "POST", ["checkout", "sessions", ref, "expire"]:
                return self._expire(self._get(ref))
            case "POST", ["refunds"]:
                return self._refund(params)
            case "GET", ["disputes"]:
                found = self._all("dispute", payment_intent=params["payment_intent"])
                return self._list(found)
            case "GET", ["events"]:
                return self._list(self._events_before(params))
        raise Refused(404, type="invalid_request_error", code="resource_missing")

    def _new(self, prefix: str, name: str, **fields: Any) -> dict[str, Any]:
        made = {"id": f"{prefix}_{len(self.objects)}", "object": name, **fields}
        self.objects[made["id"]] = made
        return made

    def _get(self, ref: str) -> dict[str, Any]:
        if ref not in self.objects:
            raise Refused(404, type="invalid_request_error", code="resource_missing")
        return self.objects[ref]

    def _all(self, name: str, **fields: Any) -> list[dict[str, Any]]:
        found = [each for each in self.objects.values() if each["object"] == name]
        return [each for each in found if all(each.get(k) == v for k, v in fields.items())]

    def _list(self, found: list[dict[str, Any]]) -> dict[str, Any]:
        return {"object": "list", "data": found, "has_more": False, "url": "/"}

    def _tell(self, type: str, thing: dict[str, Any]) -> None:
        event = {"id": f"evt_{len(self.events)}", "object": "event", "type": type}
        self.events.append(event | {"data": {"object": dict(thing)}})

    def _events_before(self, params: Params) -> list[dict[str, Any]]:
        ids = [event["id"] for event in self.events]
        first = ids.index(params["ending_before"]) + 1 if "ending_before" in params else 0
        return self.events[first:][::-1]

    def _new_intent(self, params: Params) -> dict[str, Any]:
        amount = int(params["amount"])
        if amount < 50:
            raise Refused(400, type="invalid_request_error", code="amount_too_small")
        return self._new(
            "pi",
            "payment_intent",
            amount=amount,
            amount_received=0,
            currency=params["currency"],
            customer=params["customer"],
            status="requires_payment_method",
            latest_charge=None,
            last_payment_error=None,
            next_action=None,
        )

    def _confirm(self, intent: dict[str, Any], params: Params) -> dict[str, Any]:
        if not intent["status"].startswith("requires_"):
            code = "payment_intent_unexpected_state"
            raise Refused(400, type="invalid_request_error", code=code)
        kind = self._get(params["payment_method"])["kind"]
        off_session = params.get("off_session") == "true"
        if kind in _DECLINES:
            self._decline(intent, **_DECLINES[kind])
        if kind == "3ds" and off_session:
            self._decline(intent, code="authentication_required")
        if kind == "3ds":
            redirect = {"url": f"https://hooks.stripe.com/{intent['id']}", "return_url": None}
            action = {"type": "redirect_to_url", "redirect_to_url": redirect}
            intent.update(status="requires_action", next_action=action)
        elif kind == "slow":
            intent["status"] = "processing"
        else:
            self._charge(intent)
        return intent

    def _decline(self, intent: dict[str, Any], **error: str) -> None:
        charge = self._new("ch", "charge", payment_intent=intent["id"], paid=False, disputed=False)
        charge["amount_refunded"] = 0
        told = {"type": "card_error", "message": "declined", **error}
        intent.update(
            status="requires_payment_method", latest_charge=charge["id"], last_payment_error=told
        )
        self._tell("payment_intent.payment_failed", intent)
        raise Refused(402, **told, payment_intent=dict(intent))

    def _charge(self, intent: dict[str, Any]) -> None:
        assert not self.charges(intent["id"]), "a payment is charged twice"
        charge = self._new("ch", "charge", payment_intent=intent["id"], paid=True, disputed=False)
        charge["amount_refunded"] = 0
        intent.update(
            status="succeeded",
            amount_received=intent["amount"],
            latest_charge=charge["id"],
            last_payment_error=None,
            next_action=None,
        )
        self._tell("payment_intent.succeeded", intent)

    def _cancel(self, intent: dict[str, Any]) -> dict[str, Any]:
        if not intent["status"].startswith("requires_"):
            code = "payment_intent_unexpected_state"
            raise Refused(400, type="invalid_request_error", code=code)
        intent["status"] = "canceled"
        self._tell("payment_intent.canceled", intent)
        return intent

    def _shown(self, intent: dict[str, Any], params: Params) -> dict[str, Any]:
        if params.get("expand[0]") != "latest_charge" or intent["latest_charge"] is None:
            return intent
        return intent | {"latest_charge": self.objects[intent["latest_charge"]]}

    def _new_session(self, params: Params) -> dict[str, Any]:
        session = self._new("cs", "checkout.session", mode=params["mode"], status="open")
        session.update(customer=params["customer"], payment_intent=None)
        session.update(url=f"https://checkout.stripe.com/{session['id']}")
        session.update(expires_at=NOON_S + 86_400)
        if params["mode"] == "payment":
            price = "line_items[0][price_data]"
            wanted = {
                "amount": params[f"{price}[unit_amount]"],
                "currency": params[f"{price}[currency]"],
                "customer": params["customer"],
            }
            session["intent_id"] = self._new_intent(wanted)["id"]
        return session

    def _shown_session(self, session: dict[str, Any]) -> dict[str, Any]:
        if session["payment_intent"] is None:
            return session
        intent = self.objects[session["payment_intent"]]
        return session | {"payment_intent": self._shown(intent, {"expand[0]": "latest_charge"})}

    def _expire(self, session: dict[str, Any]) -> dict[str, Any]:
        if session["status"] != "open":
            message = "Only Checkout Sessions with a status in open can be expired."
            raise Refused(400, type="invalid_request_error", message=message)
        session["status"] = "expired"
        return session

    def _detach(self, ref: str) -> dict[str, Any]:
        method = self._get(ref)
        if method["customer"] is None:
            raise Refused(400, type="invalid_request_error", code="not_attached")
        method["customer"] = None
        return method

    def _refund(self, params: Params) -> dict[str, Any]:
        intent = self._get(params["payment_intent"])
        charge = self.objects[intent["latest_charge"]]
        amount = int(params["amount"])
        if charge["amount_refunded"] + amount > intent["amount_received"]:
            raise Refused(400, type="invalid_request_error", code="charge_already_refunded")
        charge["amount_refunded"] += amount
        self._tell("charge.refunded", charge)
        return self._new("re", "refund", status="succeeded", amount=amount)


@contextmanager
def stripe_fake() -> Iterator[StripeFake]:
    """Serves a fake on loopback, from a thread of the test's process."""
    fake = StripeFake()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(fake))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(fake: StripeFake) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET", "")

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self._answer("POST", self.rfile.read(length).decode())

        def _answer(self, method: str, body: str) -> None:
            address = urlsplit(self.path)
            params = dict(parse_qsl(body or address.query, keep_blank_values=True))
            fault = _fault_of(fake, address.path)
            if fault.isdigit():
                self._send(int(fault), {"error": {"type": "api_error", "message": "fault"}})
                return
            key = self.headers.get("Idempotency-Key") or ""
            status, reply = fake.answer(method, address.path, params, key)
            if fault == "lose":
                self.close_connection = True  # the work is done, and nobody hears of it
                return
            self._send(status, reply)

        def _send(self, status: int, reply: Any) -> None:
            content = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        log_message: Callable[..., None] = lambda *_: None

    return Handler


def _fault_of(fake: StripeFake, path: str) -> str:
    for fault in fake.faults:
        if fault[0] in path:
            fake.faults.remove(fault)
            return fault[1]
    return ""
