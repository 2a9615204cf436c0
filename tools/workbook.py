#!/usr/bin/env python3
"""Writes deploy/monitoring/workbook.json, an Azure Monitor workbook, from the queries beside it.

    workbook.py [--check]: changes nothing, and fails where the file is an old one

A query's first comment line becomes the heading, the others the text below.
"""

import argparse
import json
import pathlib
import re
import sys
import uuid

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "deploy" / "monitoring"
SECTIONS = [
    ("Now", ["overview", "malicious", "refusals", "crash-loop", "crashes"]),
    ("Secrets, identity and services",
     ["secrets-read", "secrets-unavailable", "secret-versions", "identity", "services"]),
    ("Callers", ["callers", "signed-in-callers"]),
    ("Limits and volume", ["limits", "unusual-volume", "log-suppressed", "sequence-gaps", "silence"]),
    ("Protections", ["starts", "protections-off", "environment-secrets"]),
    ("One invocation, one operation", ["invocation", "trace", "input"]),
]
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# what each needs to be right, whatever was chosen
OWN_TIME = {"unusual-volume": 8 * DAY_MS, "silence": 2 * DAY_MS, "secrets-unavailable": 2 * DAY_MS}
TYPED_IN = {"invocation": "Invocation", "operation": "Operation"}  # a query's variable, the parameter
INTRODUCTION = """# azfn: security events

What each event means, and what to do about it: docs/security-events.md of azfn. Events of origin `broker` can't be
forged by a function; those of origin `worker` can, by whoever exploits one."""


def split(text):
    """The question, what is said about it, and the query itself."""
    lines = text.splitlines()
    comment = [line[2:].strip() for line in lines if line.startswith("//")]
    return comment[0], " ".join(comment[1:]), "\n".join(lines[len(comment):])


def text_item(name, text):
    return {"type": 1, "content": {"json": text}, "name": name}


def parameter(name, kind, **more):
    return {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"azfn/workbook/{name}")), "version": "KqlParameterItem/1.0",
            "name": name, "type": kind, **more}


def parameters_item():
    return {"type": 9, "name": "parameters", "content": {
        "version": "KqlParameterItem/1.0", "style": "pills", "queryType": 0,
        "resourceType": "microsoft.insights/components",
        "parameters": [
            parameter("App", 5, label="Application Insights", isRequired=True, value="value::1",
                      typeSettings={"resourceTypeFilter": {"microsoft.insights/components": True},
                                    "additionalResourceOptions": []}),
            parameter("TimeRange", 4, label="Time", isRequired=True, value={"durationMs": DAY_MS},
                      typeSettings={"selectableValues": [{"durationMs": hours * HOUR_MS}
                                                         for hours in (1, 4, 12, 24, 48, 72, 168, 336, 720)],
                                    "allowCustom": True}),
            parameter("Invocation", 1, label="Invocation id", isRequired=False, value=""),
            parameter("Operation", 1, label="Operation id (trace)", isRequired=False, value=""),
        ]}}


def query_item(name, query):
    for variable, typed_in in TYPED_IN.items():
        query = re.sub(rf'^(let {variable} =) "[0-]*";$', rf'\1 "{{{typed_in}}}";', query, flags=re.MULTILINE)
    settings = {"rowLimit": 1000, "filter": True}
    if name == "unusual-volume":
        settings["formatters"] = [{"columnMatch": "hourly", "formatter": 9,
                                   "formatOptions": {"min": 0, "palette": "blue"}}]  # a line of sparks
    content = {"version": "KqlItem/1.0", "query": query, "size": 0, "noDataMessage": "Nothing in this time.",
               "queryType": 0, "resourceType": "microsoft.insights/components", "crossComponentResources": ["{App}"],
               "visualization": "table", "gridSettings": settings}
    if name in OWN_TIME:
        content["timeContext"] = {"durationMs": OWN_TIME[name]}
    else:
        content["timeContextFromParameter"] = "TimeRange"
    return {"type": 3, "content": content, "name": name}


def workbook():
    items = [text_item("introduction", INTRODUCTION), parameters_item()]
    for title, names in SECTIONS:
        items.append(text_item(title.lower(), f"## {title}"))
        for name in names:
            question, about, query = split((FOLDER / "queries" / f"{name}.kql").read_text("utf-8"))
            items += [text_item(f"{name}, about", f"### {question}\n\n{about}"), query_item(name, query)]
    return {"version": "Notebook/1.0", "items": items, "fallbackResourceIds": ["Azure Monitor"],
            "$schema": "https://github.com/Microsoft/Application-Insights-Workbooks/blob/master/schema/workbook.json"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="only say whether the file is an old one")
    options = parser.parse_args()
    path = FOLDER / "workbook.json"
    text = json.dumps(workbook(), indent=2, ensure_ascii=False) + "\n"
    if not options.check:
        path.write_text(text, "utf-8")
    elif path.read_text("utf-8") != text:
        sys.exit("deploy/monitoring/workbook.json is an old one: make events")


if __name__ == "__main__":
    main()
