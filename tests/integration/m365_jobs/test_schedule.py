"""Test that each scheduler accepts and runs the output of `schedule` unchanged, and that it holds no secret."""

import base64
import configparser
import glob
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from avepoint_simulator import Answer, Simulator
from m365_jobs.orchestrators import scheduler_templates

from tests.integration.m365_jobs.test_tenants import configure, section
from tests.support.cli import Cli, NewUser
from tests.support.truth import in_warehouse, on_server

BARE = {"PATH": "/usr/bin:/bin"}
"""The minimal environment that a scheduler gives a command."""


@pytest.fixture
def user(simulator: Simulator, new_user: NewUser, tmp_path: Path) -> Cli:
    """Return a user whose folder has a name that needs quotes."""
    user = new_user(simulator)
    user.folder = tmp_path / "50% of $HOME's [work]"
    user.folder.mkdir()
    return user


def printed(user: Cli, scheduler: str, *more: str) -> str:
    text = user.run("schedule", scheduler, *more).stdout
    assert user.environment.get("SOURCES__AVEPOINT_M365__CREDENTIALS__CLIENT_SECRET", "client_secret = ") not in text
    return text


def keep_variables(user: Cli, text: str) -> None:
    """Write the variables that the text names into the file that it names, as the user must do."""
    names = re.findall(r"^#   (\w+)$", text, re.MULTILINE)
    lines = [f"{name}={shlex.quote(user.environment[name])}" for name in names]
    (user.folder / "m365-jobs.env").write_text("\n".join(lines) + "\n")


def units(text: str, folder: Path) -> dict[str, Path]:
    """Write the unit files of the text to a folder, and return them by kind."""
    parts = re.split(r"^# ---- (.*)$", text, flags=re.MULTILINE)[1:]
    results = {}
    for place, content in zip(parts[::2], parts[1::2], strict=True):
        if place.startswith("/"):
            file = folder / Path(place).name
            file.write_text(content)
            results[Path(place).name.removeprefix("m365-jobs").lstrip("-.")] = file
    return results


def unit(file: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, delimiters="=", comment_prefixes="#")
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read(file)
    return parser


def as_systemd_runs(service: configparser.ConfigParser) -> subprocess.CompletedProcess[str]:
    """Run a service as systemd does: only with its own command, folder and variables."""

    def words(text: str) -> list[str]:
        return [word.replace("%%", "%") for word in shlex.split(text)]

    own = service["Service"]
    environment = BARE | dict(word.split("=", 1) for word in words(own["Environment"]))
    if "EnvironmentFile" in own:
        # systemd.exec(5): the name may be a wildcard expression.
        (file,) = glob.glob(own["EnvironmentFile"].replace("%%", "%"))
        lines = Path(file).read_text().splitlines()
        environment |= dict(shlex.split(line)[0].split("=", 1) for line in lines)
    command = [word.replace("$$", "$") for word in words(own["ExecStart"])]
    folder = own["WorkingDirectory"].replace("%%", "%")
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_systemd_service_loads_the_same_as_a_manual_load(user: Cli, simulator: Simulator, tmp_path: Path) -> None:
    text = printed(user, "systemd", "--dataset", "m365_jobs")
    keep_variables(user, text)
    service = unit(units(text, tmp_path)["service"])
    done = as_systemd_runs(service)
    assert done.returncode == 0, done.stderr
    assert in_warehouse(user.folder / "m365_warehouse.duckdb") == on_server(simulator.world, False)
    # The cursors are the same, so a manual load finds nothing new.
    assert "0 new, 0 changed" in user.run("load").stderr


