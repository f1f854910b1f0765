"""Models by name: what is listed is well formed, what is fetched is checked, licences are asked about."""

from __future__ import annotations

import hashlib
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from millrace.cli import invoke
from millrace.core import ConfigError
from millrace.models import catalogue, model_file
from millrace.models.card import read_card
from millrace.testing.models import make_detector

BOXES = [(8.0, 12.0, 24.0, 44.0, 0.9, 2)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MILLRACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MILLRACE_OFFLINE", raising=False)


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A catalogue of one model `boxes` on a server of its own; `served.asked` are the paths that were asked for."""
    folder = tmp_path / "www"
    folder.mkdir()
    model = Path(make_detector(folder / "boxes.onnx", BOXES, classes=5))
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *args):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    entry = {
        "what": "boxes", "authors": "we", "page": "http://127.0.0.1/", "licence": "MIT", "licence_page": "here",
        "checked": "copy", "card": {"parser": "yolox", "labels": list("abcde")},
        "files": [{
            "url": f"http://127.0.0.1:{httpd.server_address[1]}/boxes.onnx", "name": "boxes.onnx",
            "digest": f"sha256:{hashlib.sha256(model.read_bytes()).hexdigest()}", "bytes": model.stat().st_size,
        }],
    }  # fmt: skip
    listing = tmp_path / "catalogue.yaml"

    def write(**changes):
        listing.write_text(yaml.safe_dump({"boxes": entry | changes}))

    write()
    monkeypatch.setenv("MILLRACE_CATALOGUE", str(listing))
    write.asked = asked
    yield write
    httpd.shutdown()
    httpd.server_close()
    thread.join(5)


def test_every_entry_is_well_formed(tmp_path):
    for name, entry in catalogue.entries().items():
        assert entry.permissive, f"{name}: {entry.licence} is no permissive licence"
        assert name == name.lower() and catalogue.is_name(name)
        for file in entry.files:
            kind, _, value = file.digest.partition(":")
            assert len(value) == {"sha256": 64, "sha384": 96}[kind] and int(value, 16)
            assert file.url.startswith("https://") and file.bytes > 1000
        assert {Path(file.name).stem for file in entry.files} == {name}
        card = tmp_path / f"{name}.yaml"
        card.write_text(yaml.safe_dump({"licence": entry.licence, **entry.card}))
        read_card(card)


@pytest.mark.parametrize(
    ("name", "number", "copy"),
    [
        ("ultraface", 0, "face/ultraface_rfb_320.onnx"),
        ("fastestdet", 0, "detect/FastestDet.onnx"),
        ("vehicle-attributes", 0, "openvino_ir/vehicle-attributes-0039.xml"),
        ("vehicle-attributes", 1, "openvino_ir/vehicle-attributes-0039.bin"),
    ],
)
def test_hashes_said_to_be_of_a_copy_are(corpus, name, number, copy):
    entry = catalogue.get(name)
    file = entry.files[number]
    data = (corpus / "models" / copy).read_bytes()
    assert entry.checked == "copy" and len(data) == file.bytes
    assert (
        f"{file.digest.partition(':')[0]}:{hashlib.new(file.digest.partition(':')[0], data).hexdigest()}" == file.digest
    )


def test_a_name_is_fetched_once_and_runs_with_its_card(served, tmp_path, clip):
    code = invoke(["run", str(clip()), "--model", "boxes", "--json", str(tmp_path / "o.jsonl"), "-q"])
    assert code == 0 and served.asked == ["/boxes.onnx"]
    assert '"label":"c"' in (tmp_path / "o.jsonl").read_text().replace(" ", "")
    assert model_file("boxes") == catalogue.have("boxes") == tmp_path / "cache" / "models" / "boxes" / "boxes.onnx"
    assert served.asked == ["/boxes.onnx"]


def test_a_damaged_copy_is_fetched_again(served):
    path = model_file("boxes")
    path.write_bytes(b"damaged")
    assert model_file("boxes").stat().st_size > 100
    assert len(served.asked) == 2


def test_a_licence_that_asks_for_more_must_be_accepted_once(served, capfd):
    served(licence="AGPL-3.0", licence_page="https://example.org/agpl")
    with pytest.raises(ConfigError, match=r"AGPL-3.0 \(https://example.org/agpl\).*--accept-licence"):
        model_file("boxes")
    assert served.asked == []
    assert invoke(["models", "pull", "boxes"]) == 2
    assert invoke(["models", "pull", "boxes", "--accept-licence", "-q"]) == 0
    assert capfd.readouterr().out.strip().endswith("boxes.onnx")
    assert model_file("boxes").is_file()  # accepted: it is here


def test_offline_uses_what_is_here_and_says_what_is_not(served, monkeypatch):
    monkeypatch.setenv("MILLRACE_OFFLINE", "1")
    with pytest.raises(ConfigError, match="MILLRACE_OFFLINE"):
        model_file("boxes")
    monkeypatch.delenv("MILLRACE_OFFLINE")
    model_file("boxes")
    monkeypatch.setenv("MILLRACE_OFFLINE", "1")
    assert model_file("boxes").is_file()


def test_unknown_names_and_wrong_catalogues_are_one_sentence(served, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="Did you mean 'boxes'"):
        model_file("boxses")
    with pytest.raises(ConfigError, match="no model is named 'nothing'"):
        catalogue.pull("nothing")
    served(colour="red")
    with pytest.raises(ConfigError, match=r"catalogue.yaml: boxes.colour"):
        catalogue.entries()
    monkeypatch.setenv("MILLRACE_CATALOGUE", str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigError, match="cannot read the catalogue"):
        catalogue.entries()


def test_a_file_of_that_name_goes_before(served, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("boxes").mkdir()
    assert model_file("boxes") == Path("boxes")


def test_the_list_and_the_details(served, capfd):
    assert invoke(["models"]) == 0
    out = capfd.readouterr().out
    assert "fastestdet" in out and "street" in out and "boxes" in out
    assert invoke(["models", "show", "fastestdet"]) == 0
    out = capfd.readouterr().out
    assert "BSD-3-Clause" in out and "sha256:" in out and "Xuehao Ma" in out
    assert invoke(["models", "show", "fastestdett"]) == 2
    assert "Did you mean 'fastestdet'?" in capfd.readouterr().err
