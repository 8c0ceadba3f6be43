# gds-metrics (gds_metrics/__init__.py).
import os


def metrics_endpoint():
    pass


class GDSMetrics:
    def __init__(self):
        self.metrics_path = os.environ.get("PROMETHEUS_METRICS_PATH", "/metrics")

    def init_app(self, app):
        app.add_url_rule(self.metrics_path, "metrics", metrics_endpoint)
