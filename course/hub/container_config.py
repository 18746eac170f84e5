"""The course's hub for ``compose.yaml``: each server in a container of its own.

Students are told apart by numbers here, as they are by system accounts on one server:
each container runs under its own, and the exchange keeps them from each other.
"""

import os
from pathlib import Path
from typing import Any

c = get_config()  # noqa: F821  (JupyterHub provides it)

load_subconfig(str(Path(__file__).with_name("jupyterhub_config.py")))  # noqa: F821

EXCHANGE = "/srv/nbgrader/exchange"
TEACHER = 19999
"""What every instructor's container runs as; the image has the exchange made for it."""


def number(spawner: Any) -> dict[str, str]:
    """The user and group of a student's container: no two have the same."""
    own = 20000 + spawner.user.id
    return {"user": f"{own}:{own}"}


c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.DockerSpawner.image = os.environ["COURSE_IMAGE"]
c.DockerSpawner.network_name = os.environ["COURSE_NETWORK"]
c.DockerSpawner.extra_create_kwargs = number
c.DockerSpawner.extra_host_config = {"pids_limit": 256, "cap_drop": ["ALL"]}
c.DockerSpawner.remove = True
c.DockerSpawner.volumes = {
    "black-box-home-{username}": "/home/member",
    "black-box-exchange": EXCHANGE,
}
c.Spawner.environment |= {
    "HOME": "/home/member",
    "USER": lambda spawner: spawner.user.name,
    "LOGNAME": lambda spawner: spawner.user.name,
}

# The sandbox in which Formgrader grades makes namespaces, which engines forbid.
teacher = c.Spawner.group_overrides["instructors"]["spawner_override"]
teacher["extra_create_kwargs"] = {"user": f"{TEACHER}:{TEACHER}"}
teacher["extra_host_config"] = {
    "pids_limit": 1024,
    "security_opt": [
        "seccomp=unconfined",
        "apparmor=unconfined",
        "systempaths=unconfined",
    ],
}
teacher["volumes"] = {"black-box-teacher": "/home/teacher"}
teacher["environment"] |= {
    "HOME": "/home/teacher",
    "COURSE_GRADEBOOK": os.environ["COURSE_GRADEBOOK"],
}

# The proxy and the hub share one container; the others reach the hub by its name.
c.JupyterHub.bind_url = "http://0.0.0.0:8000"
c.JupyterHub.hub_ip = "0.0.0.0"
c.JupyterHub.hub_connect_ip = "hub"
