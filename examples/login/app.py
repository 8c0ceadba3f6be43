"""A login that tells flask2ban of failures, so that guessing passwords counts."""

import hmac

from flask import Flask, request

app = Flask(__name__)

PASSWORDS = {"ada": "correct horse battery staple"}


@app.route("/")
def index():
    return "Hello\n"


@app.post("/login")
def login():
    name, password = request.form.get("name", ""), request.form.get("password", "")
    if hmac.compare_digest(PASSWORDS.get(name, ""), password) and name in PASSWORDS:
        return "Welcome\n"
    # The header is for flask2ban alone: it is taken off before the answer is sent.
    return "Wrong name or password\n", 401, {"Flask2ban-Evidence": "login_failed"}


@app.post("/token")
def token():
    # An endpoint that reports nothing: the rule in flask2ban.yaml counts its 401s.
    return {"error": "invalid_client"}, 401


if __name__ == "__main__":
    app.run()
