# Extensions that only bring a blueprint of static files, each below a path of
# its own beside the app's: /<name>/static/... or /static/<name>/...
from flask import Blueprint


def _serve(app, name, beside):
    static = app.static_url_path or ""
    path = "/" + name + static if beside else static + "/" + name
    app.register_blueprint(Blueprint(name, __name__, static_folder="static", static_url_path=path))


class _Extension:
    names = ()
    beside = True

    def __init__(self, app=None, *args, **kwargs):
        if app is not None:
            self.init_app(app)

    def init_app(self, app, *args, **kwargs):
        for name in self.names:
            _serve(app, name, True)


# Two distributions share this module's name: Flask-Bootstrap serves
# /static/bootstrap, Bootstrap-Flask /bootstrap/static.
class Bootstrap(_Extension):
    names = ("bootstrap",)

    def init_app(self, app, *args, **kwargs):
        _serve(app, "bootstrap", True)
        _serve(app, "bootstrap", False)


class Bootstrap4(_Extension):
    names = ("bootstrap",)


class Bootstrap5(_Extension):
    names = ("bootstrap",)


class Avatars(_Extension):
    names = ("avatars",)


class Dropzone(_Extension):
    names = ("dropzone",)


class CKEditor(_Extension):
    names = ("ckeditor",)


class Share(_Extension):
    names = ("share",)


class Toastr(_Extension):
    names = ("toastr",)


class Colorpicker(_Extension):
    names = ("colorpicker",)
