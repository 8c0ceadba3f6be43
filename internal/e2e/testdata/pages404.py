# An app whose pages and old addresses are known to its 404 handler only.
import os
import tempfile

from flask import Flask, redirect, request, send_from_directory

app = Flask(__name__)
PAGES = tempfile.mkdtemp()
for n in range(60):
    with open(os.path.join(PAGES, f"{n}.txt"), "w") as page:
        page.write(f"page {n}\n" * n)


@app.errorhandler(404)
def missing(error):
    folder, _, name = request.path[1:].partition("/")
    if folder == "old":
        return redirect(f"/pages/{name}.txt", 301)
    if folder == "pages" and os.path.exists(os.path.join(PAGES, name)):
        return send_from_directory(PAGES, name)
    return "<div id=app></div>"


if __name__ == "__main__":
    app.run(port=5000)
