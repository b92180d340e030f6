"""`[[request]]`: which outbound requests the operator makes for guests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from maxwell.config.records import RequestConfig
from maxwell.outbound.message import parse_target
from maxwell.outbound.refused import Refused

if TYPE_CHECKING:
    from maxwell.config.table import Table

TIMEOUT_NS_MAX: Final = 600_000_000_000
"""Ten minutes."""
REQUEST_BYTES_MAX: Final = 1 << 20
ANSWER_BYTES_MAX: Final = 4 << 20
_METHOD: Final = re.compile(r"[A-Z]{1,16}")


def read_request(table: Table) -> RequestConfig:
    """Reads one rule.

    Raises:
        ConfigError: MX1003 to MX1006.
    """
    name = table.name()
    table.required("url", example='"https://api.example.com/v1/"')
    default = RequestConfig(name=name, url="")
    url = table.text("url", default="")
    try:
        target = parse_target(url)
    except Refused as refused:
        table.fail(
            "url",
            f"url: {url!r}: {refused.why}",
            code="MX1006",
            hint='such as "https://api.example.com/v1/"',
        )
    if "?" in target.path:
        table.fail("url", "url: a rule names a path, not a query", code="MX1006")
    methods = table.texts("methods") if table.has("methods") else default.methods
    for method in methods:
        if not _METHOD.fullmatch(method) or method == "CONNECT":
            table.fail(
                "methods",
                f"methods: not a method: {method!r}",
                code="MX1006",
                hint='such as ["GET", "POST"]',
            )
    price = table.energy_uj("price", default=0)
    per_kib = table.energy_uj("price_per_kib", default=0)
    timeout = table.duration_ns("timeout", default=default.timeout_ns, least=1_000_000)
    assert price is not None
    assert per_kib is not None
    assert timeout is not None
    if timeout > TIMEOUT_NS_MAX:
        table.fail("timeout", "timeout: out of range", code="MX1006", hint="at most 10 min")
    return RequestConfig(
        name=name,
        url=url,
        methods=methods,
        price_credits=price,
        price_per_kib_credits=per_kib,
        timeout_ns=timeout,
        request_bytes_max=table.memory_bytes(
            "request_max", default=default.request_bytes_max, least=1, most=REQUEST_BYTES_MAX
        ),
        answer_bytes_max=table.memory_bytes(
            "answer_max", default=default.answer_bytes_max, least=1, most=ANSWER_BYTES_MAX
        ),
        local=table.boolean("local", default=False),
        secret_headers=table.pairs("secret_headers"),
    )
