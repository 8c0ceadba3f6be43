"""Says what the installed Werkzeug makes of requests: the judge of python_test.go.

Reads {"sets": [{"options", "server_name", "rules", "cases"}]} and writes the
outcomes in the same order. It is run with warnings off.
"""
import json
import sys
from urllib.parse import unquote_to_bytes

import werkzeug
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import BaseConverter, Map, RequestRedirect, Rule
from werkzeug.routing.exceptions import WebsocketMismatch


class Isolated(BaseConverter):
    part_isolating = True

    def __init__(self, map, regex):
        super().__init__(map)
        self.regex = regex


class Spanning(Isolated):
    part_isolating = False
    weight = 200


def outcome(adapter):
    try:
        rule, values = adapter.match(return_rule=True)
        return {"kind": "match", "rule": rule.rule, "endpoint": rule.endpoint,
                "args": {k: str(v) for k, v in values.items()}}
    except RequestRedirect as e:
        return {"kind": "redirect", "location": e.new_url}
    except MethodNotAllowed as e:
        return {"kind": "method", "allow": sorted(e.valid_methods)}
    except WebsocketMismatch:
        return {"kind": "ws"}
    except NotFound:
        return {"kind": "notfound"}
    except HTTPException as e:
        return {"kind": "badhost" if e.code == 400 else "error"}
    except Exception as e:
        return {"kind": "error", "why": repr(e)}


def answer(the_map, server_name, case):
    path = unquote_to_bytes(case["path"]).decode("latin-1")
    environ = {"REQUEST_METHOD": case["method"], "PATH_INFO": path, "QUERY_STRING": case["query"], "SCRIPT_NAME": "",
               "HTTP_HOST": case["host"], "SERVER_NAME": "x", "SERVER_PORT": "80", "wsgi.url_scheme": "http"}
    if case["websocket"]:
        environ.update(HTTP_CONNECTION="Upgrade", HTTP_UPGRADE="websocket")
    try:
        adapter = the_map.bind_to_environ(environ, server_name=server_name or None)
    except HTTPException:
        return {"kind": "badhost"}
    return outcome(adapter)


def main():
    out = []
    for s in json.load(sys.stdin)["sets"]:
        try:
            the_map = Map([Rule(**r) for r in s["rules"]], converters={"rx": Isolated, "rp": Spanning}, **s["options"])
        except Exception as e:
            out.append({"error": repr(e)})
            continue
        out.append({"outcomes": [answer(the_map, s["server_name"], c) for c in s["cases"]]})
    json.dump({"werkzeug": werkzeug.__version__ if hasattr(werkzeug, "__version__") else "", "sets": out}, sys.stdout)


main()
