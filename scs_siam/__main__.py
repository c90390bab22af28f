"""`python -m scs_siam` is the command `scs-siam`."""

from scs_siam.cli import main

main()
