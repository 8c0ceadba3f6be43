# Views for GraphQL: GET and POST.
from flask.views import View


class GraphQLView(View):
    methods = ["GET", "POST", "PUT", "DELETE"]


class AsyncGraphQLView(GraphQLView):
    pass