def test_systemd_treats_an_incomplete_load_as_a_success(user: Cli, simulator: Simulator, tmp_path: Path) -> None:
    text = printed(user, "systemd")
    keep_variables(user, text)
    server_page = simulator.jobs.page

    def short(generation: int, path: str, params: dict[str, str]) -> Answer:
        answer = server_page(generation, path, params)
        answer.body.update({key: 10_000 for key in answer.body if key.startswith("total")})
        return answer

    simulator.jobs.page = short  # type: ignore[method-assign]
    service = unit(units(text, tmp_path)["service"])
    assert as_systemd_runs(service).returncode == int(service["Service"]["SuccessExitStatus"]) == 3


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
@pytest.mark.parametrize(
    ("every", "next_at"),
    [
        ("15m", r"\d\d:(00|15|30|45):00 UTC"),
        ("1h", r"\d\d:00:00 UTC"),
        ("6h", r"(00|06|12|18):00:00 UTC"),
        ("daily 02:30", r"02:30:00 UTC"),
    ],
)
def test_systemd_accepts_the_units_and_their_times(user: Cli, tmp_path: Path, every: str, next_at: str) -> None:
    text = printed(user, "systemd", "--every", every)
    keep_variables(user, text)
    files = units(text, tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files.values()], capture_output=True, text=True, check=False
    )
    about_us = [line for line in done.stderr.splitlines() if "m365" in line]
    assert (done.returncode, about_us) == (0, []), done.stderr
    calendar = unit(files["timer"])["Timer"]["OnCalendar"]
    message = subprocess.run(
        ["systemd-analyze", "calendar", calendar], env={"TZ": "UTC", **BARE}, capture_output=True, text=True, check=True
    ).stdout
    assert re.search(rf"Next elapse: .* {next_at}", message), message


def crontab_line(text: str, command: str = "load") -> tuple[list[str], str]:
    """Return the five fields of a command's job in a crontab, and the command that cron passes to the shell."""
    jobs = [line for line in text.splitlines() if line and not line.startswith("#") and not re.match(r"\w+=", line)]
    assert len(jobs) == 3
    (job,) = [line for line in jobs if f"-P -m m365_jobs {command} " in line]
    *fields, command = job.split(None, 5)
    # cron(5): the command ends at the first unescaped percent sign; escaped signs lose their backslash.
    return fields, re.split(r"(?<!\\)%", command)[0].replace("\\%", "%")


def test_cron_mails_only_failed_loads(user: Cli, simulator: Simulator) -> None:
    text = printed(user, "cron", "--every", "15m")
    keep_variables(user, text)
    fields, command = crontab_line(text)
    assert fields == ["*/15", "*", "*", "*", "*"]

    def cron() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "-c", command], env=BARE, cwd="/", capture_output=True, text=True, check=False
        )

    done = cron()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert in_warehouse(user.folder / "m365_warehouse.duckdb") == on_server(simulator.world, False)
    simulator.fault = lambda asked: Answer(403)
    done = cron()
    assert done.returncode == 1
    assert "microsoft365backup.jobInfo.read.all" in done.stdout
    (user.folder / "m365-jobs.env").unlink()
    done = cron()
    assert done.returncode != 0
    assert "m365-jobs.env" in done.stderr


@pytest.mark.parametrize(
    ("every", "load", "health"),
    [
        ("5m", "*/5 * * * *", "2-59/5 * * * *"),
        ("6h", "0 */6 * * *", "30 */6 * * *"),
        ("daily 02:30", "30 2 * * *", "0 3 * * *"),
    ],
)
def test_the_crontab_has_the_times_as_meant_in_utc(user: Cli, every: str, load: str, health: str) -> None:
    text = printed(user, "cron", "--every", every)
    assert crontab_line(text)[0] == load.split()
    assert crontab_line(text, "health")[0] == health.split()
    assert crontab_line(text, "report")[0] == ["0", "8", "*", "*", "*"]
    assert "CRON_TZ=UTC" in text.splitlines()


