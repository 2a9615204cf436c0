"""What every line of a handler's log has to be, by the catalogue of security events (security_events.json of the build)."""

import json
import os
import pathlib
import re

_BUILD = pathlib.Path(__file__).resolve().parent.parent.parent / "build" / "release"
_CATALOGUE = pathlib.Path(os.environ.get("AZFN_DEFAULT_APP", _BUILD / "app")).parent / "security_events.json"
COMMON = {"datetime", "level", "appid", "sequence", "origin", "description"}
_OF_ANY_LINE = {"function", "invocation_id", "trace_id"}
_HOST_LEVELS = {"INFO": "Information", "WARN": "Warning", "ERROR": "Error"}
_ORIGINS = {"broker": {"broker"}, "worker": {"worker"}, "function": {"worker"}, "any": {"broker", "worker"}}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")
_loaded = None


def catalogue():
    global _loaded
    if _loaded is None:
        _loaded = json.loads(_CATALOGUE.read_text("utf-8"))
    return _loaded


def parse(line):
    """The line's object; None for one that azfn did not write."""
    try:
        found = json.loads(line.text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "origin" in found else None


def events_of(handler, name=None):
    """The security events of a handler, as dicts; those of that name."""
    found = [event for event in map(parse, handler.lines) if event and "event" in event]
    return [event for event in found if name is None or event["event"] == name]


def fault_of(line):
    """What is wrong with a line, or None."""
    found = parse(line)
    if not found:
        return "it is no line of azfn's"
    members = set(found)
    if not COMMON <= members or not found["description"]:
        return f"it lacks {sorted(COMMON - members)}"
    if not _TIME.fullmatch(found["datetime"]) or not isinstance(found["sequence"], int) or found["sequence"] < 1:
        return "its time or sequence"
    if _HOST_LEVELS.get(found["level"]) != line.level:
        return f"the host takes it for {line.level}"
    if "event" not in found:
        extra = members - COMMON - _OF_ANY_LINE
        return f"a line that is no event has {sorted(extra)}" if extra else None
    event = catalogue()["events"].get(found["event"])
    if not event:
        return "the catalogue does not have the event"
    if found["level"] != event["level"]:
        return f"its level should be {event['level']}"
    if found["origin"] not in _ORIGINS[event["source"]]:
        return f"it is the {event['source']}'s"
    return _fault_of_fields(found, members - COMMON - {"event"}, set(event["fields"]))


def _fault_of_fields(found, members, allowed):
    if not members <= allowed:
        return f"the event does not have {sorted(members - allowed)}"
    for name in members:
        kind = catalogue()["fields"][name]["type"]
        value = found[name]
        if isinstance(value, bool) or not isinstance(value, int if kind == "number" else str):
            return f"{name} is no {kind}"
        if kind == "time" and not _TIME.fullmatch(value):
            return f"{name} is no time"
        if kind == "url" and re.search(r"[?#]", value):
            return f"{name} has more than a path"
        if value == "" and kind != "list":
            return f"{name} is empty"
    return None


def faults_of(lines, starts):
    """[(what, text)] of the lines of a handler that was started so often."""
    faults = [(fault, line.text[:400]) for line in lines if (fault := fault_of(line))]
    for stream in ("stdout", "stderr") if starts == 1 else ():
        numbers = [found["sequence"] for line in lines if line.stream == stream and (found := parse(line))]
        if any(after <= before for before, after in zip(numbers, numbers[1:])):
            faults.append(("sequence does not grow", stream))
    return faults
