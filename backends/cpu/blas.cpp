// Opens a private OpenBLAS at first need: a serial build by preference, with local symbols, so that
// neither a BLAS of the host program nor its thread count nor the environment is touched. Without
// one the CPU backend works on its own gemm.
#include "backends/cpu/blas.h"

#include <dlfcn.h>
#include <pthread.h>

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

// A serial OpenBLAS looks for a free buffer without a lock (0.3.21: two threads at 64x64 products
// got 3 to 8 % of them wrong), so its calls take turns.
Blas unguarded;
std::mutex turn;

void take_turns(Blas* table) {
  static const auto release = [] { turn.unlock(); };
  pthread_atfork([] { turn.lock(); }, release, release);
  unguarded = *table;
  table->sgemm = [](auto... args) {
    const std::lock_guard lock(turn);
    unguarded.sgemm(args...);
  };
  table->dgemm = [](auto... args) {
    const std::lock_guard lock(turn);
    unguarded.dgemm(args...);
  };
}

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
  if (threaded) {
    set_threads(1);
  } else {
    take_turns(&loaded->table);
  }
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
  static const GemmEngine engine = [] {
    const char* name = std::getenv("TINYTORCH_GEMM");
    const bool asked = name && std::strcmp(name, "openblas") == 0;
    return asked && blas() ? GemmEngine::openblas : GemmEngine::own;
  }();
  return engine;
}

std::string describe_gemm_engine() {
  if (gemm_engine() == GemmEngine::openblas) return "OpenBLAS (TINYTORCH_GEMM)";
  const char* asked = std::getenv("TINYTORCH_GEMM");
  const std::string name = asked ? asked : "";
  if (name.empty() || name == "own") return "own";
  if (name == "openblas") return "own (TINYTORCH_GEMM asks for OpenBLAS, which was not found)";
  return "own (TINYTORCH_GEMM=" + name + " is neither own nor openblas)";
}

}  // namespace tinytorch::cpu
