#!/usr/bin/env python3
"""Checks the rules of the source tree: who may include whom, cycles, file lengths, and that the build lists every source.

usage: check_layers.py [ROOT]     prints each violation as file:line: reason; exits 1 if there is any
       check_layers.py --self-test   plants a violation of every rule in a small tree and checks that each is found
The table that says what a folder may include is RULES; a system or third-party header must stand in one of the lists below.
"""
import os
import re
import sys

SOURCE_FOLDERS = ("core", "backends", "kernels", "tests", "benchmarks", "examples")
ALL_FOLDERS = SOURCE_FOLDERS + ("scripts", "cmake", "docs", ".ci")
CPP = (".h", ".hpp", ".cpp", ".cu", ".cuh", ".inc", ".def")
LIMITED = CPP + (".py", ".sh")
MAX_LINES = 400
PUBLIC = "core/include/"

STANDARD = set(
    """algorithm any array atomic barrier bit bitset cctype charconv chrono cinttypes clocale cfenv cfloat climits cmath compare complex concepts
    condition_variable coroutine csetjmp csignal cstdarg cuchar cwctype cstddef cstdint cstdio cstdlib cstring ctime cwchar deque exception
    execution filesystem format forward_list fstream functional future initializer_list iomanip ios iosfwd iostream istream iterator
    latch limits list locale map memory memory_resource mutex new numbers numeric optional ostream queue random ranges ratio regex
    scoped_allocator semaphore set shared_mutex source_location span sstream stack stdexcept stop_token streambuf string string_view
    syncstream system_error thread tuple type_traits typeindex typeinfo unordered_map unordered_set utility valarray variant vector
    version cerrno cassert cxxabi.h""".split())
SYSTEM = re.compile(r"(dirent|dlfcn|elf|errno|fcntl|link|malloc|poll|pthread|sched|signal|stdint|stdlib|string|time|unistd|cpuid|"
                    r"[a-z]mmintrin|x86intrin|sys/\w+|linux/\w+)\.h$")
CUDA = re.compile(r"(cuda|cublas|curand|cufft|cudnn|nccl|nvToolsExt|nvtx3/|cub/|cooperative_groups|mma|cupti).*")
TESTING = re.compile(r"(gtest/|gmock/|benchmark/|sanitizer/)\S+$|(nlohmann/json\.hpp|ucontext\.h|zlib\.h|cblas\.h)$")
FORMATS = re.compile(r"(nlohmann/json\.hpp|zlib\.h)$")

# What a backend, a kernel or the interface between them must not even reach through other headers.
CLIENT_SIDE = re.compile(PUBLIC + r"tinytorch/(tensor|ops|autograd|nn|optim|data|io|predict|profile|report|tinytorch|tt)(\.h|/)")
BELOW_TENSOR = re.compile(r"(core/include/tinytorch/backend|kernels|backends)/")

SPI = r"core/include/tinytorch/(backend/.*|dtype\.h|error\.h|export\.h)$"
ANY_PUBLIC = PUBLIC + r"tinytorch/.*"
NOT_SPI = PUBLIC + r"tinytorch/(?!backend/).*"


def rule(pattern, allowed, third_party=None):
    return re.compile(pattern), allowed, third_party


