# flask-restx, and flask-restplus before it (flask_restx/api.py, namespace.py).
from flask import Blueprint
from flask.views import MethodView
from flask_restx import apidoc
from __flask2ban__ import camel_to_dash


class Resource(MethodView):
    pass


class SwaggerView(Resource):
    def get(self):
        pass


class Namespace:
    def __init__(self, name, description=None, path=None, decorators=None, validate=None, authorizations=None,
                 ordered=False, **kwargs):
        self.name = name
        self._path = path
        self.resources = []
        self.apis = []
        if "api" in kwargs:
            self.apis.append(kwargs["api"])

    @property
    def path(self):
        return (self._path or ("/" + self.name)).rstrip("/")

    def add_resource(self, resource, *urls, **kwargs):
        kwargs.pop("route_doc", None)
        kwargs.pop("resource_class_args", None)
        kwargs.pop("resource_class_kwargs", None)
        self.resources.append((resource, urls, kwargs))
        for api in self.apis:
            api.register_resource(self, resource, *api.ns_urls(self, urls), **kwargs)

    def route(self, *urls, **kwargs):
        def wrapper(cls):
            kwargs.pop("doc", None)
            self.add_resource(cls, *urls, **kwargs)
            return cls
        return wrapper

    def hide(self, func):
        return func


class Api:
    def __init__(self, app=None, version="1.0", title=None, description=None, terms_url=None, license=None,
                 license_url=None, contact=None, contact_url=None, contact_email=None, authorizations=None,
                 security=None, doc="/", default_id=None, default="default", default_label="Default namespace",
                 validate=None, tags=None, prefix="", ordered=False, default_mediatype="application/json",
                 decorators=None, catch_all_404s=False, serve_challenge_on_401=False, format_checker=None,
                 url_scheme=None, default_swagger_filename="swagger.json", **kwargs):
        self.prefix = prefix
        self._doc = doc
        self._add_specs = True
        self._spec_file = default_swagger_filename
        self.endpoints = set()
        self.ns_paths = {}
        self.namespaces = []
        self.pending = []
        self.app = None
        self.blueprint = None
        self.default_namespace = self.namespace(default, default_label, path="/")
        if app is not None:
            self.init_app(app)

    def init_app(self, app, **kwargs):
        self.app = app
        self._doc = kwargs.pop("doc", self._doc)
        self._add_specs = kwargs.pop("add_specs", True)
        if isinstance(app, Blueprint):
            self.blueprint = app
            app.record(self._deferred)
        else:
            self._register_apidoc(app)
        self._register_specs(app)
        self._register_doc(app)
        for namespace, resource, urls, options in self.pending:
            self._register_view(app, resource, *urls, **options)

    def _deferred(self, state):
        self._register_apidoc(state.app)

    def _register_apidoc(self, app):
        app.register_blueprint(apidoc.apidoc)

    def _register_specs(self, app):
        if self._add_specs:
            self._register_view(app, SwaggerView, "/" + self._spec_file, endpoint="specs")

    def _register_doc(self, app):
        if self._add_specs and self._doc:
            app.add_url_rule(self._doc, "doc", self.render_doc)
        app.add_url_rule(self.prefix or "/", "root", self.render_root)

    def namespace(self, *args, **kwargs):
        kwargs.pop("ordered", None)
        ns = Namespace(*args, **kwargs)
        self.add_namespace(ns)
        return ns

    def add_namespace(self, ns, path=None):
        if path is not None:
            self.ns_paths[ns] = path
        if ns not in self.namespaces:
            self.namespaces.append(ns)
            ns.apis.append(self)
        for resource, urls, kwargs in ns.resources:
            self.register_resource(ns, resource, *self.ns_urls(ns, urls), **kwargs)

    def ns_urls(self, ns, urls):
        path = self.ns_paths.get(ns) or ns.path
        return [path + url for url in urls]

    def add_resource(self, resource, *urls, **kwargs):
        self.default_namespace.add_resource(resource, *urls, **kwargs)

    def route(self, *urls, **kwargs):
        return self.default_namespace.route(*urls, **kwargs)

    def register_resource(self, namespace, resource, *urls, **kwargs):
        options = dict(kwargs)
        options["endpoint"] = kwargs.get("endpoint") or self.default_endpoint(resource, namespace)
        self.endpoints.add(options["endpoint"])
        if self.app is not None:
            self._register_view(self.app, resource, *urls, **options)
        else:
            self.pending.append((namespace, resource, urls, options))

    def default_endpoint(self, resource, namespace):
        endpoint = camel_to_dash(resource.__name__)
        if namespace is not self.default_namespace:
            endpoint = "{}_{}".format(namespace.name, endpoint)
        if endpoint in self.endpoints:
            for suffix in range(2, 100):
                numbered = "{}_{}".format(endpoint, suffix)
                if numbered not in self.endpoints:
                    return numbered
        return endpoint

    def _register_view(self, app, resource, *urls, **kwargs):
        endpoint = kwargs.pop("endpoint", None) or camel_to_dash(resource.__name__)
        kwargs.pop("route_doc", None)
        kwargs.pop("resource_class_args", None)
        kwargs.pop("resource_class_kwargs", None)
        view = resource.as_view(endpoint)
        for url in urls:
            app.add_url_rule((self.prefix or "") + url, view_func=view, **kwargs)

    def render_doc(self):
        pass

    def render_root(self):
        pass
