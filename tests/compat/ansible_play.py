"""Ansible tasks run on this host, with what each of them answered."""
import json

import yaml

HERE = "localhost ansible_connection=local ansible_python_interpreter=/usr/bin/python3\n"


class Player:
    """player(task, ...) runs tasks that have to succeed and returns their results; player.results() does so if one fails, too."""

    def __init__(self, server, directory, env):
        self.server = server
        self.dir = directory
        self.env = env

    def results(self, *tasks, hosts="localhost", inventory=HERE):
        book = [{"hosts": hosts, "gather_facts": False, "tasks": [dict(t, name=str(i)) for i, t in enumerate(tasks)]}]
        (self.dir / "book.yml").write_text(yaml.safe_dump(book))
        (self.dir / "hosts").write_text(inventory)
        done = self.server.run(["ansible-playbook", "-i", self.dir / "hosts", self.dir / "book.yml"], timeout=110,
                               ANSIBLE_STDOUT_CALLBACK="json", ANSIBLE_LOCAL_TEMP=str(self.dir / "local"), ANSIBLE_RETRY_FILES_ENABLED="0",
                               ANSIBLE_REMOTE_TEMP="/tmp/.ansible", **self.env)
        book = json.loads(done.out[done.out.index("{"):])
        return [next(iter(task["hosts"].values())) for task in book["plays"][0]["tasks"]]

    def __call__(self, *tasks, **kw):
        results = self.results(*tasks, **kw)
        assert len(results) == len(tasks) and not any(r.get("failed") for r in results), [r.get("msg", "ok") for r in results]
        return results

