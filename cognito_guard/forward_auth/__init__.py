"""
Judge requests for a proxy, so that applications in any language stand behind the same verifier.

nginx (`auth_request`), Caddy (`forward_auth`), Traefik (ForwardAuth), Envoy (`ext_authz`) and HAProxy ask a
ForwardAuth about each request before they pass it on.  It is an ASGI application; `cognito-guard serve` runs it.
"""

from .config import from_file, from_mapping
from .identity import IdentityHeaders
from .original import HEALTH, READY, VERIFY, Proxy
from .rules import Rule
from .service import ForwardAuth

__all__ = ["HEALTH", "READY", "VERIFY", "ForwardAuth", "IdentityHeaders", "Proxy", "Rule", "from_file", "from_mapping"]
