"""The forward-auth service behind real proxies."""
