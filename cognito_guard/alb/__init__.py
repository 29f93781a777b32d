"""
Verify what an Application Load Balancer says of the users that it has signed in: its header `x-amzn-oidc-data`.
"""

from .verifier import ALBPrincipal, ALBVerifier

__all__ = ["ALBPrincipal", "ALBVerifier"]
