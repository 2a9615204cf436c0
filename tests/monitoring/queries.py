"""The queries of deploy/monitoring: as files, and as the workbook and the compiled alert rules have them."""

import re

import catalogue

FOLDER = catalogue.ROOT / "deploy" / "monitoring"


def files():
    return {path.stem: path.read_text("utf-8") for path in sorted((FOLDER / "queries").glob("*.kql"))}


def of_workbook():
    items = catalogue.read_json(FOLDER / "workbook.json")["items"]
    return {item["name"]: item["content"]["query"] for item in items if item["type"] == 3}


def alert_rules():
    """As the compiled template has them, each with its query as the file has it."""
    variables = catalogue.read_json(FOLDER / "alerts.json")["variables"]
    return [{**rule, "query": variables[re.search(r"\$fxv#\d+", rule["query"]).group()]} for rule in variables["rules"]]


def of_rule(rule):
    return rule["query"] + (f'| where origin == "{rule["origin"]}"\n' if rule["origin"] else "")


def of_alerts():
    """What each rule asks, by its name."""
    return {rule["name"]: of_rule(rule) for rule in alert_rules()}


def file_of(rule_name):
    """The name of its query."""
    return rule_name.removesuffix("-worker")


def without_comments(query):
    return "".join(line + "\n" for line in query.splitlines() if not line.startswith("//"))


def fields(query):
    """What it takes out of a line: line.secret or line["datetime"]."""
    return re.findall(r'\bline(?:\.|\[")([a-z_]+)', without_comments(query))


def texts(query):
    """Its literals, each with whether it is the beginning of something."""
    found = re.findall(r'(startswith )?"([^"\n]*)"', re.sub(r'line\["[a-z_]+"\]', "", without_comments(query)))
    return [(text, bool(start)) for start, text in found]
