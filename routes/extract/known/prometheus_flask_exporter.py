# prometheus-flask-exporter (prometheus_flask_exporter/__init__.py).


def prometheus_metrics():
    pass


class PrometheusMetrics:
    def __init__(self, app=None, path="/metrics", *args, **kwargs):
        self.path = path
        if app is not None:
            self.init_app(app)

    @classmethod
    def for_app_factory(cls, *args, **kwargs):
        return cls(None, *args, **kwargs)

    def init_app(self, app):
        if self.path:
            self.register_endpoint(self.path, app)

    def register_endpoint(self, path, app=None):
        app.add_url_rule(path, "prometheus_metrics", prometheus_metrics)


class RESTfulPrometheusMetrics(PrometheusMetrics):
    def __init__(self, app=None, api=None, path="/metrics", **kwargs):
        super().__init__(app, path)

    def init_app(self, app, api=None):
        if self.path:
            self.register_endpoint(self.path, app)


class MultiprocessPrometheusMetrics(PrometheusMetrics):
    def __init__(self, app=None, *args, **kwargs):
        super().__init__(app, None)


UWsgiPrometheusMetrics = MultiprocessPrometheusMetrics
GunicornPrometheusMetrics = MultiprocessPrometheusMetrics
GunicornInternalPrometheusMetrics = PrometheusMetrics
