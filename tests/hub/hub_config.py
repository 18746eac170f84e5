"""The course's hub where no systemd runs: its servers are processes of each account."""

import os
from pathlib import Path

import course

c = get_config()  # noqa: F821  (JupyterHub provides it)

ours = Path(course.__file__).parent / "hub" / "jupyterhub_config.py"
load_subconfig(str(ours))  # noqa: F821

c.JupyterHub.spawner_class = "localprocess"

public, proxy, hub = os.environ["COURSE_TEST_PORTS"].split()
c.JupyterHub.bind_url = f"http://127.0.0.1:{public}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{hub}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{proxy}"

# Somebody who may see who is idle, and nothing more than the culler may.
token = os.environ["COURSE_TEST_TOKEN"]
c.JupyterHub.services.append({"name": "tests", "api_token": token})
c.JupyterHub.load_roles[0]["services"].append("tests")

# The benchmark starts servers for others, and works in them.
if "COURSE_TEST_LOAD" in os.environ:
    scopes = ["servers", "access:servers", "list:users", "read:users", "read:servers"]
    c.JupyterHub.load_roles.append(
        {"name": "load", "services": ["tests"], "scopes": scopes}
    )
