"""Hrefs lead only where their source allows."""

import pytest

from schemas.hosts import host_allowed, is_public

ALLOWED = ("data.example.com", "lan.example.org:8443", "127.0.0.1:*", "[::1]:*", "s3://eodata")


@pytest.mark.parametrize(
    "href",
    [
        "https://data.example.com/a.tif",
        "http://data.example.com/a.tif?token=1",
        "https://DATA.Example.com:443/a.tif",
        "https://lan.example.org:8443/a.tif",
        "http://127.0.0.1:8086/cogs/a.tif",
        "http://[::1]:9000/a.tif",
        "s3://eodata/Sentinel-2/a.jp2",
    ],
)
def test_an_allowed_host_passes(href: str) -> None:
    assert host_allowed(href, ALLOWED)


@pytest.mark.parametrize(
    "href",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "/vsicurl/https://data.example.com/a.tif",
        "ftp://data.example.com/a.tif",
        "gopher://127.0.0.1/",
        "https://data.example.com:8443/a.tif",
        "https://lan.example.org/a.tif",
        "https://data.example.com.evil.net/a.tif",
        "https://evil.net/data.example.com",
        "https://data.example.com@evil.net/a.tif",
        "https://user:word@data.example.com/a.tif",
        "https://evil.net\\@data.example.com/a.tif",
        "https://data.example.com\t.evil.net/a.tif",
        "https://data.example.com%2eevil.net/",
        "http://2130706433/",
        "http://127.0.0.1:80:80/",
        "http://127.0.0.1:99999/",
        "http://[::1/",
        "s3://other/a.jp2",
        "s3://eodata.evil/a.jp2",
        "https://",
        "",
    ],
)
def test_everything_else_is_refused(href: str) -> None:
    assert not host_allowed(href, ALLOWED)


def test_no_hosts_allow_nothing() -> None:
    assert not host_allowed("https://data.example.com/a.tif", ())


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::5db8:d822", True),
        ("::ffff:10.0.0.1", False),
        ("::127.0.0.1", False),
        ("::ffff:0:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::e000:1", False),
        ("64:ff9b:1::a00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
        ("fec0::1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("5f00::1", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public
