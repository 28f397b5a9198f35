"""What may be a base image, which Python is found in it, and what is said of one that cannot be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from nitro_presets.container.image.base import open_base
from nitro_presets.container.image.detect_platform import find_platform
from nitro_presets.container.platforms import ImagePlatform
from nitro_py.errors import UsageError
from tests.presets.container.layouts import (
    DEBIAN,
    INDEX,
    LAYER,
    MANIFEST,
    Layout,
    make_base,
    make_docker_archive,
    pack,
)

OFFICIAL = {"usr/local/bin/python3": "python3.13", "usr/local/bin/python3.13": ""}


def read_platform(base: Path) -> ImagePlatform:
    """Return what a base image is."""
    with open_base(base, "amd64") as image:
        return find_platform(image)


def refuse(base: Path) -> str:
    """Return what is said of a base that cannot be one."""
    with pytest.raises(UsageError) as caught:
        read_platform(base)
    assert str(base) in str(caught.value)
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize(
    ("layers", "process", "found"),
    [
        ((DEBIAN,), None, ImagePlatform("amd64", "3.11")),
        ((DEBIAN,), {}, ImagePlatform("amd64", "3.11")),
        # The first in the path wins.
        ((DEBIAN, OFFICIAL), None, ImagePlatform("amd64", "3.13")),
        (({**DEBIAN, "lib/ld-musl-x86_64.so.1": ""},), None, ImagePlatform("amd64", "3.11", musl=True)),
        (({"./usr/bin/python3": "/usr/bin/python3.12"},), None, ImagePlatform("amd64", "3.12")),
        # No link, and beside it what tells.
        (({"usr/bin/python3": "", "usr/bin/python3.14": ""},), None, ImagePlatform("amd64", "3.14")),
        (
            ({"opt/bin/python3": ""},),
            {"Env": ["PATH=/opt/bin", "PYTHON_VERSION=3.12.4"]},
            ImagePlatform("amd64", "3.12"),
        ),
        # Most images have other things on top of it.
        ((DEBIAN, {"srv/app": ""}), None, ImagePlatform("amd64", "3.11")),
        # What a layer deletes is gone, and what it adds beside that is not.
        ((OFFICIAL, {"usr/local/bin/.wh.python3": "", **DEBIAN}), None, ImagePlatform("amd64", "3.11")),
        ((OFFICIAL, {**DEBIAN, "usr/local/.wh.bin": ""}), None, ImagePlatform("amd64", "3.11")),
        (
            (OFFICIAL, {"usr/local/bin/python3": "python3.12", "usr/local/bin/.wh..wh..opq": ""}),
            None,
            ImagePlatform("amd64", "3.12"),
        ),
    ],
)
def test_python_is_found(
    tmp_path: Path, layers: tuple[Mapping[str, str], ...], process: dict[str, object] | None, found: ImagePlatform
) -> None:
    assert read_platform(make_base(tmp_path / "base", *layers, process=process)) == found


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"usr/bin/perl": ""}, "The base image has no `python3` in its `PATH`."),
        ({"opt/python3": "python3.13"}, "The base image has no `python3` in its `PATH`."),
        ({"usr/bin/python3": "python3.9"}, "The base image has Python 3.9: expected 3.11 or later."),
    ],
)
def test_base_without_a_python_that_fits_is_refused(tmp_path: Path, entries: dict[str, str], message: str) -> None:
    assert refuse(make_base(tmp_path / "base", entries)) == message


def test_base_may_be_an_archive(tmp_path: Path) -> None:
    folder = make_base(tmp_path / "base", OFFICIAL)
    with open_base(folder, "amd64") as one, open_base(pack(folder, tmp_path / "base.tar"), "amd64") as two:
        assert (one.digest, one.document) == (two.digest, two.document)
        assert [layer.descriptor for layer in one.layers] == [layer.descriptor for layer in two.layers]
        with one.layers[0].open() as first, two.layers[0].open() as second:
            assert first.read() == second.read() != b""
        assert find_platform(two) == ImagePlatform("amd64", "3.13")


def test_base_may_be_what_docker_saves(tmp_path: Path) -> None:
    assert read_platform(make_docker_archive(tmp_path / "base.tar")) == ImagePlatform("amd64", "3.11")
    damaged = refuse(make_docker_archive(tmp_path / "damaged.tar", damaged=True))
    assert damaged.startswith("Layer 0 is damaged: expected the digest `sha256:")


def test_layers_may_be_dockers(tmp_path: Path) -> None:
    kind = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    with open_base(make_base(tmp_path / "base", media_type=kind), "amd64") as image:
        assert image.layers[0].descriptor.media_type == "application/vnd.oci.image.layer.v1.tar+gzip"


def test_one_of_many_architectures_is_chosen(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "base")
    images = {name: layout.add_image((DEBIAN,), architecture=name) for name in ("amd64", "arm64")}
    manifests = [{**image, "platform": {"os": "linux", "architecture": name}} for name, image in images.items()]
    attested = {
        **layout.add_image(({"nothing": ""},)),
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
    }
    nested = layout.add_document({"schemaVersion": 2, "manifests": [*manifests, attested]}, INDEX)
    layout.write_index(nested)
    with open_base(layout.folder, "arm64") as image:
        assert (image.architecture, image.digest) == ("arm64", images["arm64"]["digest"])
    with open_base(layout.folder, "amd64") as image:
        assert (image.architecture, image.digest) == ("amd64", images["amd64"]["digest"])


def test_what_is_attested_of_an_image_is_none(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "base")
    # Neither says what it is for.
    image = layout.add_image()
    attested = {
        **layout.add_image(({"nothing": ""},)),
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
    }
    assert read_platform(layout.write_index(image, attested)) == ImagePlatform("amd64", "3.11")


def test_indexes_inside_each_other_come_to_an_end(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "base")
    place = layout.add_image()
    for depth in range(5):
        layout.write_index(place)
        if depth < 4:
            assert read_platform(layout.folder) == ImagePlatform("amd64", "3.11")
        place = layout.add_document({"schemaVersion": 2, "manifests": [place]}, INDEX)
    assert refuse(layout.folder) == "The index holds indexes that hold indexes, more than 4 deep."


def test_document_that_is_none_for_its_size_is_refused(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base", comment="x" * 5 * 1024 * 1024)
    message = refuse(base)
    assert message.startswith("The configuration in `blobs/sha256/")
    assert message.endswith("` has more than 4194304 bytes.")


def test_architecture_that_is_not_there_is_named(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "base")
    layout.write_index(
        *(
            {
                **layout.add_image((DEBIAN,), architecture=name),
                "platform": {"os": "linux", "architecture": name},
            }
            for name in ("arm64", "s390x")
        )
    )
    assert refuse(layout.folder) == (
        "The base holds 0 images for `linux/amd64`: expected one (it has `linux/arm64`, `linux/s390x`)."
    )


@pytest.mark.parametrize(("system", "architecture"), [("linux", "s390x"), ("windows", "amd64")])
def test_platform_that_nothing_is_installed_for_is_refused(tmp_path: Path, system: str, architecture: str) -> None:
    base = make_base(tmp_path / "base", system=system, architecture=architecture)
    assert refuse(base) == (
        f"The base image is for `{system}/{architecture}`: expected `linux/amd64` or `linux/arm64`."
    )


def test_layer_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base", media_type="application/vnd.oci.image.layer.v1.tar+zstd")
    assert refuse(base).startswith("Layer 0 of the base image is `application/vnd.oci.image.layer.v1.tar+zstd`:")


@pytest.mark.parametrize("what", ["manifest", "configuration", "layer 0"])
@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_every_blob_is_checked(tmp_path: Path, what: str, how: str) -> None:
    base = make_base(tmp_path / "base")
    blobs = base / "blobs"
    name = json.loads((base / "index.json").read_text())["manifests"][0]["digest"]
    if what != "manifest":
        manifest = json.loads((blobs / name.replace(":", "/")).read_text())
        name = (manifest["config"] if what == "configuration" else manifest["layers"][0])["digest"]
    blob = blobs / name.replace(":", "/")
    if how == "missing":
        blob.unlink()
        assert refuse(base) == f"The {what} is missing: there is no `blobs/{name.replace(':', '/')}`."
    else:
        blob.write_bytes(blob.read_bytes()[:-1] + b"?")
        size = f"{blob.stat().st_size} bytes with"
        message = f"The {what} is damaged: expected {size} the digest `{name}`, got {size} `sha256:"
        assert refuse(base).startswith(message)


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert refuse(empty) == f"`{empty}` is no image: it has neither `oci-layout` nor `manifest.json`."
    text = tmp_path / "text"
    text.write_text("text")
    assert refuse(text) == (
        f"`{text}` is no image: expected an OCI layout, as a folder or an archive, or a Docker archive."
    )
    none = tmp_path / "none"
    assert refuse(none) == f"The base image `{none}` cannot be read: No such file or directory."


def test_archive_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    whole = pack(make_base(tmp_path / "base"), tmp_path / "whole.tar").read_bytes()
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole[: len(whole) // 2 - 100])
    assert refuse(cut).startswith(f"`{cut}` is no image: ")


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ("{", "Invalid JSON: "),
        ("[]", "Input should be "),
        ('{"manifests": 1}', "`manifests`: Input should be a valid array."),
        ('{"manifests": [{}]}', "`manifests.0.mediaType`: Field required."),
        (
            '{"manifests": [{"mediaType": "x", "digest": "sha256:../../x", "size": 1}]}',
            "`manifests.0.digest`: String should match pattern '^sha256:[0-9a-f]{64}$'.",
        ),
    ],
)
def test_broken_index_is_refused(tmp_path: Path, index: str, reason: str) -> None:
    base = make_base(tmp_path / "base")
    (base / "index.json").write_text(index)
    assert refuse(base).startswith(f"The index in `index.json` cannot be read: {reason}")


def test_index_without_an_image_is_refused(tmp_path: Path) -> None:
    base = Layout(tmp_path / "base").write_index()
    assert refuse(base) == "The base holds 0 images for `linux/amd64`: expected one (it has none)."


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"config": {"Env": "PATH=/bin"}}, "config.Env"),
        ({"config": {"Labels": ["a"]}}, "config.Labels"),
        ({"history": [1]}, "history.0"),
        ({"rootfs": None}, "rootfs"),
        ({"rootfs": {"diff_ids": ["x"]}}, "rootfs.diff_ids.0"),
    ],
)
def test_broken_configuration_is_refused(tmp_path: Path, document: dict[str, object], place: str) -> None:
    message = refuse(make_base(tmp_path / "base", **document))
    assert message.startswith("The configuration in `blobs/sha256/")
    assert f"` cannot be read: `{place}`: " in message


def test_what_is_null_is_absent(tmp_path: Path) -> None:
    empty = {"config": {"Env": None, "Labels": None, "Volumes": None}, "history": None}
    assert read_platform(make_base(tmp_path / "base", **empty)) == ImagePlatform("amd64", "3.11")


def test_layers_must_be_as_many_as_the_configuration_says(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base", rootfs={"type": "layers", "diff_ids": []})
    assert refuse(base) == "The configuration names 0 layers, and the manifest 1."


def test_layer_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "base")
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [f"sha256:{'0' * 64}"]}}
    manifest = {
        "config": layout.add_document(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [layout.add(b"text", LAYER)],
    }
    layout.write_index(layout.add_document(manifest, MANIFEST))
    assert refuse(layout.folder).startswith("Layer 0 is no archive: ")
