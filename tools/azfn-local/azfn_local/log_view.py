"""A handler's line as a person reads it: the time, the level, the security event, what happened, and its fields."""

import json

_COMMON = {"datetime", "level", "appid", "sequence", "origin", "event", "description"}
_STYLES = {"INFO": "Information", "WARN": "Warning", "ERROR": "Error"}


def view(text):
    """[(style, text)] of an azfn handler's line; None for any other line, which is shown as it is.

        13:02:11 ERROR authz_fail:secret  function "order" asked for secret "k": ...  function=order secret=k
    """
    try:
        line = json.loads(text)
    except ValueError:
        return None
    if not isinstance(line, dict) or not isinstance(line.get("description"), str) or str(line.get("level")) not in _STYLES:
        return None
    style = _STYLES[line["level"]]
    event = line.get("event")
    parts = [("dim", f"{str(line.get('datetime', ''))[11:19]} "), (style, f"{line['level']:<5} ")]
    if event:
        strong = "attack" if str(event).startswith("malicious_") else "event" if style == "Information" else style
        parts += [(strong, str(event)), (None, "  ")]
    # what the worker says it may have been made to say
    if line.get("origin") != "broker":
        parts.append(("dim", f"[{line.get('origin')}] "))
    parts.append((None if event else style, line["description"]))
    fields = " ".join(f"{name}={value}" for name, value in line.items() if name not in _COMMON)
    return parts + ([("dim", f"  {fields}")] if fields else [])
