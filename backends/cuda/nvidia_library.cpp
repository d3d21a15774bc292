// The search for libraries of NVIDIA's (nvidia_library.h). It knows nothing of CUDA: a list of
// directories and dlopen.
#include "backends/cuda/nvidia_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <vector>

namespace tinytorch::cuda {
namespace {

namespace fs = std::filesystem;
using Directories = std::vector<fs::path>;

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

template <class F>
void for_each_part(std::string_view list, F f) {  // separated by colons
  while (!list.empty()) {
    const size_t end = list.find(':');
    if (const std::string_view part = list.substr(0, end); !part.empty()) f(fs::path(part));
    list = end == list.npos ? std::string_view() : list.substr(end + 1);
  }
}

// The places below PREFIX/lib/python3.* where wheels of CUDA 13 and of CUDA 12 style put libraries.
void add_wheels(const fs::path& prefix, Directories* directories) {
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator(prefix / "lib", none)) {
    if (!entry.path().filename().string().starts_with("python3")) continue;
    for (const char* site : {"site-packages", "dist-packages"}) {
      const fs::path nvidia = entry.path() / site / "nvidia";
      for (const char* part : {"cu13/lib", "cublas/lib"})
        if (fs::is_directory(nvidia / part, none)) directories->push_back(nvidia / part);
    }
  }
}

// Of the first python3 on PATH: bin/python3 lies in its prefix, also in a virtual environment.
fs::path python_prefix() {
  fs::path prefix;
  std::error_code none;
  for_each_part(variable("PATH"), [&](const fs::path& directory) {
    if (prefix.empty() && fs::exists(directory / "python3", none)) prefix = directory.parent_path();
  });
  return prefix;
}

Directories later_directories() {
  Directories directories;
  for (const char* name : {"CUDA_HOME", "CUDA_PATH"})
    if (!variable(name).empty()) directories.push_back(fs::path(variable(name)) / "lib64");
  directories.emplace_back("/usr/local/cuda/lib64");
  for (const char* name : {"VIRTUAL_ENV", "CONDA_PREFIX"})
    if (!variable(name).empty()) add_wheels(variable(name), &directories);
  if (const fs::path prefix = python_prefix(); !prefix.empty()) add_wheels(prefix, &directories);
  return directories;
}

// Local symbols: the library is ours to call by table, and steps in between nobody's calls.
void* try_open(const std::string& path) { return dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL); }

// The first that opens. Appends to *failure where it was looked for, and what the loader said of
// files that are there.
void* open_from(const Directories& directories, const char* soname, std::string* failure) {
  std::error_code none;
  for (const fs::path& directory : directories) {
    const fs::path file = directory / soname;
    const bool there = fs::exists(file, none);
    if (void* library = there ? try_open(file.string()) : nullptr) return library;
    *failure += "; " + directory.string();
    if (const char* why = there ? dlerror() : nullptr) *failure += std::string(" (") + why + ")";
  }
  return nullptr;
}

}  // namespace

void* open_nvidia_library(const char* soname, std::string* failure) {
  Directories named;
  for_each_part(variable("TINYTORCH_CUDA_LIBS"),
                [&](const fs::path& directory) { named.push_back(directory); });
  *failure = std::string(soname) + " was looked for in";
  const size_t start = failure->size();
  if (void* library = open_from(named, soname, failure)) return library;
  if (void* library = try_open(soname)) return library;
  *failure += "; the system's library path";
  void* library = open_from(later_directories(), soname, failure);
  failure->erase(start, 1);  // the first semicolon
  return library;
}

}  // namespace tinytorch::cuda
