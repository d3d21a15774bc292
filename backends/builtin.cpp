// The backends that are linked in. The only file that names several; whatever else there is comes
// as a plugin.
#include "backends/cpu/backend.h"
#include "backends/reference/backend.h"
#include "core/runtime/registry.h"

namespace tinytorch {

const std::vector<BuiltinBackend>& builtin_backends() {
  static const auto* list =
      new std::vector<BuiltinBackend>{{"cpu", cpu_backend}, {"reference", reference_backend}};
  return *list;
}

}  // namespace tinytorch
