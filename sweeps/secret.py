"""Takes secrets out of what is written or shown: of the environment, and of addresses."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import unquote

STANDS_FOR = "***"
SHORTEST = 6
"""Characters of a value of the environment that is taken for a secret: shorter ones are words."""

_NAME = re.compile(r"TOKEN|PASSW|SECRET|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY", re.I)
_PLACE = re.compile(r"(_PATH|_FILE|_DIR|_URL)$", re.I)
_LOGIN = re.compile(r"(://[^/\s@:'\"]*):([^/\s'\"]*)@")
_QUERY = re.compile(
    r"([?&][\w.-]*(?:token|passw|secret|key|sig|credential)[\w.-]*=)[^&\s'\"]+", re.I
)


def scrubbed(text: str) -> str:
    """A text without the secrets that the environment has, and without those of any address."""
    for value in sorted(set(_values()), key=len, reverse=True):
        text = text.replace(value, STANDS_FOR)
    text = _LOGIN.sub(rf"\1:{STANDS_FOR}@", text)
    return _QUERY.sub(rf"\1{STANDS_FOR}", text)


def _values() -> Iterator[str]:
    for name, value in os.environ.items():
        found = [value] if _NAME.search(name) and not _PLACE.search(name) else []
        for login in _LOGIN.finditer(value):
            found += [login[2], unquote(login[2])]
        yield from (secret for secret in found if len(secret) >= SHORTEST)
