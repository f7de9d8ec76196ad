"""Generates the stubs of proto/ into gate/v1 and meter/v1 (`make proto`); --check tells whether
they are up to date.
"""

import filecmp
import sys
import sysconfig
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Exit status: protoc's, or 1 if --check found a difference."""
    if sys.argv[1:] != ["--check"]:
        return generate(ROOT)
    with tempfile.TemporaryDirectory() as scratch:
        status = generate(Path(scratch))
        fresh = [path.relative_to(scratch) for path in Path(scratch).rglob("*") if path.is_file()]
        stale = [str(path) for path in fresh if not _equal(ROOT / path, scratch / path)]
    if stale:
        print(
            f"not what proto/ says (run `make proto`): {', '.join(sorted(stale))}", file=sys.stderr
        )
    return status or bool(stale)


def _equal(committed: Path, generated: Path) -> bool:
    return committed.exists() and filecmp.cmp(committed, generated, shallow=False)


def generate(target: Path) -> int:
    """Writes the stubs below `target`; protoc's exit status."""
    protos = sorted(
        str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").rglob("*.proto")
    )
    includes = [ROOT / "proto", files("grpc_tools") / "_proto", sysconfig.get_path("purelib")]
    outputs = [f"--python_out={target}", f"--pyi_out={target}", f"--grpc_python_out={target}"]
    return int(
        protoc.main(["protoc", *(f"-I{include}" for include in includes), *outputs, *protos])
    )


if __name__ == "__main__":
    sys.exit(main())
