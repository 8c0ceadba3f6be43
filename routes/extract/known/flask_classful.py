# flask-classful, and flask-classy before it (flask_classful.py).
from __flask2ban__ import params, squeeze

special = {"get": ["GET"], "put": ["PUT"], "patch": ["PATCH"], "post": ["POST"], "delete": ["DELETE"],
           "index": ["GET"]}


def route(rule, **options):
    def decorator(f):
        if not hasattr(f, "_rule_cache"):
            f._rule_cache = []
        f._rule_cache.append((rule, options))
        return f
    return decorator


def method(name, **options):
    def decorator(f):
        if not hasattr(f, "http_methods"):
            f.http_methods = []
        f.http_methods.append(name)
        return f
    return decorator


class FlaskView:
    route_base = None
    route_prefix = None
    trailing_slash = True
    base_args = []
    excluded_methods = []
    method_dashified = False
    inspect_args = True
    default_methods = ["GET"]
    subdomain = None

    @classmethod
    def register(cls, app, route_base=None, subdomain=None, route_prefix=None, trailing_slash=None,
                 method_dashified=None, base_class=None, init_argument=None, **rule_options):
        slash = cls.trailing_slash if trailing_slash is None else trailing_slash
        dashes = cls.method_dashified if method_dashified is None else method_dashified
        prefix = route_prefix or cls.route_prefix
        base = route_base or cls.route_base
        if base is None:
            base = cls.__name__[:-4].lower() if cls.__name__.endswith("View") else cls.__name__.lower()
        for name in dir(cls):
            if name.startswith("_") or name.startswith("before_") or name.startswith("after_"):
                continue
            if name in dir(FlaskView) or name in cls.excluded_methods:
                continue
            f = getattr(cls, name)
            if not callable(f):
                continue
            endpoint = cls.__name__ + ":" + name
            names = params(f) if cls.inspect_args else []
            if hasattr(f, "_rule_cache"):
                for n, (rule, options) in enumerate(f._rule_cache):
                    options = dict(options)
                    own = options.pop("endpoint", None) or (endpoint if len(f._rule_cache) == 1 else endpoint + "_" + str(n))
                    sub = options.pop("subdomain", None)
                    app.add_url_rule(cls._build(prefix, base, rule, []), own, f, subdomain=subdomain or sub or cls.subdomain, **options)
                continue
            if name in special:
                rule, methods = cls._build(prefix, base, "/", names), special[name]
            else:
                part = "/" + (name.replace("_", "-") if dashes else name) + "/"
                rule, methods = cls._build(prefix, base, part, names), cls.default_methods
                if hasattr(f, "http_methods"):
                    methods = f.http_methods
            for one in cls._slashed(rule, slash):
                app.add_url_rule(one, endpoint, f, methods=methods, subdomain=subdomain or cls.subdomain, **rule_options)

    # Releases differ in whether a rule that ends in an argument gets a slash.
    @classmethod
    def _slashed(cls, rule, slash):
        if not slash:
            return [rule if rule == "/" else rule.rstrip("/")]
        return [rule] if rule.endswith("/") else [rule, rule + "/"]

    @classmethod
    def _build(cls, prefix, base, rule, names):
        parts = [p for p in (prefix, base, rule) if p]
        for name in names:
            if name not in cls.base_args:
                parts.append("<" + name + ">")
        return squeeze("/" + "/".join(parts))
