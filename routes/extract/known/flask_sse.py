# flask-sse (flask_sse.py): one blueprint with one rule.
from flask import Blueprint


class ServerSentEventsBlueprint(Blueprint):
    def stream(self):
        pass


sse = ServerSentEventsBlueprint("sse", __name__)
sse.add_url_rule(rule="", endpoint="stream", view_func=sse.stream)
