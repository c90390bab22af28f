"""python -m scs_siam is the command scs-siam."""
from .cli import main

main()
