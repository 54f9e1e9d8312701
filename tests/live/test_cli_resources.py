"""The commands about resources, as somebody uses them on a terminal and in a script."""

import json
import os
import pty
import select
import subprocess
import time

import pytest

from accord import binary, clean_environment
from platform_api import ADMIN_TOKEN, Api, name, start_platform


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    running = start_platform(tmp_path_factory.mktemp("cli"))
    yield running
    running.stop()


@pytest.fixture
def cli(platform, tmp_path):
    def run(*arguments, stdin="", token=ADMIN_TOKEN, **env):
        environment = clean_environment(tmp_path, {"ACCORD_ADDRESS": platform.address, **env})
        if token is not None:
            environment["ACCORD_TOKEN"] = token
        return subprocess.run([str(binary()), *arguments], input=stdin, env=environment,
                              capture_output=True, text=True, timeout=30, check=False)
    return run


@pytest.fixture
def admin(platform):
    return Api(platform.address)


def test_create_get_history_diff_restore_delete(cli):
    team = name("team")
    made = cli("create", "team", team, "name=One", "--json")
    assert made.returncode == 0 and json.loads(made.stdout)["revision"] == 1
    listed = cli("get", "teams", f"id={team}").stdout.splitlines()
    assert listed[0].split("\t")[0] == "id" and listed[1].split("\t")[:2] == [team, "One"]
    assert cli("apply", "-f", "-", stdin=f"teams:\n- {{id: {team}, name: Two}}\n",
               ).returncode == 6  # the name is its creator's
    edited = cli("edit", "team", team, EDITOR="sed -i s/One/Two/")
    assert edited.returncode == 0, edited.stderr
    assert [line.split("\t")[0] for line in cli("history", "team", team).stdout.splitlines()] == [
        "revision", "2", "1"]
    assert cli("diff", "team", team).stdout == '/name\n  - "One"\n  + "Two"\n'
    assert "One" in cli("restore", "team", team, "--to", "1").stdout
    assert cli("delete", "team", team, "--if-match", '"1-00000000"').returncode == 6
    assert cli("delete", "team", team).returncode == 0
    assert cli("get", "team", team).returncode == 1


def on_a_terminal(platform, tmp_path, *arguments):
    terminal, end = pty.openpty()
    environment = clean_environment(tmp_path, {"ACCORD_ADDRESS": platform.address, "ACCORD_TOKEN": ADMIN_TOKEN})
    with subprocess.Popen([str(binary()), *arguments], stdout=end, env=environment) as process:
        os.close(end)
        text = b""
        try:
            while part := os.read(terminal, 4096):
                text += part
        except OSError:  # that is how the end looks
            pass
        os.close(terminal)
        assert process.wait(30) == 0
    return text.decode().splitlines()


def test_a_terminal_gets_columns_and_a_pipe_tabs(platform, cli, tmp_path):
    teams = [name("t"), name("a-much-longer-name-of-a-team")]
    for n, team in enumerate(teams):
        assert cli("create", "team", team, f"name=Größe {n}").returncode == 0
    piped = cli("get", "teams").stdout
    assert all(f"{team}\tGröße {n}\t1\t" in piped for n, team in enumerate(teams))
    lines = on_a_terminal(platform, tmp_path, "get", "teams")
    assert "\t" not in "".join(lines)
    rows = [line for line in lines if "Größe" in line]
    assert len({row.index("Größe") for row in rows}) == 1 and len({row.index("  1  ") for row in rows}) == 1
    assert lines[0].index("name") == rows[0].index("Größe")
    shown = on_a_terminal(platform, tmp_path, "routing")
    assert shown[0].startswith("PROVIDER ") and "" in shown and any(line.startswith("TARGET ") for line in shown)


@pytest.fixture
def meanwhile(admin, tmp_path):
    """An editor that changes Base to Mine while somebody else makes a change."""
    def make(team, theirs):
        editor = tmp_path / "editor"
        editor.write_text(
            "#!/bin/sh\ngrep -q Base $1 || exit 0\nsed -i s/Base/Mine/ $1\n"
            f"curl -s -X PATCH -H 'Authorization: Bearer {ADMIN_TOKEN}' -H 'If-Match: *' "
            "-H 'Content-Type: application/merge-patch+json' "
            f"-d '{json.dumps(theirs)}' {admin.base}/teams/{team}\n")
        editor.chmod(0o755)
        admin.create("teams", id=team, name=team, description="Base")
        return str(editor)
    return make


@pytest.mark.parametrize("answers, kept, exit_code", [
    ("t\n", "Theirs", 6), ("o\n", "Mine", 0), ("m\nt\n", "Theirs", 6), ("m\no\n", "Mine", 0),
    ("e\n", "Mine", 0)])
