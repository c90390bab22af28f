"""What this machine is and how it is best used."""

import ctypes
import platform

import torch

from scs_siam.runtime.parallel import cores


def default_precision(device="cpu"):
    """ "bf16" where the processor or the card multiplies bfloat16 faster than float32, otherwise "fp32"."""
    if torch.device(device).type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if processor_has("avx512_bf16") or processor_has("amx_tile") else "fp32"


def processor_has(feature):
    """Whether PyTorch says that the processor has "vnni", "avx512_bf16" or "amx_tile"; False where an older PyTorch does not tell."""
    return getattr(torch.cpu, f"_is_{feature}_supported", bool)()


def default_device():
    """ "cuda" where a card is at hand, otherwise "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def keep_freed_memory(keep=True):
    """Let the C library keep large blocks that are freed: a new page costs more than the arithmetic on it (Linux with glibc only).

    `keep=False` goes back to where the library's own thresholds settle in a process that frees large blocks.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL("libc.so.6")
    trim_threshold, mmap_threshold, mmap_max = -1, -3, -4  # names of malloc.h
    libc.mallopt(mmap_max, 0 if keep else 65536)
    libc.mallopt(mmap_threshold, 32 * 2**20)
    libc.mallopt(trim_threshold, 2**31 - 1 if keep else 64 * 2**20)


def peak_memory(device="cpu"):
    """The most memory that this process has held so far, in MB: of the card for "cuda", otherwise of the machine (NaN on Windows)."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _processor():
    """The processor's name as Linux tells it, otherwise as Python does."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def describe(device="cpu"):
    """Device, cores and versions, for a run's manifest."""
    name = torch.cuda.get_device_name() if torch.device(device).type == "cuda" else _processor()
    return {
        "kind": torch.device(device).type,
        "device": name,
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.system(),
    }
