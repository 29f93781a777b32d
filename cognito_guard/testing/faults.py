"""
The ways in which a key endpoint can go wrong, by name.

The other half of each is `replies`: what then goes over the wire.
"""

from __future__ import annotations

from enum import Enum


class Fault(Enum):
    """Name a way in which a key endpoint goes wrong; the value describes it."""

    # No connection, or none that lasts.
    REFUSED = "the port is closed; only for an outage"
    RESET = "the connection is reset instead of an answer"
    NO_ANSWER = "the connection is closed without an answer"
    HANG = "the request is read and never answered"

    # TLS; only for a server that speaks it.
    OTHER_HOST = "the certificate names another host"
    UNKNOWN_AUTHORITY = "the certificate comes from an authority that nobody trusts"
    EXPIRED_CERTIFICATE = "the certificate has expired"
    NO_TLS = "plain HTTP is spoken on the TLS port"

    # An answer without end, until the server is up again or closed.
    SLOW_HEADERS = "the headers come a byte at a time and never end"
    DRIPPING_BODY = "the body comes a byte at a time and never ends"
    HANG_IN_BODY = "the body stops half-way, and the connection stays"

    # HTTP that is wrong in itself.
    TRUNCATED_BODY = "the connection ends in the middle of the body"
    LENGTH_TOO_LONG = "more bytes are announced than come"
    LENGTH_TOO_SHORT = "fewer bytes are announced than come"
    GARBAGE_CHUNK = "the body is chunked, and the size of a chunk is no number"
    HTTP_0_9 = "the body comes without status line and headers"
    HEADER_FLOOD = "thousands of headers"
    HUGE_BODY = "a body of ten megabytes"
    GZIP = "the body is compressed, though nobody asked for it"
    GZIP_BOMB = "a few compressed kilobytes become ten megabytes"

    # Another status than 200.
    NO_CONTENT = "204 and no body"
    REDIRECT = "301 to another path of the same host"
    REDIRECT_AWAY = "301 to another host"
    NOT_MODIFIED = "304, though nobody asked under a condition"
    FORBIDDEN = "403"
    NOT_FOUND = "404"
    TOO_MANY_REQUESTS = "429 that asks to wait for 7 seconds"
    TOO_MANY_REQUESTS_UNTIL = "429 that asks to wait until a date"
    TOO_MANY_REQUESTS_SOON = "429 that asks to wait until no one knows when"
    TOO_MANY_REQUESTS_FOR_YEARS = "429 that asks to wait for 30 years"
    SERVER_ERROR = "500"
    SERVICE_UNAVAILABLE = "503"

    # A body that is no key set.
    EMPTY_BODY = "a body of no bytes"
    HTML = "a page of HTML"
    JSON_LIST = "the bare list of keys"
    JSON_STRING = "the key set in a JSON string"
    JSON_NULL = "null"
    NO_KEYS_MEMBER = "an object without `keys`"
    KEYS_BY_ID = "`keys` maps key IDs to keys"
    EMPTY_KEYS = "`keys` is empty"
    REPEATED_KEYS = "`keys` stands twice"
    TOO_MANY_KEYS = "a thousand keys"
    DEEP_NESTING = "lists in lists ten thousand levels deep"
    BAD_UTF8 = "a byte that is no UTF-8"
    BYTE_ORDER_MARK = "a byte order mark before the key set"

    # A key set whose keys can't be used, all of them or those that are named.
    AMBIGUOUS_KEY_ID = "the key ID stands twice, for different keys"
    OCT_KEY = "a symmetric key"
    EC_KEY = "an elliptic-curve key"
    OKP_KEY = "an Edwards-curve key"
    UNKNOWN_KEY_TYPE = "a key type that nobody knows"
    ENCRYPTION_KEY = "a key for encryption"
    OTHER_ALGORITHM = "a key for another algorithm"
    PRIVATE_KEY = "a private key"
    NO_KEY_ID = "a key without key ID"
    KEY_ID_NOT_A_STRING = "a key ID that is a number"
    RSA_1024 = "a modulus of 1024 bits"
    RSA_16384 = "a modulus of 16384 bits"
    EVEN_EXPONENT = "an even public exponent"
    TINY_EXPONENT = "a public exponent of 3"

    # A sound key set that is other than usual.
    OTHER_MATERIAL = "another key under the same key ID"
    REPEATED_KEY = "the same key twice"
    NO_USE_NO_ALGORITHM = "a key that states neither use nor algorithm"


TLS_FAULTS = frozenset({Fault.OTHER_HOST, Fault.UNKNOWN_AUTHORITY, Fault.EXPIRED_CERTIFICATE, Fault.NO_TLS})
"""Those of a server that speaks TLS."""
