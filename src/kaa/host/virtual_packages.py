"""What this machine offers to packages, found out on the machine itself (CEP 30, 46).

The NVIDIA driver is asked in a child process, and only where one is installed: loading it can hang, and a process that
has done so cannot fork safely any more.
"""

from __future__ import annotations

import importlib
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from kaa.host.platform import current_subdir
from kaa.models.virtual_package import VirtualPackage

_DRIVER_SECONDS = 10.0

X86_64_LEVELS = (
    (
        "x86_64_v4",
        "avx512f avx512bw avx512cd avx512dq avx512vl",
    ),
    (
        "x86_64_v3",
        "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave",
    ),
    (
        "x86_64_v2",
        "cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3",
    ),
)
"""Microarchitecture levels of x86-64, best first, and the processor flags (in Linux's spelling) each adds."""

NVIDIA_SIGNS = ("/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg", "/dev/nvhost-ctrl", "/dev/nvgpu")
"""One of these is there when a Linux machine has NVIDIA's driver (the last ones: WSL, Jetson)."""

DRIVER_LIBRARIES = {
    "linux": (
        "libcuda.so.1",
        "/usr/lib/wsl/lib/libcuda.so.1",
        "/usr/lib64/nvidia/libcuda.so.1",
        "/usr/lib/x86_64-linux-gnu/libcuda.so.1",
        "/usr/lib/aarch64-linux-gnu/tegra/libcuda.so.1",
        "/run/opengl-driver/lib/libcuda.so.1",
    ),
    "win32": ("nvcuda.dll",),
}

_ASK_DRIVER = """
import ctypes, sys
for name in sys.argv[1:]:
    try:
        cuda = ctypes.CDLL(name)
    except OSError:
        continue
    break
else:
    sys.exit(0)
number = ctypes.c_int()
if cuda.cuInit(0) != 0 or cuda.cuDriverGetVersion(ctypes.byref(number)) != 0:
    sys.exit(0)
print(number.value, flush=True)
if cuda.cuDeviceGetCount(ctypes.byref(number)) != 0:
    sys.exit(0)
for position in range(number.value):
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    model = ctypes.create_string_buffer(256)
    if cuda.cuDeviceGet(ctypes.byref(device), position) != 0:
        continue
    if cuda.cuDeviceGetAttribute(ctypes.byref(major), 75, device) != 0:
        continue
    if cuda.cuDeviceGetAttribute(ctypes.byref(minor), 76, device) != 0:
        continue
    cuda.cuDeviceGetName(model, 255, device)
    print(major.value, minor.value, model.value.decode("utf-8", "replace"), flush=True)
"""


def detect() -> tuple[VirtualPackage, ...]:
    """The virtual packages of this machine, for its own subdir; what cannot be found out is left out."""
    found: list[VirtualPackage] = []
    system = current_subdir().partition("-")[0]
    if system == "linux":
        found += _with_version("__linux", kernel_version(platform.release()))
        found += _with_version("__glibc", glibc_version())
    elif system == "osx":
        found += _with_version("__osx", macos_version())
    elif system == "win":
        found += _with_version("__win", three_numbers(platform.version()))
    if system in ("linux", "osx"):
        found.append(VirtualPackage("__unix", "0"))
    microarchitecture = find_microarchitecture()
    if microarchitecture is not None:
        found.append(VirtualPackage("__archspec", "1", microarchitecture))
    found += detect_cuda()
    return tuple(sorted(found))


def _with_version(name: str, version: str | None) -> list[VirtualPackage]:
    return [VirtualPackage(name, version)] if version else []


def kernel_version(release: str) -> str | None:
    """The upstream numbers of a kernel's release.

    >>> [kernel_version(release) for release in ("5.15.0-91-generic", "6.6.87.2-microsoft-standard-WSL2", "6.1-rc3")]
    ['5.15.0', '6.6.87.2', '6.1']
    """
    match = re.match(r"\d+\.\d+(\.\d+)?(\.\d+)?", release)
    return match[0] if match else None


def three_numbers(version: str) -> str | None:
    """The first three numbers of a version of Windows.

    >>> three_numbers("10.0.19045.3803")
    '10.0.19045'
    """
    match = re.match(r"\d+\.\d+\.\d+", version)
    return match[0] if match else None


def glibc_version() -> str | None:
    """Major and minor of the GNU C library that this process runs on; None with any other library."""
    try:
        text = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError, OSError):
        return None
    match = re.match(r"glibc (\d+\.\d+)", text)
    return match[1] if match else None


