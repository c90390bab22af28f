"""What the machine is and how it is used best."""

import ctypes
import platform

import torch

from scs_siam.runtime.parallel import cores


def default_precision(device="cpu") -> str:
    """Return "bf16" where the device multiplies bfloat16 faster than float32, otherwise "fp32"."""
    if torch.device(device).type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if processor_has("avx512_bf16") or processor_has("amx_tile") else "fp32"


def processor_has(feature: str) -> bool:
    """Tell whether PyTorch reports "vnni", "avx512_bf16" or "amx_tile"; False if too old."""
    return getattr(torch.cpu, f"_is_{feature}_supported", bool)()


def default_device() -> str:
    """Return "cuda" where PyTorch finds a GPU, otherwise "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def keep_freed_memory(keep: bool = True) -> None:
    """Let the C library keep large freed blocks: new pages cost more than the arithmetic on them.

    It concerns Linux with glibc only. `keep=False` restores the thresholds at which the library
    settles in a process that frees large blocks.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL("libc.so.6")
    trim_threshold, mmap_threshold, mmap_max = -1, -3, -4  # names of malloc.h
    libc.mallopt(mmap_max, 0 if keep else 65536)
    libc.mallopt(mmap_threshold, 32 * 2**20)
    libc.mallopt(trim_threshold, 2**31 - 1 if keep else 64 * 2**20)


def peak_memory(device="cpu") -> float:
    """Return the largest memory use so far in MB: of the GPU for "cuda", else of this process."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _processor():
    """The name of the processor as Linux tells it, otherwise as Python does."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def describe(device="cpu") -> dict:
    """Return device, cores and versions for the manifest of a run."""
    kind = torch.device(device).type
    name = torch.cuda.get_device_name() if kind == "cuda" else _processor()
    about = {"kind": kind, "device": name, "cores": cores(), "threads": torch.get_num_threads()}
    about |= {"python": platform.python_version(), "torch": torch.__version__}
    return {**about, "system": platform.system()}
