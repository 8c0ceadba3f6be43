# Prints the url_map of an app as JSON: oracle.py MODULE EXPRESSION
import importlib
import json
import sys

sys.path.insert(0, ".")
module = importlib.import_module(sys.argv[1])
app = eval(sys.argv[2], vars(module))


def name(app, mount=""):
    for rule in app.url_map.iter_rules():
        yield {
            "rule": mount + rule.rule,
            "methods": None if rule.methods is None else sorted(rule.methods),
            "endpoint": rule.endpoint,
            "host": rule.host or "",
            "subdomain": rule.subdomain or "",
            "strict_slashes": rule.strict_slashes,
            "merge_slashes": rule.merge_slashes,
            "defaults": rule.defaults or {},
        }


rules = list(name(app))
mounts = getattr(app.wsgi_app, "mounts", {})
for path, mounted in mounts.items():
    rules.extend(name(mounted, path))
json.dump({"rules": rules}, sys.stdout)
