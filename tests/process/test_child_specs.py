"""What each child of `creditgate up` is given."""

from pathlib import Path

from gate.process.child_specs import child_environment, own_children
from gate.settings import load_settings


def test_billing_alone_is_given_the_key_of_webhooks(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, webhook_key="k" * 32, workers=2)
    environment = child_environment(settings, None)
    children = own_children(settings, environment, [], 0)
    given = {
        child.name: "CREDITGATE_WEBHOOK_KEY" in (child.environment or {}) for child in children
    }
    assert given == {
        "migrate": False,
        "flusher": False,
        "billing": True,
        "gate-1": False,
        "gate-2": False,
    }
