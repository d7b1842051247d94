"""What a rule may say of a trial after a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Decision:
    """What becomes of a trial after a report.

    Args:
        action: `pause` lets it wait where it is; it may be told to go on later.
        reason: Of a stop or a pause, in words, with the numbers that it rests on.
    """

    action: Literal["go_on", "stop", "pause"]
    reason: str = ""


GO_ON = Decision("go_on")
