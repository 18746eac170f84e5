"""JupyterHub for one class: who is in it, what each may use, where work changes hands.

Read by ``jupyterhub --config``, on one server whose students are system accounts
(``course/instructor/administrator.md`` leads there). A file that starts its servers in
another way loads this one first, as ``container_config.py`` does.

``/srv/jupyterhub/class.yml`` lists the ``instructors`` and the ``students``; another
place is given in ``COURSE_CLASS``.
"""

import os
import sys
from pathlib import Path

import yaml

from course.building.environment import variables

c = get_config()  # noqa: F821  (JupyterHub provides it)

HUB = Path(__file__).resolve().parent
COURSE = "beyond-the-black-box"
STATE = Path("/srv/jupyterhub")
PROGRAMS = Path(sys.executable).parent
IDLE_SECONDS = 3600

members = yaml.safe_load(
    Path(os.environ.get("COURSE_CLASS", STATE / "class.yml")).read_text()
)
INSTRUCTORS, STUDENTS = members["instructors"], members["students"]

# Who is in the class; nbgrader knows courses by the names of these two groups.
c.JupyterHub.load_groups = {
    f"formgrade-{COURSE}": {"users": INSTRUCTORS},
    f"nbgrader-{COURSE}": {"users": STUDENTS},
}
c.Authenticator.allowed_users = {*INSTRUCTORS, *STUDENTS}
c.PAMAuthenticator.open_sessions = False  # their processes are systemd's, not a login's

# A server may ask the hub which groups its own user is in, and nothing else.
c.Spawner.server_token_scopes = [
    "users:activity!user",
    "access:servers!user",
    "read:users:name!user",
    "read:users:groups!user",
]

# What each gets. systemd ends what takes more memory, and shares out the processors.
c.JupyterHub.spawner_class = "systemdspawner.SystemdSpawner"
c.Spawner.mem_limit = "2G"
c.Spawner.cpu_limit = 1.0
c.SystemdSpawner.isolate_tmp = True
c.SystemdSpawner.isolate_devices = True
c.SystemdSpawner.disable_user_sudo = True

# A class comes in at the same minute, and the last server waits for all others.
c.Spawner.start_timeout = 180
c.Spawner.http_timeout = 180
c.Spawner.cmd = [str(PROGRAMS / "jupyterhub-singleuser")]
c.Spawner.notebook_dir = "~"
c.Spawner.default_url = "/lab"
c.Spawner.environment = variables() | {
    "JUPYTER_CONFIG_PATH": f"{HUB / 'student'}:{HUB / 'everyone'}",
}
# Formgrader in a tab of its own: within JupyterLab it would need frames, which
# JupyterHub forbids, so that no student's page can act for an instructor.
c.Spawner.group_overrides = {
    "instructors": {
        "groups": [f"formgrade-{COURSE}"],
        "spawner_override": {
            "default_url": "/formgrader",
            "environment": {
                "JUPYTER_CONFIG_PATH": f"{HUB / 'instructor'}:{HUB / 'everyone'}",
            },
        },
    }
}

# A server that nobody has used for an hour is stopped; files stay, variables go.
c.JupyterHub.services = [
    {
        "name": "idle-culler",
        "command": [
            sys.executable,
            "-m",
            "jupyterhub_idle_culler",
            f"--timeout={IDLE_SECONDS}",
        ],
    }
]
c.JupyterHub.load_roles = [
    {
        "name": "idle-culler",
        "services": ["idle-culler"],
        "scopes": [
            "list:users",
            "read:users:activity",
            "read:servers",
            "delete:servers",
        ],
    }
]

# When the hub itself is restarted, the servers go on.
c.JupyterHub.cleanup_servers = False

# Only the proxy is reached from outside, through a web server that knows HTTPS.
c.JupyterHub.bind_url = "http://127.0.0.1:8000"
c.JupyterHub.db_url = f"sqlite:///{STATE / 'jupyterhub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(STATE / "jupyterhub_cookie_secret")
c.ConfigurableHTTPProxy.command = [
    str(Path(sys.prefix, "proxy/node_modules/.bin/configurable-http-proxy"))
]
c.ConfigurableHTTPProxy.pid_file = str(STATE / "jupyterhub-proxy.pid")
