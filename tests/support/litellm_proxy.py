"""A LiteLLM proxy in an environment of its own, with the shipped callback."""

import http.client
import json
import os
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.fake_provider import FakeProvider
from support.servers import wait_until
from support.stack import Stack, free_port

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sysconfig.get_path("scripts")) / "uv"
# 1.82.7 and 1.82.8 carried a thief; this one was looked at, and has wheels for all that it needs.
_LITELLM = "litellm[proxy]==1.108.0"
_CLIENT_NEEDS = ("grpcio", "grpcio-status", "protobuf", "googleapis-common-protos")

# A client's key is the name of the account.
_AUTH = """\
from litellm.proxy._types import UserAPIKeyAuth

async def who(request, api_key):
    return UserAPIKeyAuth(api_key=api_key, metadata={"creditgate_account": api_key})
"""


@dataclass(frozen=True)
class LiteLLM:
    """Holds where the proxy listens."""

    port: int

    def begin(self, account_id: str, answer: str, **body: Any) -> http.client.HTTPConnection:
        """Sends a chat to the model that stands for the provider's answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        chat = {
            "model": f"gpt-4o-{answer}",
            "max_tokens": 50,
            "messages": [{"role": "user", "content": "Hello"}],
            **body,
        }
        headers = {
            "authorization": f"Bearer {account_id}",
            "content-type": "application/json",
            "x-litellm-call-id": "chosen-by-the-client",
        }
        connection.request("POST", "/v1/chat/completions", json.dumps(chat), headers)
        return connection

    def call(self, account_id: str, answer: str, **body: Any) -> tuple[int, dict[str, str], bytes]:
        """Makes a chat: status, headers and body of the response."""
        connection = self.begin(account_id, answer, **body)
        try:
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            try:
                return response.status, headers, response.read()
            except http.client.IncompleteRead as cut:
                return response.status, headers, cut.partial
        finally:
            connection.close()


@contextmanager
def litellm_proxy(folder: Path, stack: Stack, provider: FakeProvider) -> Iterator[LiteLLM]:
    """Installs and runs the proxy until the end of the block."""
    python = _install(folder / "venv")
    (folder / "auth.py").write_text(_AUTH)
    config = folder / "config.yaml"
    config.write_text(json.dumps(_config(provider)))
    port = free_port()
    log = folder / "litellm.log"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "CREDITGATE_LISTEN": stack.targets[0],
        "LITELLM_MASTER_KEY": "sk-of-nobody-0123456789abcdef",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # fetches nothing
    }
    words = [str(python.parent / "litellm"), "--config", str(config)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*words, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: _listens(port, process, log), 300)
        yield LiteLLM(port)
    finally:
        process.kill()
        process.wait()


def _install(venv: Path) -> Path:
    python = venv / "bin" / "python"
    install = [str(UV), "pip", "install", "-q", "--python", str(python)]
    for words in (
        [str(UV), "venv", "-q", str(venv)],
        [*install, "--only-binary", ":all:", _LITELLM, *_CLIENT_NEEDS],
        [*install, "--no-deps", str(ROOT)],
    ):
        subprocess.run(words, check=True)
    return python


def _config(provider: FakeProvider) -> dict[str, Any]:
    answers = ("json", "sse", "held", "half", "broken")
    models = [_model(f"gpt-4o-{answer}", answer, provider) for answer in answers]
    models.append(_model("gpt-4o-back-up", "json", provider))
    return {
        "model_list": models,
        "litellm_settings": {
            "callbacks": ["gate.adapters.litellm.credits"],
            "num_retries": 0,
            "fallbacks": [{"gpt-4o-broken": ["gpt-4o-back-up"]}],
        },
        "general_settings": {"custom_auth": "auth.who"},
    }


def _model(name: str, answer: str, provider: FakeProvider) -> dict[str, Any]:
    return {
        "model_name": name,
        "litellm_params": {
            "model": "openai/gpt-4o",
            "api_base": f"http://127.0.0.1:{provider.port}/v1",
            "api_key": "the-providers",
            "extra_headers": {"x-answer": f"{answer}/0"},
        },
    }


def _listens(port: int, process: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/liveliness")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
