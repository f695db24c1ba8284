"""Test that each row of docs/operations.md about a set-up, a refusal or a limit names a tested behaviour."""

import re
from collections.abc import Iterator

import pytest

from tests.support.project import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")

TESTS = {
    # Supported set-ups
    "one user, several project folders": ["test_the_same_relative_path_in_two_folders_means_two_warehouses"],
    "several users, one DuckDB file": ["test_loads_from_two_machines_into_one_file_end_well"],
    "several users, one working folder (`DLT_DATA_DIR`)": ["test_an_unusable_dlt_folder_is_reported"],
    "cron beside cron, timer beside cron": [
        "test_a_second_load_in_one_directory_waits_for_the_first",
        "test_a_tenant_that_another_worker_holds_is_left_out_by_all_tenants_and_waited_for_by_name",
    ],
    "`health`, `status`, `query`, `report` beside a load": ["test_readers_wait_for_a_load_that_writes"],
    "`dashboard` beside loads": ["test_it_says_so_while_a_load_writes_and_goes_on_afterwards"],
    "`dashboard` behind nginx with its defaults, under a path": [
        "test_behind_a_proxy_under_a_path_it_works_and_a_page_that_is_cut_off_says_so"
    ],
    "a DuckDB file open in another program (DBeaver, a notebook)": [
        "test_a_load_waits_for_a_program_that_has_the_file_open"
    ],
    "container with a volume": ["test_loads_run_with_a_read_only_root_and_write_to_the_volume_and_tmp_only"],
    "container with a read-only root file system": [
        "test_loads_run_with_a_read_only_root_and_write_to_the_volume_and_tmp_only",
        "test_readers_need_no_folder_that_they_can_write",
    ],
    "`docker stop`, systemd, Kubernetes": ["test_sigterm_ends_a_load_with_a_message_and_a_record"],
    "closed terminal, lost SSH connection": ["test_a_signal_ends_the_loads_of_all_tenants"],
    "a pipe to a program that ended, such as a log collector": [
        "test_messages_are_dropped_once_their_reader_has_ended"
    ],
    "secrets of Docker and Kubernetes in variables": [
        "test_blanks_line_ends_and_quotes_around_variables_are_ignored_with_a_line"
    ],
    "DuckDB file on NFS or SMB": ["test_a_warehouse_on_a_share_without_locks_is_reported_with_path_and_cure"],
    "dlt's working folder on NFS or SMB": [
        "test_a_working_folder_on_a_share_without_locks_is_reported_with_path_and_cure"
    ],
    "several machines, PostgreSQL or a lake": ["test_workers_of_one_round_load_each_tenant_once"],
    "several machines, another destination": ["test_rounds_need_a_warehouse_that_has_leases"],
    "HTTP proxy to the API": ["test_the_token_and_jobs_are_requested_through_the_proxy"],
    "Windows: files with a byte-order mark or in UTF-16": [
        "test_configuration_saved_by_windows_is_read",
        "test_a_file_is_read_as_windows_writes_it_and_refused_where_its_signs_mean_nothing",
    ],
    "Windows: terminals with a code page": ["test_letters_that_the_terminal_lacks_are_replaced"],
    "Windows: paths": ["test_unescaped_backslashes_of_a_windows_path_are_reported_with_the_cure"],
    # Characters in paths
    "project folder, DuckDB file": ["test_the_warehouse_may_lie_in_a_folder_of_any_name"],
    "dlt's working folder": ["test_a_working_folder_that_a_load_cannot_use_is_refused_before_it_starts"],
    "local lake": ["test_a_local_lake_may_lie_in_a_folder_of_any_name_but_those_that_delta_cannot_have"],
    # What is refused
    '`destination.duckdb.credentials = ":pipeline:"`': [
        "test_a_path_that_would_lose_the_warehouse_is_refused_with_the_cure"
    ],
    '`destination.duckdb.credentials = ":memory:"`': [
        "test_a_path_that_would_lose_the_warehouse_is_refused_with_the_cure"
    ],
    "`restore_from_destination = false`": ["test_settings_that_keep_cursors_out_of_the_warehouse_are_refused"],
    "`dev_mode = true`": ["test_settings_that_keep_cursors_out_of_the_warehouse_are_refused"],
    "`refresh` of a pipeline": ["test_a_refresh_of_all_tenants_is_refused"],
    # Limits of the operating system
    "`No locks available`, `Operation not supported`": [
        "test_a_warehouse_on_a_share_without_locks_is_reported_with_path_and_cure",
        "test_a_working_folder_on_a_share_without_locks_is_reported_with_path_and_cure",
    ],
    "`Too many open files`": ["test_too_few_open_files_are_reported_with_the_cure_and_the_next_load_succeeds"],
    "`Read-only file system`, `Permission denied`": ["test_a_read_only_folder_is_reported_with_path_and_cure"],
    "`No space left on device`": ["test_a_full_disk_is_reported_with_its_folder"],
}
"""First cell of a row to the tests of its behaviour."""

HEADINGS = ("Supported set-ups", "Characters in paths", "What is refused", "Limits of the operating system")


def rows() -> Iterator[str]:
    """Yield the first cell of each row, except of rows that the page marks as not tried."""
    for heading in HEADINGS:
        section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
        for line in re.findall(r"^\| (.*) \|$", section, re.MULTILINE)[1:]:
            cells = line.split(" | ")
            if not any("not tried" in cell for cell in cells[1:]):
                yield cells[0]


def test_each_row_of_the_page_has_a_test() -> None:
    assert list(rows()) == list(TESTS)


@pytest.mark.parametrize("row", TESTS)
def test_the_tests_that_a_row_names_exist(row: str) -> None:
    written = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in TESTS[row] if f"def {name}(" not in written] == []
