# flask-reggie: <regex("..."):x> in rules.
from werkzeug.routing import BaseConverter


class RegexConverter(BaseConverter):
    part_isolating = False

    def __init__(self, url_map, *items):
        super().__init__(url_map)
        self.regex = items[0]


class Reggie:
    def __init__(self, app=None):
        if app is not None:
            self.init_app(app)

    def init_app(self, app):
        app.url_map.converters["regex"] = RegexConverter
