"""The files for containers and Kubernetes say what the hub that is tested says.

No container engine and no cluster runs here: the files are read as those would read
them, and held against the configuration, the requirements and the page. What fills the
exchange is run.
"""

import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from dockerspawner import DockerSpawner
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from course import FOLDER, ROOT
from tests.hub.admin import PAGE

HUB = FOLDER / "hub"
PLACE = "/srv/beyond-the-black-box"
NAMES = ("formgrade-beyond-the-black-box", "nbgrader-beyond-the-black-box")


def read(name: str) -> dict:
    return yaml.safe_load((HUB / name).read_text())


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", (HUB / "Containerfile").read_text(), flags=re.M)
    lines = [line.split(maxsplit=1) for line in text.replace("\\\n", " ").splitlines()]
    return [(line[0], " ".join(line[1].split())) for line in lines if line]


def told(kind: str) -> list[str]:
    return [value for name, value in instructions() if name == kind]


@pytest.fixture
def server_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """``container_config.py`` with the environment that ``compose.yaml`` gives it."""
    members = tmp_path / "class.yml"
    members.write_text("instructors: [teacher]\nstudents: [ada, ben, cem]\n")
    monkeypatch.setenv("COURSE_CLASS", str(members))
    for name, value in read("compose.yaml")["services"]["hub"]["environment"].items():
        monkeypatch.setenv(name, value)
    loader = PyFileConfigLoader("container_config.py", path=str(HUB))
    return loader.load_config()


def test_the_base_is_pinned_and_has_the_python_of_the_stored_outputs() -> None:
    (base,) = told("FROM")
    found = re.fullmatch(r"docker\.io/library/python:(3\.11\.\d+)-slim-trixie", base)
    assert found, base
    first = (ROOT / "constraints.txt").read_text().splitlines()[0]
    assert first.endswith(f"on Python {found[1].rpartition('.')[0]}.")
    grader = (FOLDER / "instructor" / "Containerfile").read_text()
    assert f"python:{found[1]}-" in grader, "two images of one course, two Pythons"


def test_what_is_installed_is_what_the_tests_use() -> None:
    installs = [part for part in " ".join(told("RUN")).split("&&") if "pip" in part]
    assert all("--constraint constraints.txt" in part for part in installs)
    extra = re.search(r'--editable "\.\[(\w+)\]"', installs[1])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert extra and extra[1] in project["optional-dependencies"]
    runs = told("RUN")
    assert f"touch .venv/.course .venv/.{extra[1]}" in runs[1]
    assert runs[1].endswith("make .venv/.proxy")
    assert "\n.venv/.proxy: " in (ROOT / "Makefile").read_text()
    assert "bubblewrap" in runs[0] and " npm" in runs[0]


def test_what_it_runs_is_there_and_downloads_nothing() -> None:
    assert told("WORKDIR") == [PLACE]
    used = re.findall(r"course/hub/[\w.]+", " ".join(told("RUN") + told("CMD")))
    assert {ROOT / name for name in used} >= {
        HUB / name for name in ("accounts.sh", "fill.sh", "container_config.py")
    }
    assert all((ROOT / name).exists() for name in used)
    for name in ("accounts.sh", "fill.sh"):
        assert not re.search(
            r"\b(pip|apt-get|curl|wget|npm|http)\b", (HUB / name).read_text()
        )
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "course/hub" not in ignored and "**/*.yaml" not in ignored


def test_a_students_container_has_limits_and_a_number_of_its_own(
    server_config: Config,
) -> None:
    spawner = server_config.DockerSpawner
    assert {*spawner} <= {*DockerSpawner.class_trait_names()}
    ada, ben = (
        spawner.extra_create_kwargs(SimpleNamespace(user=SimpleNamespace(id=number)))
        for number in (2, 3)
    )
    assert ada == {"user": "20002:20002"} and ben == {"user": "20003:20003"}
    assert server_config.Spawner.mem_limit == "2G"
    assert server_config.Spawner.cpu_limit == 1.0
    assert spawner.volumes["black-box-home-{username}"] == "/home/member"


def test_the_teachers_container_has_the_gradebook_and_no_other_has(
    server_config: Config,
) -> None:
    overrides = server_config.Spawner.group_overrides["instructors"]
    assert overrides["groups"] == [NAMES[0]]
    teacher = overrides["spawner_override"]
    assert "COURSE_GRADEBOOK" not in server_config.Spawner.environment
    address = teacher["environment"]["COURSE_GRADEBOOK"]
    book = read("compose.yaml")["services"]["gradebook"]["environment"]
    password = book["POSTGRES_PASSWORD"]
    user, name = book["POSTGRES_USER"], book["POSTGRES_DB"]
    assert address == f"postgresql+psycopg://{user}:{password}@gradebook/{name}"
    number = teacher["extra_create_kwargs"]["user"].partition(":")[0]
    home = teacher["environment"]["HOME"]
    assert f"fill.sh {number} /srv/nbgrader/exchange {home}" in told("RUN")[-1]
    assert teacher["volumes"] == {"black-box-teacher": home}


