"""The catalogue of security events, as the build writes it into security_events.json of its folder."""

import json
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("AZFN_BUILD", ROOT / "build" / "release"))


def without_doubles(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError(f"twice in one object: {sorted(name for name, _ in pairs)}")
    return members


def read_json(path):
    return json.loads(path.read_text("utf-8"), object_pairs_hook=without_doubles)


def read():
    return read_json(BUILD / "security_events.json")