# First match wins: files, what they may include of ours (\1: the group in the first pattern), which third-party headers.
RULES = [
    rule(r"core/include/tinytorch/backend/", [PUBLIC + r"tinytorch/(?!(tensor|ops|autograd|nn|optim|data|io|predict|profile|report)(\.h|/)).*"]),
    rule(r"core/include/", [ANY_PUBLIC]),
    rule(r"core/runtime/", [ANY_PUBLIC, r"core/runtime/"]),
    rule(r"core/tensor/", [ANY_PUBLIC, r"core/(runtime|tensor)/"]),
    rule(r"core/autograd/", [ANY_PUBLIC, r"core/(runtime|tensor|autograd)/"]),
    rule(r"core/ops/", [ANY_PUBLIC, r"core/(runtime|tensor|autograd|ops)/"]),
    rule(r"core/(nn|optim)/", [NOT_SPI, r"core/\1/"]),
    rule(r"core/profile/predict\.cpp$", [ANY_PUBLIC, r"core/(runtime|tensor)/"]),
    rule(r"core/(data|io|profile)/", [NOT_SPI, r"core/\1/"], FORMATS),
    rule(r"kernels/common/", [SPI, r"kernels/common/"]),
    rule(r"kernels/cuda/", [SPI, r"kernels/(common|cuda)/", r"backends/cuda/rt\.h$"], CUDA),
    rule(r"kernels/(\w+)/", [SPI, r"kernels/(common|\1)/", r"backends/\1/rt\.h$"]),
    rule(r"backends/builtin\.cpp$", [ANY_PUBLIC, r"backends/", r"core/runtime/"]),
    rule(r"backends/(\w+)/rt\.h$", [SPI], CUDA),
    rule(r"backends/common/", [SPI, PUBLIC + r"tinytorch/(memory|profiler)\.h$", r"backends/common/"]),
    rule(r"backends/(\w+)/", [SPI, PUBLIC + r"tinytorch/(memory|profiler)\.h$", r"backends/(common|\1)/", r"kernels/\1/"], CUDA),
    rule(r"examples/07_own_backend", [ANY_PUBLIC, r"examples/07_own_backend"]),
    rule(r"examples/", [NOT_SPI, r"examples/"]),
    rule(r"tests/consumer/", [NOT_SPI, r"tests/consumer/"]),
    rule(r"tests/", [r".*"], TESTING),
    rule(r"benchmarks/peers/", [r"benchmarks/"], re.compile(r"torch/")),
    rule(r"benchmarks/", [r".*"], TESTING),
]
# Folders that are projects of their own: they find their headers beside the file.
OWN_PROJECT = re.compile(r"(examples/07_own_backend|tests/consumer)/")
# Programs of other libraries, built by hand as their first lines say.
NOT_BUILT = re.compile(r"benchmarks/peers/")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