@pytest.mark.parametrize(("every", "hours"), [("1h", None), ("6h", "8"), ("daily 02:30", "26")])
def test_the_age_that_health_allows_fits_the_interval(user: Cli, every: str, hours: str | None) -> None:
    text = printed(user, "cron", "--every", every)
    command = crontab_line(text, "health")[1]
    assert (f"--max-age-hours {hours} " in command) if hours else "--max-age-hours" not in command
    assert (f"set max_data_age_hours = {hours} in" in text) is (hours is not None)


def test_the_scheduled_health_sends_alerts_and_the_report_is_mailed_where_channels_are_configured(user: Cli) -> None:
    text = printed(user, "cron")
    assert "No alert channel is configured" in text
    assert "--notify" not in text
    user.environment |= {
        "ALERTS__CHANNELS__EMAIL__HOST": "mail.contoso.com",
        "ALERTS__CHANNELS__EMAIL__PASSWORD": "x1y2",
    }
    for scheduler in ("cron", "systemd", "kubernetes", "windows"):
        text = printed(user, scheduler)
        assert "No alert channel is configured" not in text
        assert "x1y2" not in text
    assert "health --notify" in crontab_line(printed(user, "cron"), "health")[1]
    assert "report m365-report.pdf --mail" in crontab_line(printed(user, "cron"), "report")[1]


