// Opens a private OpenBLAS at first need: a serial build by preference, with local symbols, so that
// neither a BLAS of the host program nor its thread count nor the environment is touched. Without
// one the CPU backend works on its own gemm.
#include "backends/cpu/blas.h"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>

#include "backends/common/host_memory.h"
#include "backends/cpu/rt.h"

namespace tinytorch::cpu {
namespace {

struct Loaded {
  BlasInfo info;
  Blas table{};
};

template <class F>
bool find(void* library, const char* name, F* function) {
  *function = reinterpret_cast<F>(dlsym(library, name));
  return *function != nullptr;
}

// Its own symbols first, so that a host's BLAS cannot step in between; sanitizers must see the
// calls of a library and forbid it.
constexpr int open_flags() { return RTLD_NOW | RTLD_LOCAL | (kPlainAlloc ? 0 : RTLD_DEEPBIND); }

// Fills `loaded` if the file is an OpenBLAS that may be used.
bool try_open(const std::string& path, Loaded* loaded) {
  void* before = dlopen(path.c_str(), open_flags() | RTLD_NOLOAD);
  const bool ours = before == nullptr;
  if (before) dlclose(before);
  void* library = dlopen(path.c_str(), open_flags());
  if (!library) {
    const char* why = dlerror();
    loaded->info.why_not +=
        (loaded->info.why_not.empty() ? "" : "; ") + std::string(why ? why : path.c_str());
    return false;
  }
  char* (*config)() = nullptr;
  char* (*core)() = nullptr;
  int (*parallel)() = nullptr;
  void (*set_threads)(int) = nullptr;
  const bool complete = find(library, "cblas_sgemm", &loaded->table.sgemm) &&
                        find(library, "cblas_dgemm", &loaded->table.dgemm) &&
                        find(library, "openblas_get_config", &config);
  // Products run on tiles of ours, one thread each. A threaded build can be told so only if nobody
  // else in this process uses it.
  const bool threaded =
      complete && find(library, "openblas_get_parallel", &parallel) && parallel() != 0;
  const bool usable =
      complete && (!threaded || (ours && find(library, "openblas_set_num_threads", &set_threads)));
  if (!usable) {
    loaded->info.why_not += (loaded->info.why_not.empty() ? "" : "; ") + path +
                            (complete ? " is threaded and used by the host program"
                                      : " is not an OpenBLAS with a C interface");
    loaded->table = {};
    dlclose(library);
    return false;
  }
  if (threaded) set_threads(1);
  loaded->info.found = true;
  loaded->info.path = path;
  loaded->info.config = config();
  if (find(library, "openblas_get_corename", &core)) loaded->info.core = core();
  return true;
}

void open_any(Loaded* loaded) {
  if (const char* path = std::getenv("TINYTORCH_OPENBLAS"); path && *path) {
    try_open(path, loaded);  // named by the user: this one or none
    return;
  }
#ifdef TT_OPENBLAS_PATH
  if (try_open(TT_OPENBLAS_PATH, loaded)) return;
#endif
#if defined(__x86_64__)
  constexpr const char* kSerial = "/usr/lib/x86_64-linux-gnu/openblas-serial/libopenblas.so.0";
#elif defined(__aarch64__)
  constexpr const char* kSerial = "/usr/lib/aarch64-linux-gnu/openblas-serial/libopenblas.so.0";
#else
  constexpr const char* kSerial = "libopenblas-serial.so.0";
#endif
  if (try_open(kSerial, loaded)) return;
  try_open("libopenblas.so.0", loaded);
}

const Loaded& loaded() {
  static const Loaded* one = [] {
    auto* fresh = new Loaded;
    open_any(fresh);
    return fresh;
  }();
  return *one;
}

GemmEngine read_engine() noexcept {
  const char* name = std::getenv("TINYTORCH_GEMM");
  if (name && std::strcmp(name, "own") == 0) return GemmEngine::own;
  if (name && std::strcmp(name, "openblas") == 0) return GemmEngine::openblas;
  return GemmEngine::by_rule;
}

}  // namespace

const BlasInfo& blas_info() { return loaded().info; }

const Blas* blas() noexcept {
  try {
    const Loaded& one = loaded();
    return one.info.found ? &one.table : nullptr;
  } catch (...) {
    return nullptr;  // no memory for it now
  }
}

GemmEngine gemm_engine() noexcept {
  static const GemmEngine engine = read_engine();
  return engine;
}

std::string describe_gemm_engine() {
  switch (gemm_engine()) {
    case GemmEngine::own:
      return "own (TINYTORCH_GEMM)";
    case GemmEngine::openblas:
      return blas_info().found ? "OpenBLAS (TINYTORCH_GEMM)"
                               : "own (TINYTORCH_GEMM asks for OpenBLAS, which was not found)";
    case GemmEngine::by_rule:
      break;
  }
  const char* name = std::getenv("TINYTORCH_GEMM");
  std::string text = "by rule from shape, dtype and instruction set";
  if (name && *name)
    text += " (TINYTORCH_GEMM=" + std::string(name) + " is neither own nor openblas)";
  return text;
}

}  // namespace tinytorch::cpu
