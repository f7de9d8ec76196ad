"""A provider of models over HTTP, which answers as the header x-answer asks."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PIECE = 37  # bytes of a stream that are sent at once: events come in parts

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 40},
}
_SPOOF = {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}
_ANTHROPIC_FIRST = {"input_tokens": 60, "cache_read_input_tokens": 40, "output_tokens": 1}

_WITH_SPOOFS = {
    "metadata": _SPOOF,
    "choices": [{"message": {"content": json.dumps(_SPOOF), "tool": _SPOOF}}],
    'us"age': 7,
    "usage": USAGE,
    "tools": [_SPOOF],
}
_GEMINI = {
    "candidates": [{"content": {"parts": [{"text": json.dumps(_SPOOF)}]}}],
    "usageMetadata": {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 15,
        "thoughtsTokenCount": 5,
        "totalTokenCount": 120,
    },
}
_RESPONSES = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 40},
    "output_tokens": 20,
    "total_tokens": 120,
}

JSON = {
    "json": {"choices": [], "usage": USAGE},
    "spoofs": _WITH_SPOOFS,
    "priority": {"service_tier": "priority", "usage": USAGE},
    "silent": {"choices": [{"message": {"content": "no usage"}}]},
    "zero": {"usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}},
    "nonsense": {"usage": {"words": 5}},
    "gemini": _GEMINI,
    "gemini-array": [{"candidates": []}, _GEMINI],
    "responses": {"output": [{"type": "message"}], "usage": _RESPONSES},
}
_TOKENS: list[dict[str, Any]] = [{"choices": [{"delta": {"content": "a"}}], "usage": None}] * 3
EVENTS: dict[str, list[dict[str, Any]]] = {
    "sse": [*_TOKENS, {"choices": [], "usage": USAGE}],
    "half": _TOKENS,
    "held": _TOKENS,
    "responses-sse": [
        {"type": "response.created", "response": {"usage": None}},
        {"type": "response.completed", "response": {"usage": _RESPONSES}},
    ],
    "anthropic-sse": [
        {"type": "message_start", "message": {"usage": _ANTHROPIC_FIRST}},
        {"type": "content_block_delta", "delta": {"text": json.dumps(_SPOOF)}},
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 20}},
    ],
}


@dataclass
class FakeProvider:
    """Holds what the provider was asked, and lets streams of the answer `held` go on."""

    port: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)  # bodies, oldest first
    headers: list[dict[str, str]] = field(default_factory=list)
    attempts: Counter[str] = field(default_factory=Counter)  # by account
    go_on: threading.Event = field(default_factory=threading.Event)


@contextmanager
def fake_provider() -> Iterator[FakeProvider]:
    """Serves on loopback until the end of the block."""
    provider = FakeProvider()

    class Handler(_Handler):
        fake = provider

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    provider.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeProvider

    def do_GET(self) -> None:
        self._send_json(200, {"data": []})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.fake.asked.append(json.loads(body))
        self.fake.headers.append({name.lower(): value for name, value in self.headers.items()})
        answer, _, key = self.headers["x-answer"].partition("/")
        self.fake.attempts[key] += 1
        if answer == "flaky":
            is_first = self.fake.attempts[key] == 1
            self._send_json(503 if is_first else 200, JSON["json"])
        elif answer == "broken":
            self._send_json(500, {"error": {}})
        elif answer in EVENTS:
            self._stream(answer)
        else:
            self._send_json(200, JSON[answer])

    def _send_json(self, status: int, content: Any) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json; charset=utf-8")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _stream(self, answer: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        events = [f"data: {json.dumps(event)}\n\n" for event in EVENTS[answer]]
        text = "".join(events).encode()
        for start in range(0, len(text), PIECE):
            self._send_piece(text[start : start + PIECE])
        if answer == "half":
            self.close_connection = True
            return
        if answer == "held":
            self.fake.go_on.wait(30)
            self._send_piece(f"data: {json.dumps(EVENTS['sse'][-1])}\n\n".encode())
        self._send_piece(b"data: [DONE]\n\n")
        self._send_piece(b"")

    def _send_piece(self, piece: bytes) -> None:
        try:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        except OSError:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Says nothing."""
