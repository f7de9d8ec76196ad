"""The settings that the gate goes by, besides an account's sums."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace

from meter.journal.operations import Change, Create, Grace, GrantCredits, Level, Update


@dataclass(frozen=True, slots=True)
class Settings:
    """Holds the settings that operations have put into effect, and the graces that have begun."""

    spend_management: bool = True
    levels: tuple[Level, ...] = ()
    graces: tuple[Grace, ...] = ()
    graces_begun: Mapping[str, int] = field(default_factory=dict)  # class of traffic -> ms

    def changed(self, change: Change) -> "Settings":
        """Returns the settings after the operation; `self`, if the operation changes none.

        A grace that goes on keeps the time at which the grace began.
        """
        match change:
            case Create() | Update():
                return Settings(
                    change.spend_management,
                    change.levels,
                    change.graces,
                    self._begun_of(change.graces),
                )
            case GrantCredits(levels=levels) if levels is not None:
                return replace(self, levels=levels)
            case _:
                return self

    def _begun_of(self, graces: Iterable[Grace]) -> dict[str, int]:
        classes = {grace.traffic_class for grace in graces}
        return {name: began_ms for name, began_ms in self.graces_begun.items() if name in classes}

    def with_grace_begun(self, traffic_class: str, began_ms: int) -> "Settings":
        """Returns the settings with the grace of this class begun."""
        return replace(self, graces_begun={**self.graces_begun, traffic_class: began_ms})

    def with_graces_over(self) -> "Settings":
        """Returns the settings with no grace begun."""
        return replace(self, graces_begun={})

    def to_json(self) -> str:
        return json.dumps(
            asdict(self),
            separators=(",", ":"),
            sort_keys=True,
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str) -> "Settings":
        values = json.loads(text)
        return cls(
            values["spend_management"],
            tuple(Level(**level) for level in values["levels"]),
            tuple(Grace(**grace) for grace in values["graces"]),
            values["graces_begun"],
        )
