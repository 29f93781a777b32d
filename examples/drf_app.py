"""
A guarded API with Django REST framework in one file: scopes by action, permissions that compose.

Runs against a local user pool.  For a real one: `COGNITO_GUARD = {"USER_POOL_ID": ..., "CLIENT_ID": ...}`.
"""

import django
from django.conf import settings

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
        "DEFAULT_PERMISSION_CLASSES": ["cognito_guard.drf.HasRequiredScopes"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "EXCEPTION_HANDLER": "cognito_guard.drf.exception_handler",
    },
)
django.setup()

from django.urls import path  # noqa: E402
from rest_framework.permissions import SAFE_METHODS, BasePermission  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

from cognito_guard.drf import HasGroups, HasScopes  # noqa: E402


class ReadOnly(BasePermission):
    """Allow what changes nothing."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Look at the method."""
        return request.method in SAFE_METHODS


class Orders(APIView):
    """Demand a scope per method, by the default permission class."""

    required_scopes = {"get": [orders["read"]], "post": [orders["write"]]}  # noqa: RUF012

    def get(self, request: Request) -> Response:
        """Answer the caller's name."""
        return Response({"caller": str(request.user)})

    post = get


class Report(Orders):
    """Let readers look, and administrators do anything."""

    permission_classes = (HasScopes(orders["read"]) & ReadOnly | HasGroups("admins"),)


urlpatterns = [path("orders", Orders.as_view()), path("report", Report.as_view())]

if __name__ == "__main__":
    from django.test import Client

    client = Client()
    reader = pool.headers(username="jane", scopes=[orders["read"]])
    admin = pool.headers(username="joe", groups=["admins"])
    print(client.get("/orders").status_code, client.get("/orders").headers["www-authenticate"])
    print(client.get("/orders", headers=reader).text)
    print(client.post("/orders", headers=reader).headers["www-authenticate"])
    print(client.get("/report", headers=reader).status_code, client.post("/report", headers=reader).status_code)
    print(client.post("/report", headers=admin).text)