def test_compose_names_what_the_hub_starts(server_config: Config) -> None:
    compose = read("compose.yaml")
    hub, services = compose["services"]["hub"], compose["services"]
    assert (HUB / hub["build"]["context"]).resolve() == ROOT
    assert ROOT / hub["build"]["dockerfile"] == HUB / "Containerfile"
    assert hub["image"] == server_config.DockerSpawner.image
    assert compose["networks"] == {"black-box": {"name": "black-box"}}
    assert server_config.DockerSpawner.network_name == "black-box"
    exchange = compose["volumes"]["exchange"]["name"]
    assert server_config.DockerSpawner.volumes[exchange] == "/srv/nbgrader/exchange"
    assert server_config.JupyterHub.hub_connect_ip in services
    mounted = {v.split(":")[0] for s in services.values() for v in s["volumes"]}
    assert {v for v in mounted if v[0] not in "./"} == {*compose["volumes"]}
    for service in services.values():
        assert "build" in service or re.search(r":\d+(\.\d+)+$", service["image"])
    assert "reverse-proxy" in services["web"]["command"]
    assert "ports" not in hub and "ports" not in services["gradebook"]


def kubernetes() -> Config:
    """What ``values.yaml`` adds to the chart's configuration."""
    config = Config()
    config.KubeSpawner.environment = read("values.yaml")["singleuser"]["extraEnv"]
    exec(read("values.yaml")["hub"]["extraConfig"]["course"], {"c": config})
    return config


def test_kubernetes_is_told_what_the_hub_is_told(server_config: Config) -> None:
    values = read("values.yaml")
    told, single = values["hub"]["config"], values["singleuser"]
    assert told["JupyterHub"]["load_groups"] == server_config.JupyterHub.load_groups
    allowed = server_config.Authenticator.allowed_users
    assert {*told["Authenticator"]["allowed_users"]} == allowed
    assert not {*told["Authenticator"]["admin_users"]} & allowed
    ours = server_config.Spawner
    assert told["Spawner"]["server_token_scopes"] == ours.server_token_scopes
    assert single["memory"]["limit"] == ours.mem_limit
    assert single["cpu"]["limit"] == ours.cpu_limit
    assert values["cull"]["timeout"] == 3600
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "DDE_BACKEND"):
        assert single["extraEnv"][name] == ours.environment[name]
    folders = single["extraEnv"]["JUPYTER_CONFIG_PATH"].split(":")
    assert folders == [f"{PLACE}/course/hub/{n}" for n in ("student", "everyone")]


def test_a_students_pod_has_a_number_of_its_own_and_a_teachers_the_exchange() -> None:
    config = kubernetes()
    of = [SimpleNamespace(user=SimpleNamespace(id=n, name="x")) for n in (2, 3)]
    for trait in ("uid", "gid"):
        assert [config.KubeSpawner[trait](s) for s in of] == [20002, 20003]
    assert read("values.yaml")["singleuser"]["fsGid"] is None
    assert "fs_gid" not in config.KubeSpawner, "it would open the exchange"
    teacher = config.KubeSpawner.group_overrides["instructors"]
    assert teacher["groups"] == [NAMES[0]]
    assert "fs_gid" not in teacher["spawner_override"]
    documents = list(yaml.safe_load_all((HUB / "exchange.yaml").read_text()))
    claims = {d["metadata"]["name"] for d in documents if d["kind"] != "Job"}
    job = documents[-1]["spec"]["template"]["spec"]
    (container,) = job["containers"]
    override = teacher["spawner_override"]
    assert container["command"] == [
        "sh",
        "course/hub/fill.sh",
        str(override["uid"]),
        "/srv/nbgrader/exchange",
        override["environment"]["HOME"],
    ]
    single = read("values.yaml")["singleuser"]
    image = f"{single['image']['name']}:{single['image']['tag']}"
    assert container["image"] == image
    (first,) = single["initContainers"]
    assert first["image"] == image
    assert first["volumeMounts"][0]["mountPath"] == single["storage"]["homeMountPath"]
    used = {v["persistentVolumeClaim"]["claimName"] for v in job["volumes"]}
    assert used == claims == {"exchange", "teacher"}
    assert single["storage"]["extraVolumeMounts"] == container["volumeMounts"][:1]


def test_the_page_says_what_was_not_run() -> None:
    said = " ".join(PAGE.read_text().split())
    assert "None of this section was run" in said
    chart = re.search(r"chart (\d+\.\d+\.\d+)", (HUB / "values.yaml").read_text())
    assert chart and f"--version {chart[1]}" in said
    assert "jupyterhub>=5.3,<6" in (ROOT / "pyproject.toml").read_text()
