"""Hrefs lead only where their source allows."""

import pytest

from schemas.hosts import host_allowed

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
