from flask import Flask

app = Flask(__name__)

@app.route("/")
def index():
    return "Hello, world!\n"


@app.route("/user/<username>")
def getuser(username):
    # The app's own fault: counted as an exception, never held against a client.
    raise LookupError(f"no such user: {username}")


@app.route("/<int:year>")
def getyear(year):
    return f"The year {year}\n"


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=8080)