class Tree:
    def __init__(self, root):
        self.root = root
        self.files = sorted(self.walk())
        self.violations = []
        self.edges = {}  # file -> [(line, file of ours)]

    def walk(self):
        for folder in ALL_FOLDERS:
            for path, dirs, names in os.walk(os.path.join(self.root, folder)):
                dirs[:] = [d for d in dirs if d != "__pycache__"]
                for name in names:
                    yield os.path.relpath(os.path.join(path, name), self.root)

    def lines(self, file):
        with open(os.path.join(self.root, file), encoding="utf-8", errors="replace") as f:
            return f.read().splitlines()

    def report(self, file, line, reason):
        self.violations.append(f"{file}:{line}: {reason}")

    def check(self):
        for file in self.files:
            if not file.endswith(LIMITED):
                continue
            lines = self.lines(file)
            if len(lines) > MAX_LINES:
                self.report(file, len(lines), f"{len(lines)} lines; the limit is {MAX_LINES}: split the file by what it is for")
            if file.endswith(CPP) and file.startswith(SOURCE_FOLDERS):
                self.check_text(file, lines)
        self.check_cycles()
        self.check_reach()
        self.check_listed()
        return self.violations

    def check_text(self, file, lines):
        self.edges[file] = []
        for number, text in enumerate(lines, 1):
            if "__CUDACC__" in text and file != "kernels/common/host_device.h":
                self.report(file, number, "__CUDACC__ belongs into kernels/common/host_device.h only")
            match = INCLUDE.match(text)
            if match:
                self.check_include(file, number, *match.groups())

    def check_include(self, file, number, bracket, name):
        if ".." in name.split("/"):
            return self.report(file, number, f'"{name}": a path with ".."; include by path from the root')
        target, known = self.resolve(file, bracket, name)
        if not known:
            return self.report(file, number, f"{name}: no such file (by path from the root, or <tinytorch/...>)")
        for pattern, allowed, third_party in RULES:
            match = pattern.match(file)
            if match:
                break
        else:
            return self.report(file, number, "no rule says what this folder may include")
        if target is None:  # of the system or a library
            if not (name in STANDARD or SYSTEM.match(name) or (third_party and third_party.match(name))):
                self.report(file, number, f"<{name}>: not a library that {match.group(0)} may use")
            return
        self.edges[file].append((number, target))
        group = match.group(1) if match.groups() else ""
        if not any(re.match(a.replace(r"\1", group), target) for a in allowed):
            self.report(file, number, f"{match.group(0)} may not include {name}")

    def resolve(self, file, bracket, name):
        """-> (path of the included file in the tree, or None if it is not ours; whether it could be found)"""
        if bracket == "<":
            if not name.startswith("tinytorch/"):
                return None, True
            return PUBLIC + name, os.path.isfile(os.path.join(self.root, PUBLIC, name))
        if OWN_PROJECT.match(file):
            beside = os.path.join(os.path.dirname(file), name)
            if os.path.isfile(os.path.join(self.root, beside)):
                return beside, True
        return name, os.path.isfile(os.path.join(self.root, name))

    def check_cycles(self):
        state = {}  # 1: on the path, 2: done

        def visit(file, path):
            state[file] = 1
            for number, target in self.edges.get(file, []):
                if state.get(target) == 1:
                    loop = path[path.index(target):] + [target]
                    self.report(file, number, "include cycle: " + " -> ".join(loop))
                elif target not in state:
                    visit(target, path + [target])
            state[file] = 2

        for file in sorted(self.edges):
            if file not in state:
                visit(file, [file])

    def check_reach(self):
        """A backend never sees a Tensor, not through another header either."""
        for file in self.edges:
            if not BELOW_TENSOR.match(file) or file == "backends/builtin.cpp":
                continue
            for number, first in self.edges[file]:
                stack, seen = [first], set()
                while stack:
                    at = stack.pop()
                    if at in seen:
                        continue
                    seen.add(at)
                    if CLIENT_SIDE.match(at):
                        self.report(file, number, f"reaches {at} through {first}: backends and kernels never see a Tensor")
                        break
                    stack += [target for _, target in self.edges.get(at, [])]

    def check_listed(self):
        """Every .cpp stands in a CMakeLists.txt of its folder or of one above it."""
        for file in self.files:
            if not file.endswith((".cpp", ".cu")) or not file.startswith(SOURCE_FOLDERS) or NOT_BUILT.match(file):
                continue
            folder = os.path.dirname(file)
            while folder:
                lists = os.path.join(folder, "CMakeLists.txt")
                if lists in self.files:
                    name = os.path.relpath(file, folder)
                    if re.search(r"(?<![\w./-])" + re.escape(name) + r"(?![\w.])", "\n".join(self.lines(lists))):
                        break
                folder = os.path.dirname(folder)
            else:
                self.report(file, 1, "stands in no CMakeLists.txt")


