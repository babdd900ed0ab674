"""`python -m forearm` is `forearm`."""

from forearm.cli import main

main()