def test_edit_shows_the_three_sides(cli, admin, meanwhile, answers, kept, exit_code):
    team = name("team")
    editor = meanwhile(team, {"description": "Theirs", "name": f"New {team}"})
    done = cli("edit", "team", team, stdin=answers, EDITOR=editor)
    assert done.returncode == exit_code, done.stderr
    for side in ('base    "Base"', 'theirs  "Theirs"', 'yours   "Mine"'):
        assert side in done.stderr
    now = admin.get(f"/teams/{team}").json()
    # What they changed elsewhere is never undone, not even by "overwrite with mine".
    assert (now["name"], now["description"]) == (f"New {team}", kept)


def test_edits_of_other_fields_are_merged(cli, admin, meanwhile):
    team = name("team")
    editor = meanwhile(team, {"name": f"New {team}"})
    assert cli("edit", "team", team, stdin="m\n", EDITOR=editor).returncode == 0
    now = admin.get(f"/teams/{team}").json()
    assert (now["name"], now["description"]) == (f"New {team}", "Mine")


def test_options_and_operands_that_mean_nothing_are_refused(cli):
    assert cli("get", "teams", "--force").returncode == 2
    assert cli("delete", "team", "a", "b").returncode == 2
    assert cli("whoami", "somebody").returncode == 2


def test_watch_goes_on_where_it_was(tmp_path):
    server = start_platform(tmp_path / "one", arguments=["--listen", "127.0.0.1:0"])
    api, env = Api(server.address), {"ACCORD_ADDRESS": server.address, "ACCORD_TOKEN": ADMIN_TOKEN}
    watch = subprocess.Popen([str(binary()), "watch", "teams"], stdout=subprocess.PIPE, text=True,
                             stderr=subprocess.DEVNULL, env=clean_environment(tmp_path, env))
    try:
        first, second = name("seen"), name("seen")
        deadline = time.monotonic() + 10
        while not select.select([watch.stdout], [], [], 0.2)[0]:
            assert time.monotonic() < deadline
            api.create("teams", name=name("tick"))
        api.create("teams", id=first, name=first)
        port = server.port
        server.stop()
        server = start_platform(tmp_path / "one", arguments=["--listen", f"127.0.0.1:{port}"])
        Api(server.address).create("teams", id=second, name=second)
        seen = ""
        while second not in seen:
            assert select.select([watch.stdout], [], [], 20)[0], seen
            seen += watch.stdout.readline()
        assert first in seen and seen.count(second) == 1
    finally:
        watch.kill()
        watch.wait()
        server.stop()


def test_a_refused_watch_is_told(cli):
    refused = cli("watch", "teams", token="wrong-token-of-somebody")
    assert refused.returncode == 5 and "access token is unknown" in refused.stderr


def test_apply_owns_its_fields(cli, admin, tmp_path):
    team = name("team")
    file = tmp_path / "teams.yaml"
    file.write_text(f"teams:\n  - id: {team}\n    name: Applied\n")
    dry = cli("apply", "-f", str(file), "--dry-run")
    assert dry.returncode == 0 and "dry run: 1 created" in dry.stdout
    assert admin.get(f"/teams/{team}").status_code == 404
    assert "1 created, 0 changed, 0 unchanged" in cli("apply", "-f", str(file)).stdout
    assert "0 created, 0 changed, 1 unchanged" in cli("apply", "-f", str(file)).stdout
    admin.patch(f"/teams/{team}", {"name": "By hand"}, match="*")
    refused = cli("apply", "-f", str(file))
    assert refused.returncode == 6 and "/name belongs to user:admin" in refused.stderr
    assert "(accord apply --force)" in refused.stderr
    assert "1 changed" in cli("apply", "-f", str(file), "--force").stdout
    assert cli("delete", "team", team).returncode == 0  # applied is not declared


def test_a_dry_run_of_a_file_whose_parts_refer_to_each_other(cli, admin, tmp_path):
    team, application, key = name("team"), name("app"), name("key")
    file = tmp_path / "all of it.yaml"
    file.write_text(f"teams:\n  - {{id: {team}, name: {team}}}\n"
                    f"applications:\n  - {{id: {application}, name: A, team: {team}}}\n"
                    f"keys:\n  - {{id: {key}, application: {application}}}\n")
    dry = cli("apply", "-f", str(file), "--dry-run")
    assert dry.returncode == 0 and "dry run: 3 created" in dry.stdout, dry.stderr
    assert admin.get(f"/keys/{key}").status_code == 404
    assert "3 created" in cli("apply", "-f", str(file)).stdout
    file.write_text(f"applications:\n  - {{id: {application}-2, name: A, team: {team}-2}}\n")
    wrong = cli("apply", "-f", str(file), "--dry-run")
    assert wrong.returncode != 0 and f'there is no team "{team}-2"' in wrong.stderr


