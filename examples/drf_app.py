"""
A guarded API with Django REST framework in one file: scopes by method, permissions that compose.

Runs against a local user pool.  For a real one: `COGNITO_GUARD = {"USER_POOL_ID": ..., "CLIENT_ID": ...}`.
"""

import django
from django.conf import settings
from django.urls import path

from cognito_guard import ResourceServer
from cognito_guard.testing import FakeUserPool

orders = ResourceServer("orders", {"read": "Read orders", "write": "Change orders"})
pool = FakeUserPool(resource_servers=[orders])

settings.configure(
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "cognito_guard.django"],
    ROOT_URLCONF=__name__,
    COGNITO_GUARD={"VERIFIER": pool.verifier()},
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["cognito_guard.drf.CognitoAuthentication"],
        "EXCEPTION_HANDLER": "cognito_guard.drf.exception_handler",
    },
)
django.setup()

from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

from cognito_guard.drf import HasGroups, HasRequiredScopes  # noqa: E402


class Orders(APIView):
    """Demand a scope per method; administrators may do anything."""

    permission_classes = (HasRequiredScopes | HasGroups("admins"),)
    required_scopes = {"get": [orders["read"]], "post": [orders["write"]]}  # noqa: RUF012

    def get(self, request: Request) -> Response:
        """Answer the caller's name."""
        return Response({"caller": str(request.user)})

    post = get


urlpatterns = [path("orders", Orders.as_view())]

if __name__ == "__main__":
    from django.test import Client

    client = Client()
    reader = pool.headers(username="jane", scopes=[orders["read"]])
    print(client.get("/orders").status_code, client.get("/orders").headers["www-authenticate"])
    print(client.get("/orders", headers=reader).text)
    print(client.post("/orders", headers=reader).headers["www-authenticate"])
    print(client.post("/orders", headers=pool.headers(username="joe", groups=["admins"])).text)
