"""A daemon with two tenants for the tests of who may do what: projects `red` and `blue`, each with the same kinds of objects."""
from . import images
from .images import METADATA
from .tls import Certificate, Served


class Tenant:
    """One project with an instance, snapshot, profile, image, alias, volume and operation; its restricted certificate."""

    def __init__(self, served, tmp, project, tar):
        self.project = project
        self.rest = served.rest
        self.served = served
        self.query = {"project": project}
        self.tar = tar
        self.rest.change("POST", "projects", {"name": project})
        self.pool = self.rest.read("storage-pools", query={"recursion": 1})[0]["name"]
        self.image = self.change("POST", "images", data=tar)["metadata"]["fingerprint"]
        self.change("POST", "images/aliases", {"name": f"{project}alias", "target": self.image})
        self.change("POST", "profiles", {"name": f"{project}profile"})
        self.change("POST", f"storage-pools/{self.pool}/volumes/custom", {"name": f"{project}volume"})
        self.change("POST", "instances", {
            "name": f"{project}inst", "source": {"type": "image", "fingerprint": self.image}, "profiles": ["default", f"{project}profile"],
            "devices": {"root": {"type": "disk", "path": "/", "pool": self.pool}}})
        self.change("POST", f"instances/{project}inst/snapshots", {"name": f"{project}snap"})
        self.change("POST", f"instances/{project}inst/backups", {"name": f"{project}backup"})
        self.operation = self.rest.start_op("POST", f"images/{self.image}/secret", query=self.query)["id"]
        self.certificate = Certificate(tmp, project).trust(self.rest, restricted=True, projects=[project], name=f"{project} tenant")

    def change(self, method, path, json=None, **kw):
        return self.rest.change(method, path, json, query=self.query, **kw)

    @property
    def names(self):
        """Path parameter by the path before it."""
        return {"/1.0/instances": f"{self.project}inst", f"/1.0/instances/{self.project}inst/snapshots": f"{self.project}snap",
                f"/1.0/instances/{self.project}inst/backups": f"{self.project}backup",
                "/1.0/profiles": f"{self.project}profile", "/1.0/images": self.image, "/1.0/images/aliases": f"{self.project}alias",
                "/1.0/operations": self.operation, "/1.0/projects": self.project, "/1.0/storage-pools": self.pool,
                f"/1.0/storage-pools/{self.pool}/volumes": "custom",
                f"/1.0/storage-pools/{self.pool}/volumes/custom": f"{self.project}volume",
                "/1.0/certificates": self.certificate.fingerprint}

    @property
    def words(self):
        """What nobody else may ever be told."""
        return [self.project, self.image, self.image[:12], self.operation, self.certificate.fingerprint[:12]]

    def clear(self):
        self.rest.delete(f"operations/{self.operation}")
        self.change("DELETE", f"instances/{self.project}inst")
        self.change("DELETE", f"storage-pools/{self.pool}/volumes/custom/{self.project}volume")
        self.change("DELETE", f"profiles/{self.project}profile")
        self.change("DELETE", f"images/{self.image}")
        self.rest.change("DELETE", f"projects/{self.project}")

    def client(self):
        return self.served.at(self.certificate)


class World:
    """The daemon, its listener, both tenants; `client(kind)` is a caller of one of CALLERS."""

    def __init__(self, daemon, tmp):
        self.daemon = daemon
        self.rest = daemon.rest
        self.served = Served(daemon).__enter__()
        self.red, self.blue = (Tenant(self.served, tmp, p, images.busybox_tar(METADATA.replace("release: test", f"release: {p}")))
                               for p in ("red", "blue"))
        self.certificates = {
            "none": None,
            "unknown": Certificate(tmp, "unknown"),
            "expired": Certificate(tmp, "expired", days=-1).trust(self.rest),
            "revoked": Certificate(tmp, "revoked").trust(self.rest),
            "metrics": Certificate(tmp, "metrics").trust(self.rest, type="metrics"),
            "restricted": self.blue.certificate,
            "admin": Certificate(tmp, "admin").trust(self.rest),
        }
        self.rest.change("DELETE", f"certificates/{self.certificates['revoked'].fingerprint}")

    def client(self, kind):
        return self.served.at(self.certificates[kind])

    def close(self):
        for tenant in (self.red, self.blue):
            tenant.clear()
        self.served.__exit__()


CALLERS = ("none", "unknown", "expired", "revoked", "metrics", "restricted", "admin")
