# flask-dance: one blueprint for each provider (flask_dance/consumer/base.py).
from flask import Blueprint


class BaseOAuthConsumerBlueprint(Blueprint):
    def __init__(self, name, import_name, *args, **kwargs):
        super().__init__(name, import_name, url_prefix=kwargs.get("url_prefix"), subdomain=kwargs.get("subdomain"))
        login_url = kwargs.get("login_url") or "/" + name
        authorized_url = kwargs.get("authorized_url") or "/" + name + "/authorized"
        self.add_url_rule(login_url, "login", self.login)
        self.add_url_rule(authorized_url, "authorized", self.authorized)

    def login(self):
        pass

    def authorized(self):
        pass


OAuth1ConsumerBlueprint = BaseOAuthConsumerBlueprint
OAuth2ConsumerBlueprint = BaseOAuthConsumerBlueprint


def _make(*args, **kwargs):
    return BaseOAuthConsumerBlueprint(__name__.rsplit(".", 1)[1], __name__, **kwargs)


def __getattr__(name):
    if name.startswith("make_"):
        return _make
    raise AttributeError(name)
