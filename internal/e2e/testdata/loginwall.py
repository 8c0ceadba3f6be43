# Redirects everything to the login page before routing matters, unknown paths
# too, as Flask-Login set-ups with a before_request do.
from flask import Flask, redirect, request

app = Flask(__name__)


@app.before_request
def wall():
    if request.path != "/login" and request.cookies.get("user") != "alice":
        return redirect("/login")


@app.route("/login")
def login():
    return "please log in\n"


@app.route("/reports/<int:number>")
def report(number):
    return f"report {number}\n"


if __name__ == "__main__":
    app.run(port=5000)
