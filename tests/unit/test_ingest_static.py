"""Static catalogues: files that link to each other, walked again and again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ingest.catalogue import open_catalogue
from ingest.fetch import Patience
from ingest.pages import Catalogue, Window
from schemas.errors import CatalogueUnavailable

ALL = Window(published_after=datetime(2025, 1, 1, tzinfo=UTC))
C = "sentinel-2-c1-l2a"


def write(path: Path, document: dict[str, Any], age_s: float = 60.0) -> None:
    """Write a file that seems to be a while old, so that its Last-Modified can be trusted."""
    import os
    import time

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    os.utime(path, (time.time() - age_s,) * 2)


def item(name: str, updated: str = "2025-06-01T00:00:00Z") -> dict[str, Any]:
    return {"type": "Feature", "id": name, "collection": C, "properties": {"updated": updated}, "links": []}


def catalogue_files(folder: Path, items: list[str]) -> None:
    links = [{"rel": "child", "href": "./c/collection.json"}, {"rel": "child", "href": "./other/collection.json"}]
    write(folder / "catalog.json", {"type": "Catalog", "id": "root", "stac_version": "1.1.0", "links": links})
    linked = [{"rel": "item", "href": f"./items/{name}.json"} for name in items]
    linked.append({"rel": "parent", "href": "../catalog.json"})
    linked.append({"rel": "child", "href": "../catalog.json"})  # a circle
    write(folder / "c/collection.json", {"type": "Collection", "id": C, "links": linked})
    write(folder / "other/collection.json", {"type": "Collection", "id": "other", "links": [
        {"rel": "item", "href": "./stray.json"}]})  # fmt: skip
    for name in items:
        write(folder / f"c/items/{name}.json", item(name))


def open_it(server: Any) -> Catalogue:
    return open_catalogue(
        server.url("catalog.json"), preset=None, collections=[C], allowed_hosts=(f"{server.host}",),
        patience=Patience(attempts=2, sleep=lambda _: None))  # fmt: skip


def names(catalogue: Catalogue, window: Window = ALL) -> list[str]:
    return sorted(feature["id"] for page in catalogue.pages(C, window) for feature in page.features)  # type: ignore[index]


def test_items_of_the_collection_are_found_and_only_new_ones_read_again(file_server: Any) -> None:
    catalogue_files(file_server.folder, ["a", "b"])
    catalogue = open_it(file_server)
    assert catalogue.collections() == ["other", C]
    assert names(catalogue) == ["a", "b"]
    assert not any("stray" in request for request in file_server.requests)
    catalogue_files(file_server.folder, ["a", "b", "new"])
    assert "new" in names(catalogue)


def test_changed_item_is_read_again(file_server: Any) -> None:
    catalogue_files(file_server.folder, ["a"])
    catalogue = open_it(file_server)
    names(catalogue)
    write(file_server.folder / "c/items/a.json", item("a", "2025-07-01T00:00:00Z"), age_s=30)
    assert names(catalogue) == ["a"]


def test_pages_know_where_each_item_lies(file_server: Any) -> None:
    catalogue_files(file_server.folder, ["a"])
    (page,) = open_it(file_server).pages(C, ALL)
    assert page.urls == (file_server.url("c/items/a.json"),)
    assert page.through is None


def test_old_items_without_validators_are_not_asked_for_again(file_server: Any) -> None:
    catalogue_files(file_server.folder, ["old", "young"])
    file_server.replies["c/items/old.json"] = json.dumps(item("old", "2024-06-01T00:00:00Z")).encode()
    file_server.replies["c/items/young.json"] = json.dumps(item("young")).encode()
    catalogue = open_it(file_server)
    assert names(catalogue) == ["old", "young"]
    assert names(catalogue) == ["young"]
    assert names(catalogue, Window(sensed=(datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)))) == [
        "old", "young"]  # fmt: skip


def test_item_that_is_gone_does_not_stop_the_others(file_server: Any) -> None:
    catalogue_files(file_server.folder, ["a", "b"])
    (file_server.folder / "c/items/a.json").unlink()
    assert names(open_it(file_server)) == ["b"]


def test_half_written_catalogue_fails_with_a_reason(file_server: Any) -> None:
    catalogue_files(file_server.folder, ["a"])
    catalogue = open_it(file_server)
    (file_server.folder / "c/collection.json").write_text('{"type": "Coll')
    with pytest.raises(CatalogueUnavailable, match="no JSON"):
        names(catalogue)


def test_link_to_a_foreign_host_is_not_followed(file_server: Any) -> None:
    links = [{"rel": "child", "href": "http://evil.example/c.json"}]
    write(
        file_server.folder / "catalog.json", {"type": "Catalog", "id": "root", "stac_version": "1.1.0", "links": links}
    )
    with pytest.raises(CatalogueUnavailable, match=r"evil\.example"):
        names(open_it(file_server))


def test_redirect_to_a_foreign_host_is_not_followed(file_server: Any) -> None:
    file_server.redirect["catalog.json"] = "http://evil.example/catalog.json"
    with pytest.raises(CatalogueUnavailable, match=r"evil\.example"):
        open_it(file_server)


def test_page_that_is_no_catalogue_is_refused(file_server: Any) -> None:
    for body, reason in ((b"<html>", "no JSON"), (b"[1]", "no object"), (b'{"a": 1}', "no STAC catalogue")):
        file_server.replies["catalog.json"] = body
        with pytest.raises(CatalogueUnavailable, match=reason):
            open_it(file_server)


def test_unchanged_files_are_not_sent_again(tmp_path: Path) -> None:
    """With ETag: the second walk gets only 304s."""
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    catalogue_files(tmp_path, ["a", "b"])
    sent: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_args: object) -> None:
            pass

        def do_GET(self) -> None:
            body = (tmp_path / self.path.lstrip("/")).read_bytes()
            etag = f'"{hash(body)}"'
            status = 304 if self.headers.get("if-none-match") == etag else 200
            sent.append(status)
            self.send_response(status)
            self.send_header("etag", etag)
            self.send_header("content-length", str(len(body) if status == 200 else 0))
            self.end_headers()
            if status == 200:
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/catalog.json"
        catalogue = open_catalogue(url, preset=None, collections=[C], allowed_hosts=("127.0.0.1:*",))
        assert names(catalogue) == ["a", "b"]
        sent.clear()
        assert names(catalogue) == []
        assert set(sent) == {304}
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