def self_test():
    """Each planted file breaks one rule; the words say how the report of it begins."""
    import tempfile

    h = PUBLIC + "tinytorch/"
    clean = {
        "core/CMakeLists.txt": "runtime/launch.cpp\nnn/linear.cpp\nio/idx.cpp\n",
        "kernels/CMakeLists.txt": "cpu/gemm.cpp\n",
        h + "export.h": "",
        h + "memory.h": "#include <cstddef>\n",
        h + "tensor.h": "#include <tinytorch/backend/view.h>\n",
        h + "backend/view.h": "#include <tinytorch/export.h>\n#include <vector>\n",
        h + "backend/backend.h": "#include <tinytorch/memory.h>\n",
        "core/runtime/launch.h": "#include <tinytorch/tensor.h>\n",
        "core/runtime/launch.cpp": '#include "core/runtime/launch.h"\n#include <dlfcn.h>\n',
        "core/io/idx.cpp": "#include <zlib.h>\n",
        "core/nn/linear.cpp": "#include <tinytorch/tensor.h>\n",
        "kernels/common/functors.h": "#include <tinytorch/backend/view.h>\n",
        "kernels/common/host_device.h": "#ifdef __CUDACC__\n#endif\n",
        "kernels/cpu/gemm.cpp": '#include "kernels/common/functors.h"\n#include "backends/cpu/rt.h"\n#include <immintrin.h>\n',
        "backends/cpu/rt.h": "#include <tinytorch/backend/backend.h>\n",
    }
    planted = [
        ("core/runtime/a.h", '#include "core/ops/b.h"', "may not include core/ops/b.h", {"core/ops/b.h": ""}),
        ("core/runtime/a.h", '#include "kernels/common/functors.h"', "may not include kernels", {}),
        ("core/nn/a.h", "#include <tinytorch/backend/view.h>", "may not include tinytorch/backend", {}),
        ("core/nn/a.h", '#include "core/io/b.h"', "may not include core/io", {"core/io/b.h": ""}),
        ("core/nn/a.h", "#include <zlib.h>", "not a library", {}),
        ("core/runtime/a.h", "#include <cuda_runtime.h>", "not a library", {}),
        ("kernels/cpu/a.h", '#include "kernels/reference/b.h"', "may not include kernels/ref", {"kernels/reference/b.h": ""}),
        ("kernels/cpu/a.h", '#include "backends/cpu/b.h"', "may not include backends", {"backends/cpu/b.h": ""}),
        ("kernels/common/a.h", '#include "backends/cpu/rt.h"', "may not include backends", {}),
        ("backends/cpu/a.h", '#include "core/runtime/launch.h"', "may not include core", {}),
        ("backends/cpu/a.h", "#include <tinytorch/tensor.h>", "may not include tinytorch/tensor.h", {}),
        ("backends/cpu/a.h", "#include <tinytorch/memory.h>", "reaches", {h + "memory.h": "#include <tinytorch/tensor.h>\n"}),
        (h + "backend/a.h", "#include <tinytorch/tensor.h>", "may not include", {}),
        ("examples/a.h", "#include <tinytorch/backend/view.h>", "may not include", {}),
        ("tests/a.h", '#include "../core/runtime/launch.h"', 'a path with ".."', {}),
        ("tests/a.h", '#include "launch.h"', "no such file", {}),
        ("tests/a.h", '#include "tests/b.h"', "include cycle", {"tests/b.h": '#include "tests/a.h"\n'}),
        ("kernels/cpu/a.h", "#ifdef __CUDACC__", "__CUDACC__", {}),
        ("scripts/a.sh", "\n" * MAX_LINES, "the limit is", {}),
        ("core/ops/a.cpp", "", "stands in no CMakeLists.txt", {}),
    ]

    def run(files):
        with tempfile.TemporaryDirectory() as root:
            for name, text in files.items():
                os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
                with open(os.path.join(root, name), "w", encoding="utf-8") as f:
                    f.write(text)
            return Tree(root).check()

    failures = [f"clean tree: {v}" for v in run(clean)]
    for file, text, reason, others in planted:
        found = run({**clean, **others, file: text + "\n"})
        if not any(reason in v for v in found):
            failures.append(f"not caught: {file} with {text.strip()!r} (want {reason!r}, found {found})")
    print("\n".join(failures) if failures else f"self-test: a clean tree passes, {len(planted)} planted violations are caught")
    return 1 if failures else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    tree = Tree(root)
    violations = tree.check()
    for violation in violations:
        print(violation)
    print(f"check_layers: {len(tree.edges)} source files, {len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
