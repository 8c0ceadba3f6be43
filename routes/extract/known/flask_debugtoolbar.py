# flask-debugtoolbar (flask_debugtoolbar/__init__.py).
from __flask2ban__ import open_below


class DebugToolbarExtension:
    def __init__(self, app=None):
        if app is not None:
            self.init_app(app)

    def init_app(self, app):
        app.add_url_rule("/_debug_toolbar/static/<path:filename>", "_debug_toolbar.static", self.send_static_file)
        open_below(app, "/_debug_toolbar/views", "the debug toolbar's panels register their own views")

    def send_static_file(self, filename):
        pass
