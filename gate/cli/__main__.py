"""`python -m gate.cli`: the command where no script is installed; how `up` starts its children."""

from gate.cli.app import main

main()