def test_without_the_extra_of_reports_none_is_scheduled_on_this_machine(
    user: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "m365-jobs-report.timer" in printed(user, "systemd")
    monkeypatch.setattr(scheduler_templates, "find_spec", lambda name: None)
    for scheduler in ("cron", "systemd", "windows"):
        text = printed(user, scheduler)
        assert "# No report is scheduled: the extra reports is not installed. Run: pip install" in text
        assert "m365-report.pdf" not in text
        assert "m365-jobs-report" not in text
    # The image has the extra.
    assert "m365-report.pdf" in printed(user, "kubernetes")


def test_a_module_in_the_working_folder_is_not_run(user: Cli) -> None:
    (user.folder / "dlt.py").write_text("raise SystemExit('a file of the working folder was imported')")
    text = printed(user, "cron")
    keep_variables(user, text)
    command = ["/bin/sh", "-c", crontab_line(text)[1]]
    done = subprocess.run(command, env=BARE, cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_kubernetes_cronjob_is_what_kubernetes_requires(user: Cli) -> None:
    (user.folder / ".dlt").mkdir()
    (user.folder / ".dlt" / "secrets.toml").write_text("")
    text = printed(user, "kubernetes", "--every", "daily 02:30", "--image", "registry.example/m365-jobs:1")
    claim, job, *more = yaml.safe_load_all(text)
    assert [other["metadata"]["name"] for other in more] == ["m365-jobs-health", "m365-jobs-report"]
    assert (claim["apiVersion"], claim["kind"]) == ("v1", "PersistentVolumeClaim")
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    for item in (claim, job):
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?", item["metadata"]["name"])
    spec = job["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("30 2 * * *", "Etc/UTC", "Forbid")
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    # A pod failure policy requires pods that are not restarted in place.
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    assert container["image"] == "registry.example/m365-jobs:1"
    failed, disrupted = spec["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert failed == {
        "action": "FailJob",
        "onExitCodes": {"containerName": container["name"], "operator": "In", "values": [2, 4]},
    }
    assert disrupted["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {volume_mount["name"] for volume_mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]
    }
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    by_reference = {item["name"] for item in container["env"] if "secretKeyRef" in item.get("valueFrom", {})}
    assert by_reference == {name for name in user.environment if name.startswith("SOURCES__")}
    # The commands that create the secrets name all variables, and use shell variables instead of values.
    assert set(re.findall(r'--from-literal=(\w+)="\$\1"', text)) == by_reference
    assert "--from-file=.dlt/secrets.toml" in text


@pytest.mark.parametrize(("load_exits", "container_exits"), [(0, 0), (1, 1), (2, 2), (3, 0)])
def test_the_container_treats_an_incomplete_load_as_a_success(user: Cli, load_exits: int, container_exits: int) -> None:
    _, job, *_ = yaml.safe_load_all(printed(user, "kubernetes"))
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["python", "-P", "-m", "m365_jobs", "load"]
    stand_in = [*container["command"], "sh", "-c", f"exit {load_exits}"]
    assert subprocess.run(stand_in, check=False).returncode == container_exits


def test_the_windows_task_runs_the_load_in_its_folder_and_keeps_secrets_out_of_the_registry(user: Cli) -> None:
    text = printed(user, "windows", "--every", "15m")
    action = re.search(r"-Execute '(.*)' -Argument '(.*)' -WorkingDirectory '(.*)'\n", text)
    assert action is not None
    assert action[3].replace("''", "'") == str(user.folder)
    assert "-RepetitionInterval (New-TimeSpan -Minutes 15)" in text
    assert "-MultipleInstances IgnoreNew" in text
    assert "SetEnvironmentVariable" not in text
    assert "icacls $variables /inheritance:r" in text
    assert "'SOURCES__AVEPOINT_M365__CREDENTIALS__CLIENT_SECRET'" in text
    assert action[1] == "powershell.exe"
    script = base64.b64decode(action[2].split()[-1]).decode("utf-16-le")
    assert "'-P' '-m' 'm365_jobs' 'load'; exit $LASTEXITCODE" in script
    assert "Get-Content -Encoding utf8 'm365-jobs.env'" in script


def test_without_a_tenant_named_all_that_are_configured_are_scheduled(user: Cli, simulator: Simulator) -> None:
    configure(user, section("contoso", simulator) + section("fabrikam", simulator))
    del user.environment["SOURCES__AVEPOINT_M365__INCLUDE"]
    for more, arguments in (((), "load --all-tenants"), (("--tenant", "contoso"), "load --tenant contoso")):
        assert f"-P -m m365_jobs {arguments} 2>&1" in printed(user, "cron", *more)
    assert "m365-jobs.env" not in printed(user, "cron")


def test_a_scheduled_command_uses_the_folder_of_the_configuration(
    user: Cli, simulator: Simulator, tmp_path: Path
) -> None:
    project = Cli(tmp_path / "my project", user.environment)
    project.folder.mkdir()
    configure(project, section("contoso", simulator))
    user.environment["DLT_PROJECT_DIR"] = str(project.folder)
    text = printed(user, "cron")
    keep_variables(user, text)
    done = subprocess.run(
        ["/bin/sh", "-c", crontab_line(text)[1]], env=BARE, cwd="/", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
    # Relative paths count from the folder that holds .dlt.
    assert in_warehouse(project.folder / "m365_warehouse.duckdb", "contoso") == on_server(simulator.world, False)
    text = printed(user, "kubernetes")
    # The path has no meaning in a container, which mounts the files in its working directory.
    assert "DLT_PROJECT_DIR" not in text
    match = re.search(r"generic m365-jobs-configuration (.*)", text)
    assert match is not None
    assert shlex.split(match[1]) == [f"--from-file={project.folder / '.dlt' / 'secrets.toml'}"]


def test_without_a_name_the_templates_of_all_schedulers_are_printed(user: Cli) -> None:
    text = user.run("schedule").stdout
    for sign in ("OnCalendar=", "0 */1 * * *", "kind: CronJob", "Register-ScheduledTask"):
        assert sign in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--every", "7m"), "Invalid interval: --every '7m'"),
        (("--every", "25h"), "Invalid interval: --every '25h'"),
        (("--every", "daily 24:00"), "Invalid interval: --every 'daily 24:00'"),
        (("--tenant", "nobody"), "No tenants are configured"),
        (("--destination", "postgras"), "'postgras' is not a dlt destination"),
    ],
)
def test_a_schedule_that_cannot_be_is_wrong_usage(user: Cli, arguments: tuple[str, ...], message: str) -> None:
    assert message in user.run("schedule", *arguments, code=2).stderr
