from flask.views import MethodView


class ItemView(MethodView):
    def get(self, item_id):
        return {"item": item_id}

    def put(self, item_id):
        return {"item": item_id, "stored": True}

    def delete(self, item_id):
        return "", 204
