"""What each child of `creditgate up` is given."""

from pathlib import Path

from gate.process.child_specs import child_environment, own_children
from gate.settings import load_settings

SMTP = {"smtp_url": "smtps://a:b@mail.example.com", "mail_from": "a@example.com"}
SECRET = {"CREDITGATE_WEBHOOK_KEY", "CREDITGATE_SMTP_URL"}


def test_billing_alone_is_given_what_webhooks_and_mails_need(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, webhook_key="k" * 32, workers=2, **SMTP)
    environment = child_environment(settings, None)
    children = own_children(settings, environment, [], 0)
    given = {child.name: (child.environment or {}).keys() >= SECRET for child in children}
    assert all(
        SECRET.isdisjoint(child.environment or {}) or given[child.name] for child in children
    )
    assert given == {
        "migrate": False,
        "flusher": False,
        "billing": True,
        "gate-1": False,
        "gate-2": False,
    }
