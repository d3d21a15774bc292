// A correct plugin, apart from a library that the machine does not have.
#include <tinytorch/backend/backend.h>

extern "C" int tinytorch_absent_answer();

namespace {
tinytorch::Backend* create(tinytorch::Unusable*) noexcept {
  return tinytorch_absent_answer() == 0 ? reinterpret_cast<tinytorch::Backend*>(1) : nullptr;
}
}  // namespace

TT_BACKEND_PLUGIN(create);
