# An app whose own routes look like what scanners ask for.
from flask import Flask

app = Flask(__name__)


@app.route("/wp-login.php")
@app.route("/admin/config.php")
@app.route("/.env/docs")
@app.route("/backup.zip")
@app.route("/api/v1/pods")
@app.route("/cgi-bin/status")
def odd():
    return "fine"


@app.route("/item/<uuid:item>")
def item(item):
    return str(item)


if __name__ == "__main__":
    app.run()