def macos_version() -> str | None:
    """Major and minor of macOS; old Pythons are told 10.16 by every newer system, which then is asked itself."""
    version = platform.mac_ver()[0]
    if version.startswith("10.16"):
        told = answer_of(["/usr/bin/sw_vers", "-productVersion"], environ={"SYSTEM_VERSION_COMPAT": "0"})
        if told is None:
            return None
        version = told.strip()
    match = re.match(r"\d+\.\d+", version)
    return match[0] if match else None


def find_microarchitecture() -> str | None:
    """The name of the processor's kind that archspec has for it; None where only the family can be told."""
    machine = platform.machine().lower()
    if sys.platform == "linux" and machine in ("x86_64", "amd64"):
        return x86_64_level(_processor_flags())
    if sys.platform == "linux" and machine == "ppc64le":
        return power_generation(_read("/proc/cpuinfo"))
    if sys.platform == "darwin" and machine == "arm64":
        return apple_generation(_apple_brand())
    return None


def x86_64_level(flags: Iterable[str]) -> str:
    """The microarchitecture level that a processor with these flags has.

    >>> x86_64_level("sse sse2 cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3".split())
    'x86_64_v2'
    """
    present = set(flags)
    best = "x86_64"
    for level, needed in reversed(X86_64_LEVELS):
        if not present.issuperset(needed.split()):
            break
        best = level
    return best


def power_generation(text: str) -> str | None:
    """The generation of a POWER processor, from /proc/cpuinfo.

    >>> power_generation("processor : 0\\ncpu\\t: POWER9 (raw), altivec supported\\n")
    'power9le'
    """
    match = re.search(r"^cpu\s*:\s*POWER(\d+)", text, re.MULTILINE)
    return f"power{match[1]}le" if match else None


def apple_generation(brand: str) -> str | None:
    """The generation of an Apple processor, from its brand.

    >>> apple_generation("Apple M2 Pro")
    'm2'
    """
    match = re.match(r"Apple M(\d+)", brand)
    return f"m{match[1]}" if match else None


def _processor_flags() -> Sequence[str]:
    match = re.search(r"^flags\s*:(.*)$", _read("/proc/cpuinfo"), re.MULTILINE)
    return match[1].split() if match else ()


def _apple_brand() -> str:
    return (answer_of(["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]) or "").strip()


def answer_of(words: Sequence[str], environ: Mapping[str, str] | None = None, timeout: float = 10.0) -> str | None:
    """What a program prints; None when it cannot be run, or takes too long."""
    # Loaded where a program is asked at all, which is seldom.
    process = importlib.import_module("kaa.host.process")
    try:
        answer: str = process.run(words, environ=environ, timeout=timeout).stdout.decode("utf-8", "replace")
    except process.CannotRun:
        return None
    return answer


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def detect_cuda() -> list[VirtualPackage]:
    """__cuda and __cuda_arch of this machine, where it has NVIDIA's driver."""
    if sys.platform == "linux" and not any(Path(sign).exists() for sign in NVIDIA_SIGNS):
        return []
    libraries = DRIVER_LIBRARIES.get(sys.platform, ())
    return ask_driver(libraries) if libraries else []


def ask_driver(libraries: Sequence[str], environ: Mapping[str, str] | None = None) -> list[VirtualPackage]:
    """What the first loadable of these driver libraries says of itself and its devices, asked in a child process."""
    told = answer_of([sys.executable, "-I", "-c", _ASK_DRIVER, *libraries], environ, timeout=_DRIVER_SECONDS)
    return [] if told is None else list(cuda_packages(told.splitlines()))


def cuda_packages(answer: Sequence[str]) -> Iterator[VirtualPackage]:
    """The virtual packages of a driver's answer: its version as one number, then `major minor model` per device.

    >>> [str(package) for package in cuda_packages(["12040", "8 6 NVIDIA GeForce RTX 3090", "7 5 Tesla T4"])]
    ['__cuda=12.4=0', '__cuda_arch=7.5=TeslaT4']
    """
    if not answer or not answer[0].isdigit() or answer[0] == "0":
        return
    number = int(answer[0])
    yield VirtualPackage("__cuda", f"{number // 1000}.{number % 1000 // 10}")
    devices = []
    for line in answer[1:]:
        major, _, rest = line.partition(" ")
        minor, _, model = rest.partition(" ")
        if major.isdigit() and minor.isdigit():
            devices.append((int(major), int(minor), re.sub(r"[^A-Za-z0-9]|NVIDIA", "", model)[:64]))
    if devices:
        lowest_major, lowest_minor, model = min(devices)
        yield VirtualPackage("__cuda_arch", f"{lowest_major}.{lowest_minor}", model or "0")
