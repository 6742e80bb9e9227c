"""Images of templates, built by the daemon under test once and then kept in LXM_CACHE between runs."""
import hashlib
import os
from pathlib import Path

from . import host, images
from .daemon import TOP


def cache_dir():
    path = Path(os.environ.get("LXM_CACHE") or TOP / "build/cache/images")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def key(name):
    """File name that changes with the recipes, so that a stale image is never used."""
    digest = hashlib.sha256()
    for path in sorted((TOP / "templates").rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(TOP)).encode() + b"\0" + path.read_bytes())
    return f"{name.replace('/', '-')}-{digest.hexdigest()[:16]}.tar"


def ensure(daemon, name, timeout=600):
    """The daemon has an image under the alias `name` afterwards; builds it where the cache has none."""
    if daemon.rest.get(f"images/aliases/{name.replace('/', '%2F')}").status == 200:
        return name
    kept = cache_dir() / key(name)
    with host.alone(kept.stem):  # another lane may be building it
        if not kept.exists():
            return build(daemon, name, kept, timeout)
    images.import_image(daemon.rest, kept.read_bytes(), name, timeout=timeout)
    return name


def build(daemon, name, kept, timeout):
    """Has the image made and keeps it."""
    built = daemon.lxmc("image", "build", name, timeout=timeout)
    assert built.code == 0, built
    fingerprint = daemon.rest.read(f"images/aliases/{name.replace('/', '%2F')}")["target"]
    export = daemon.rest.get(f"images/{fingerprint}/export", timeout=timeout)
    if export.status == 200 and not export.headers.get("Content-Type", "").startswith("multipart/"):
        part = kept.with_suffix(".part")
        part.write_bytes(export.body)
        part.rename(kept)
    return name
