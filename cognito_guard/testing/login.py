"""
The pages that people see: where they sign in, and where they are told that they can't.

Plain HTML without scripts; whatever comes from a request or a user's name is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from .directory import PoolUser

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 24rem; margin: 3rem auto; padding: 0 1rem; }}
label, input, button {{ display: block; width: 100%; box-sizing: border-box; font: inherit; }}
input, button {{ padding: .5rem; margin: .25rem 0 1rem; }}
[role=alert] {{ border-left: .25rem solid #b00020; padding-left: .75rem; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{content}
</main>
</body>
</html>
"""

_FORM = """<form method="post" action="{action}">
<label for="username">User name</label>
<input id="username" name="username" autocomplete="username" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button type="submit">Sign in</button>
</form>"""

_BUTTONS = """<form method="post" action="{action}">
{buttons}
</form>"""

_BUTTON = '<button type="submit" name="username" value="{username}">Sign in as {username}</button>'


def login_page(user_pool_id: str, users: Mapping[str, PoolUser], action: str, *, failed: bool = False) -> str:
    """
    Return the page where people sign in: a form for those who have a password, a button for each who has none.

    Args:
        user_pool_id: the pool's id, which the page shows.
        users: who may sign in, by name.
        action: where the form goes.
        failed: whether somebody has just tried in vain.
    """
    parts = [f"<p>To the fake user pool {escape(user_pool_id)}.</p>"]
    if failed:
        parts.append('<p role="alert">Incorrect username or password.</p>')
    if any(user.password is not None for user in users.values()):
        parts.append(_FORM.format(action=escape(action)))
    buttons = [_BUTTON.format(username=escape(name)) for name, user in users.items() if user.password is None]
    if buttons:
        parts.append(_BUTTONS.format(action=escape(action), buttons="\n".join(buttons)))
    if not users:
        parts.append("<p>The pool has no users.</p>")
    return _PAGE.format(title="Sign in", content="\n".join(parts))


def error_page(message: str) -> str:
    """Return the page of an error that no client may be told of."""
    return _PAGE.format(title="Something went wrong", content=f'<p role="alert">{escape(message)}</p>')
