"""Fetches metrics as Prometheus does."""

from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Metrics:
    """Reads what is served at a port."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"

    def text(self) -> str:
        with urlopen(f"http://{self.address}/metrics", timeout=10) as reply:
            return str(reply.read().decode())

    def samples(self) -> Samples:
        """Returns values by name and sorted labels."""
        families = text_string_to_metric_families(self.text())
        return {
            (each.name, tuple(sorted(each.labels.items()))): each.value
            for family in families
            for each in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """Returns the value of a metric; 0 if nothing was counted yet."""
        return self.samples().get((name, tuple(sorted(labels.items()))), 0.0)
