"""Data: boxes, crops, images and video, readers of benchmarks and training sets, synthetic clips.

Modules of this room import nothing but `runtime` and each other. Start with `boxes` for the
conventions, `benchmarks` for the layouts of OTB and others, and `store` for training crops.
"""
