"""Runtime: files that can be trusted, progress, the hardware, processes and 8-bit arithmetic.

Modules of this room know nothing of the paper and import nothing but each other. Start with
`files`: its BadInput is how every part of the package reports input that it cannot use.
"""
