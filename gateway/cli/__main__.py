"""`python -m gateway.cli`: the `candor` command where no script is installed, as in the containers."""

from gateway.cli.app import main

main()
