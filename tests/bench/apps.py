"""The function app that is measured: a folder with host.json and a function.json for each function."""

import json
import pathlib

HOST = {"version": "2.0", "customHandler": {"description": {"defaultExecutablePath": "handler"},
                                            "enableForwardingHttpRequest": True}}


def http(route, method):
    return {"bindings": [{"type": "httpTrigger", "direction": "in", "name": "req", "authLevel": "anonymous",
                          "methods": [method], "route": route},
                         {"type": "http", "direction": "out", "name": "res"}]}


def message(trigger):
    return {"bindings": [{"type": trigger, "direction": "in", "name": "message"},
                         {"type": "queue", "direction": "out", "name": "receipt"}]}


FUNCTIONS = {
    "hello": http("hello/{name}", "get"),
    "secret": http("secret/{name}", "get"),
    "upload": http("upload", "post"),
    "long_text": message("queueTrigger"),
    "one_member": message("queueTrigger"),
    "two_members": message("eventGridTrigger"),
}


POLICY = {"secrets": {"key": {"reference": "@Microsoft.KeyVault(VaultName=dev;SecretName=key)"}},
          "functions": {"secret": {"secrets": ["key"]}}}


def write(folder, routes=0, policy=None):
    """Makes the app of bench_handler_<routes> in an empty folder, readable for the worker's user."""
    folder = pathlib.Path(folder)
    functions = dict(FUNCTIONS)
    for i in range(routes):
        functions[f"route_{i:04}"] = http(f"things-{i:04}/{{name}}", "get")
    folder.chmod(0o755)
    (folder / "host.json").write_text(json.dumps(HOST))
    if policy:
        (folder / "azfn.json").write_text(json.dumps(policy))
    for name, content in functions.items():
        (folder / name).mkdir()
        (folder / name / "function.json").write_text(json.dumps(content))
