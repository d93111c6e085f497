"""Texts in requests: described in OpenAPI as the workspace takes them, which says in words what is wrong with one."""

from __future__ import annotations

from typing import Annotated, Any, get_args

import msgspec

from runtime.names import MAX_NAME, Label, Line


def _described(kind: Any) -> msgspec.Meta:
    # Surrogates do not occur in JSON in UTF-8, and not every dialect of regular expressions looks ahead.
    pattern = get_args(kind)[1].pattern.replace(r"\ud800-\udfff", "").removesuffix(r"(?!\n)")
    return msgspec.Meta(extra_json_schema={"extra": {"min_length": 1, "max_length": MAX_NAME, "pattern": pattern}})


LabelText = Annotated[str, _described(Label)]
NameText = Annotated[str, _described(Line)]
