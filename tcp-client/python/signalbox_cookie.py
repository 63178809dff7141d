"""
A cookie that tells a signalbox hub who the user of a page is. This file is all there is: Python 3.8 or newer, standard library
only. The hub has the same secret, of at least 32 bytes, and verifies it.

    from signalbox_cookie import sign_cookie

    value = sign_cookie(user.id, secret, 8 * 3600, name=user.name, roles=["clerk"])
    response.set_cookie("signalbox", value, max_age=8 * 3600, path="/", secure=True, httponly=True, samesite="Strict")

Whoever has the value is that user until it expires: keep it out of logs and pages.
"""
import base64
import hashlib
import hmac
import time

__all__ = ["sign_cookie"]

_MIN_SECRET = 32  # bytes
_MAX_TEXT = 256  # UTF-16 units of an id or a role that the hub takes
_MAX_VALUE = 4_000  # characters; browsers drop a longer cookie, and say nothing


def sign_cookie(user_id, secret, max_age, name=None, roles=()):
    """
    The value of the cookie.

    user_id: 1 to 256 characters; always the same for the same user.
    secret: str or bytes, at least 32 bytes; what the hub has as `secret`.
    max_age: seconds for which it counts, at least 1.
    name: for people; default: the id.
    roles: names of roles, 1 to 256 characters each, without a comma.

    Raises TypeError or ValueError where one of them is not right; the secret is never shown.
    """
    key = secret.encode("utf-8") if isinstance(secret, str) else bytes(_checked(secret, (bytes, bytearray), "secret", "str or bytes"))
    if len(key) < _MIN_SECRET:
        raise ValueError(f"Expected the secret to be at least {_MIN_SECRET} bytes, got {len(key)}.")
    if isinstance(max_age, bool) or not isinstance(max_age, int) or max_age < 1:
        raise ValueError(f"Expected max_age to be a whole number of seconds, at least 1, got {max_age!r}.")
    if isinstance(roles, (str, bytes)):
        raise TypeError("Expected roles to be a list of texts, got one text.")
    roles = [_name(role, "each role") for role in roles]
    if any("," in role for role in roles):
        raise ValueError("Expected each role to be without a comma, got one with it.")
    label = "" if name is None else _checked(name, str, "name", "str")
    parts = [_base64url(text.encode("utf-8")) for text in (_name(user_id, "user_id"), label, ",".join(roles))]
    signed = ".".join(["v1", str(int(time.time()) + max_age), *parts])
    mac = hmac.new(key, b"signalbox cookie\n" + signed.encode("ascii"), hashlib.sha256).digest()
    value = f"{signed}.{_base64url(mac)}"
    if len(value) > _MAX_VALUE:
        raise ValueError(f"Expected the cookie to have at most {_MAX_VALUE} characters, which is what browsers keep, got {len(value)}.")
    return value


def _name(value, field):
    text = _checked(value, str, field, "str")
    if not 1 <= len(text.encode("utf-16-le", "surrogatepass")) // 2 <= _MAX_TEXT:
        raise ValueError(f"Expected {field} to have 1 to {_MAX_TEXT} characters, got {len(text)}.")
    return text


def _checked(value, kinds, field, expected):
    if isinstance(value, kinds):
        return value
    raise TypeError(f"Expected {field} to be {expected}, got {type(value).__name__}.")


def _base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
