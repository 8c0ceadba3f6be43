# flask-restful: Api, Resource (flask_restful/__init__.py).
from flask.views import MethodView
from flask import Blueprint


class Resource(MethodView):
    pass


class Api:
    def __init__(self, app=None, prefix="", default_mediatype=None, decorators=None, catch_all_404s=False,
                 serve_challenge_on_401=False, url_part_order="bae", errors=None):
        self.prefix = prefix
        self.resources = []
        self.app = None
        self.blueprint = None
        self.urls = {}
        if app is not None:
            self.init_app(app)

    def init_app(self, app):
        self.app = app
        for resource, urls, kwargs in self.resources:
            self._register_view(app, resource, *urls, **kwargs)

    def add_resource(self, resource, *urls, **kwargs):
        self.resources.append((resource, urls, kwargs))
        if self.app is not None:
            self._register_view(self.app, resource, *urls, **kwargs)

    def resource(self, *urls, **kwargs):
        def decorator(cls):
            self.add_resource(cls, *urls, **kwargs)
            return cls
        return decorator

    def owns_endpoint(self, endpoint):
        return True

    def output(self, resource):
        return resource

    def _register_view(self, app, resource, *urls, **kwargs):
        endpoint = kwargs.pop("endpoint", None) or resource.__name__.lower()
        kwargs.pop("resource_class_args", None)
        kwargs.pop("resource_class_kwargs", None)
        view = resource.as_view(endpoint)
        for url in urls:
            app.add_url_rule(self._complete_url(url), view_func=view, **kwargs)

    def _complete_url(self, url):
        return (self.prefix or "") + url
