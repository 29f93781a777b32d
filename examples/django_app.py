"""
A guarded Django site in one file: sync and async views, Django's permissions, and a page for everybody.

Runs against a local user pool.  For a real one: `COGNITO_GUARD = {"USER_POOL_ID": ..., "CLIENT_ID": ...}`.
"""

import django
from django.conf import settings
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from cognito_guard import ResourceServer
from cognito_guard.django import CognitoRequest, cognito_required
from cognito_guard.testing import FakeUserPool

orders = ResourceServer("orders", {"read": "Read orders", "write": "Change orders"})
pool = FakeUserPool(resource_servers=[orders])

settings.configure(
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "cognito_guard.django"],
    MIDDLEWARE=["cognito_guard.django.CognitoMiddleware"],
    ROOT_URLCONF=__name__,
    COGNITO_GUARD={"VERIFIER": pool.verifier(), "PERMISSION_MAP": {orders["read"]: ["shop.view_order"]}},
)
django.setup()


@cognito_required(orders["read"])
async def list_orders(request: CognitoRequest) -> JsonResponse:
    """Answer whoever may read orders, person or machine."""
    return JsonResponse({"caller": request.user.get_username(), "machine": request.principal.is_machine})


@cognito_required(orders["write"], groups=["admins"])
def admin(request: CognitoRequest) -> HttpResponse:
    """Answer administrators with a token that may write."""
    return HttpResponse(f"hello {request.user}")


@permission_required("shop.view_order", raise_exception=True)
def report(request: HttpRequest) -> HttpResponse:
    """Answer whoever has a permission of Django's, and say who that is."""
    return HttpResponse(f"report for {request.user}")


urlpatterns = [path("orders", list_orders), path("admin", admin), path("report", report)]

if __name__ == "__main__":
    from django.test import Client

    client = Client()
    reader = pool.headers(username="jane", scopes=[orders["read"]])
    print(client.get("/orders").status_code, client.get("/orders").headers["www-authenticate"])
    print(client.get("/orders", headers=reader).text, client.get("/report", headers=reader).text)
    joe = pool.headers(username="joe", scopes=[orders["write"]], groups=["admins"])
    print(client.get("/admin", headers=reader).status_code, client.get("/admin", headers=joe).text)
