"""The shared line as the pages show it: what the policy means now, who says what, how much the month has used."""

from __future__ import annotations

import json
from typing import Any

from appliance.box import Box
from appliance.policies import HERE, decision_of, layers_of, month, on_hours, policy_of
from catalog.errors import ConfigError
from sync.line.policy_layers import KEYS, change_stored, default_layer, read_assignment
from sync.line.rate import used_bytes
from webui.operations import LineState, PolicyField

PLANNED = "planned"
"""Setting of `local.db`: the last plan that had anything to fetch, or that found nothing to, as `plan_json` tells it."""


def line_state(box: Box, streamed_seconds: float | None, *, chinese: bool) -> LineState:
    """Return what a page shows of the box's line; labels of fields in the page's language."""
    policy = policy_of(box)
    decision = decision_of(box, policy, streamed_seconds=streamed_seconds)
    return LineState(
        allowed=decision.allowed,
        bytes_per_second=decision.bytes_per_second,
        reason=str(decision.reason),
        until=decision.until,
        clock_ignored=decision.clock_ignored,
        used_bytes=used_bytes(box.local, month(box)),
        budget_bytes=policy.budget_bytes,
        fields=_fields(box, chinese),
        on_hours=on_hours(box).counts,
    )


def set_policy(box: Box, key: str, text: str, *, chinese: bool) -> str:
    """Set a key of the layer that is kept here (an empty `text` takes it back); return why it was refused, or ""."""
    try:
        change_stored(box.local, [read_assignment(f"{key}={text}")])
    except ConfigError as error:
        return error.line("zh-CN" if chinese else "en")
    return ""


def _fields(box: Box, chinese: bool) -> tuple[PolicyField, ...]:
    layers = layers_of(box)
    here = layers.pop(HERE)
    below = {name: (who, value) for who, layer in layers.items() for name, value in layer.items()}
    fields = []
    for name, default in default_layer().items():
        who, inherited = below.get(name, ("", default))
        fields.append(
            PolicyField(
                key=name,
                label=KEYS[name].zh if chinese else KEYS[name].en,
                text=_text(here[name]) if name in here else "",
                inherited=_text(inherited),
                inherited_from=who,
                switch=KEYS[name].kind is bool,
            )
        )
    return tuple(fields)


def _text(value: Any) -> str:
    """Return a plain value as `read_assignment` reads it."""
    if isinstance(value, list):
        return "; ".join(value)
    return value if isinstance(value, str) else json.dumps(value)
