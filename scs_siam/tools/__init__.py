"""Tools: the commands of the command line, benchmarks, export, notebooks, sweeps and widgets.

Modules of this room may import everything, and nothing but `cli` imports them. Start with
`commands`, which lists what `scs-siam` can do.
"""
