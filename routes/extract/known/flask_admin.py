# flask-admin (flask_admin/base.py, model/base.py, contrib/fileadmin).
from flask import Blueprint


def expose(url="/", methods=("GET",)):
    def wrap(f):
        if not hasattr(f, "_urls"):
            f._urls = []
        f._urls.append((url, methods))
        return f
    return wrap


def expose_plugview(url="/"):
    def wrap(v):
        return expose(url, v.as_view("view").methods)(v)
    return wrap


class BaseView:
    def __init__(self, name=None, category=None, endpoint=None, url=None, static_folder=None, static_url_path=None,
                 **kwargs):
        self.name = name
        self.url = url
        self.static_folder = static_folder
        self.static_url_path = static_url_path
        self.endpoint = self._get_endpoint(endpoint)

    def _get_endpoint(self, endpoint):
        return endpoint or self.__class__.__name__.lower()

    def _get_view_url(self, admin, url):
        if url is None:
            if admin.url != "/":
                return "%s/%s" % (admin.url, self.endpoint)
            if self is admin.index_view:
                return "/"
            return "/%s" % self.endpoint
        if not url.startswith("/"):
            return "%s/%s" % (admin.url, url)
        return url

    def create_blueprint(self, admin):
        static_url_path = self.static_url_path or admin.static_url_path
        url = self._get_view_url(admin, self.url)
        static_folder = self.static_folder
        if url == "/":
            url = None
            if not static_url_path:
                static_folder = "static"
                static_url_path = "/static/admin"
        bp = Blueprint(self.endpoint, __name__, url_prefix=url, subdomain=admin.subdomain,
                       static_folder=static_folder, static_url_path=static_url_path)
        for name in dir(self.__class__):
            f = getattr(self.__class__, name)
            if hasattr(f, "_urls"):
                for rule, methods in f._urls:
                    bp.add_url_rule(rule, name, f, methods=methods)
        return bp


class AdminIndexView(BaseView):
    def __init__(self, name=None, category=None, endpoint=None, url=None, template="admin/index.html", **kwargs):
        super().__init__(name or "Home", category, endpoint or "admin", "/admin" if url is None else url, "static")

    @expose()
    def index(self):
        pass


class BaseModelView(BaseView):
    def __init__(self, model, name=None, category=None, endpoint=None, url=None, static_folder=None, **kwargs):
        self.model = model
        super().__init__(name, category, endpoint, url, static_folder)

    def _get_endpoint(self, endpoint):
        return endpoint or self.model.__name__.lower()

    @expose("/")
    def index_view(self):
        pass

    @expose("/new/", methods=("GET", "POST"))
    def create_view(self):
        pass

    @expose("/edit/", methods=("GET", "POST"))
    def edit_view(self):
        pass

    @expose("/details/")
    def details_view(self):
        pass

    @expose("/delete/", methods=("POST",))
    def delete_view(self):
        pass

    @expose("/action/", methods=("POST",))
    def action_view(self):
        pass

    @expose("/export/<export_type>/")
    def export(self, export_type):
        pass

    @expose("/ajax/lookup/")
    def ajax_lookup(self):
        pass

    @expose("/ajax/update/", methods=("POST",))
    def ajax_update(self):
        pass


class ModelView(BaseModelView):
    # The SQLAlchemy view takes its session second; the others take none.
    def __init__(self, model, session=None, name=None, category=None, endpoint=None, url=None, static_folder=None,
                 **kwargs):
        super().__init__(model, name, category, endpoint, url, static_folder)


class BaseFileAdmin(BaseView):
    def __init__(self, base_url=None, name=None, category=None, endpoint=None, url=None, verify_path=True, **kwargs):
        super().__init__(name, category, endpoint, url)

    @expose("/old_index")
    @expose("/old_b/<path:path>")
    def index(self, path=None):
        pass

    @expose("/")
    @expose("/b/<path:path>")
    def index_view(self, path=None):
        pass

    @expose("/upload/", methods=("GET", "POST"))
    @expose("/upload/<path:path>", methods=("GET", "POST"))
    def upload(self, path=None):
        pass

    @expose("/download/<path:path>")
    def download(self, path=None):
        pass

    @expose("/mkdir/", methods=("GET", "POST"))
    @expose("/mkdir/<path:path>", methods=("GET", "POST"))
    def mkdir(self, path=None):
        pass

    @expose("/delete/", methods=("POST",))
    def delete(self):
        pass

    @expose("/rename/", methods=("GET", "POST"))
    def rename(self):
        pass

    @expose("/edit/", methods=("GET", "POST"))
    def edit(self):
        pass

    @expose("/action/", methods=("POST",))
    def action_view(self):
        pass


class FileAdmin(BaseFileAdmin):
    def __init__(self, base_path=None, *args, **kwargs):
        super().__init__(*args, **kwargs)


class RedisCli(BaseView):
    def __init__(self, redis=None, name=None, category=None, endpoint=None, url=None):
        super().__init__(name, category, endpoint, url)

    @expose("/")
    def console_view(self):
        pass

    @expose("/run/", methods=("POST",))
    def execute_view(self):
        pass


class Admin:
    def __init__(self, app=None, name=None, url=None, subdomain=None, index_view=None, translations_path=None,
                 endpoint=None, static_url_path=None, *args, **kwargs):
        self.app = app
        self._views = []
        self.subdomain = subdomain
        self.static_url_path = static_url_path
        self._set_index(index_view, endpoint, url)

    def _set_index(self, index_view=None, endpoint=None, url=None):
        self.index_view = index_view or AdminIndexView(endpoint=endpoint, url=url)
        self.endpoint = endpoint or self.index_view.endpoint
        self.url = url or self.index_view.url
        self.add_view(self.index_view)

    def add_view(self, view):
        self._views.append(view)
        if self.app is not None:
            self.app.register_blueprint(view.create_blueprint(self))

    def add_views(self, *views):
        for view in views:
            self.add_view(view)

    def init_app(self, app, index_view=None, endpoint=None, url=None):
        self.app = app
        if index_view is not None:
            self._views = self._views[1:]
            self.app = None
            self._set_index(index_view, endpoint, url)
            self.app = app
        for view in self._views:
            app.register_blueprint(view.create_blueprint(self))
