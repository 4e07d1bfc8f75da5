import os
import subprocess
import sys
import textwrap

IMPORTS = """
    import socket, sys
    from pathlib import Path

    def refuse(*args, **kwargs):
        raise AssertionError("network call")

    socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
    from bids_gan.cli.environment import prepare_environment
    from bids_gan.settings import Settings

    folder = Path(sys.argv[1])
    prepare_environment(Settings(folder, folder, work_dir=folder / "work"))
    import niworkflows.interfaces.bids, nireports.assembler.report, matplotlib.pyplot
    import nipype, templateflow
    print("imported")
"""


def test_libraries_import_without_network_and_without_home(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(IMPORTS), str(tmp_path)],
        env={"PATH": os.environ["PATH"], "HOME": "/dev/null/nowhere"},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "imported" in done.stdout
    assert not done.stderr
