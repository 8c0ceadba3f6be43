# Extensions that own one path and everything below it.
from __flask2ban__ import open_below


class _Below:
    default = "/"

    def __init__(self, app=None, path=None, **kwargs):
        self.path = path or kwargs.get("url_prefix") or kwargs.get("prefix") or self.default
        if app is not None:
            self.init_app(app)

    def init_app(self, app, path=None, *args, **kwargs):
        open_below(app, path or self.path, __name__ + " registers its own views here")

    register = init_app


class HealthCheck(_Below):
    default = "/healthcheck"


class EnvironmentDump(_Below):
    default = "/environment"


class Profiler(_Below):
    default = "/flask-profiler"


class JSONRPC(_Below):
    default = "/"


class UserManager(_Below):
    default = "/user"

    def __init__(self, app=None, *args, **kwargs):
        self.path = self.default
        if app is not None:
            self.init_app(app)

    def init_app(self, app, *args, **kwargs):
        open_below(app, self.path, "flask-user registers its own views here")


class SpecTree(_Below):
    default = "/apidoc"

    def __init__(self, backend_name="flask", backend=None, app=None, path="apidoc", **kwargs):
        self.path = "/" + path.strip("/")
        if app is not None:
            self.init_app(app)


class FlaskPydanticSpec(SpecTree):
    pass


class FlaskApiSpec(_Below):
    def __init__(self, app=None, document_options=True):
        if app is not None:
            self.init_app(app)

    def init_app(self, app, *args):
        for path in ("/swagger", "/swagger-ui", "/flask-apispec"):
            open_below(app, path, "flask-apispec serves its documentation here")

    def register(self, *args, **kwargs):
        pass


class APIManager(_Below):
    default = "/api"

    def __init__(self, app=None, **kwargs):
        self.path = kwargs.get("url_prefix") or "/api"
        if app is not None:
            self.init_app(app)

    def create_api(self, *args, **kwargs):
        pass


class Sitemap(_Below):
    default = "/sitemap"


class Dash(_Below):
    def __init__(self, name=None, server=True, url_base_pathname=None, **kwargs):
        self.path = kwargs.get("routes_pathname_prefix") or url_base_pathname or "/"
        self.server = server
        if server is not True and server is not False:
            self.init_app(server)

    def init_app(self, app=None, *args, **kwargs):
        if app is not None:
            self.server = app
            open_below(app, self.path, "Dash serves its pages here")


init_app = Profiler


def bind(app, *args, **kwargs):
    open_below(app, "/dashboard", "the monitoring dashboard registers its own views here")