def test_actions_have_commands(cli, admin):
    key = name("key")
    made = cli("create", "key", key)
    assert "secret: sk-accord-" in made.stdout
    rotated = cli("rotate", "key", key, "overlap_s=5")
    assert rotated.returncode == 0 and "secret: sk-accord-" in rotated.stdout, rotated.stderr
    revoked = cli("revoke", "key", key, "note=lost")
    assert revoked.returncode == 0 and "state: revoked" in revoked.stdout, revoked.stderr
    again = cli("revoke", "key", key)
    assert again.returncode == 6 and "revoked" in again.stderr
    wrong = cli("approve", "team", "x")
    assert wrong.returncode == 2 and "a team has no such action" in wrong.stderr
    team, application = name("team"), name("app")
    assert cli("create", "team", team, f"name={team}").returncode == 0
    assert cli("create", "application", application, "name=A", f"team={team}").returncode == 0
    used = cli("delete", "team", team)
    assert used.returncode == 6 and f"  application {application}\n" in used.stderr
    assert admin.get(f"/keys/{key}").json()["state"] == "revoked"


def test_apply_shows_the_secret_of_a_key_that_it_makes(cli, tmp_path):
    file = tmp_path / "keys.yaml"
    file.write_text(f"keys:\n- id: {name('key')}\n")
    assert "secret" not in cli("apply", "-f", str(file), "--dry-run").stdout
    assert "its secret, shown once: sk-accord-" in cli("apply", "-f", str(file)).stdout
    assert "secret" not in cli("apply", "-f", str(file)).stdout


def test_a_missing_kind_is_answered_with_all_of_them(cli):
    missing = cli("get")
    assert missing.returncode == 2 and "KIND is missing" in missing.stderr
    assert " teams " in missing.stderr and " models " in missing.stderr


def test_help_does_nothing_else(cli):
    for command in ("restore", "backup", "revoke"):
        helped = cli(command, "--help")
        assert helped.returncode == 0 and f"accord {command}" in helped.stdout
        assert helped.stderr == "", helped.stderr


def test_login_with_a_link_and_with_a_password(cli, tmp_path):
    server = start_platform(tmp_path / "server")
    try:
        where = {"ACCORD_ADDRESS": server.address, "token": None}
        link = server.started["admin_link"]
        done = cli("login", "--link", link, stdin="correct horse battery\n", **where)
        assert done.returncode == 0, done.stderr
        assert cli("whoami", "--json", **where).returncode == 0
        kept = tmp_path / ".config" / "accord" / "login.json"
        assert kept.stat().st_mode & 0o777 == 0o600
        again = cli("login", "--link", link, stdin="another horse battery\n", **where)
        assert again.returncode == 5
        done = cli("login", "--email", "admin@localhost", ACCORD_PASSWORD="correct horse battery",
                   **where)
        assert done.returncode == 0, done.stderr
    finally:
        server.stop()


def test_login_by_the_socket_that_the_server_names(cli, tmp_path):
    server = start_platform(tmp_path / "server", arguments=["--listen", "unix:s.sock"])
    try:
        address = f"unix:{tmp_path}/server/s.sock"
        assert server.address == "unix:s.sock"
        done = cli("login", "--address", address, "--link", server.started["admin_link"],
                   stdin="correct horse battery\n", token=None, ACCORD_ADDRESS="")
        assert done.returncode == 0, done.stderr
        assert cli("whoami", ACCORD_ADDRESS=address, token=None).returncode == 0
    finally:
        server.stop()


def test_mistakes_are_told(cli):
    wrong = cli("get", "teem")
    assert wrong.returncode == 2 and "did you mean teams?" in wrong.stderr
    assert cli("create", "team", "nme=x").returncode == 1
    assert cli("whoami", token="wrong-token-of-somebody").returncode == 5
    assert cli("whoami", ACCORD_ADDRESS="http://127.0.0.1:1").returncode == 4
    assert "mistake" not in cli("get", "teams").stderr


def test_conflicts_are_listed(cli, admin):
    team = name("team")
    admin.create("teams", id=team, name="x")
    assert admin.post("/teams", {"id": team, "name": "y"}).status_code == 409
    rows = cli("conflicts").stdout.splitlines()
    mine = next(row for row in rows if team in row)
    shown = cli("conflicts", mine.split("\t")[0], "--json")
    assert json.loads(shown.stdout)["code"] == "already_exists"
