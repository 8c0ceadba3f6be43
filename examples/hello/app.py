from flask import Flask

app = Flask(__name__)

USERS = {"alice": "Alice"}


@app.route("/")
def index():
    return "Hello, world!\n"


@app.route("/user/<username>")
def getuser(username):
    # Raises KeyError for everyone but alice: the app's own fault, which no
    # client is blamed for.
    return USERS[username] + "\n"


@app.route("/<int:year>")
def getyear(year):
    return f"The year {year}\n"


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=8080)
