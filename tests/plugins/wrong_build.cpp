// The right SPI number, but another compiler ABI or a struct of another size. Its create must never
// be called.
#include <cstdlib>

#include <tinytorch/backend/backend.h>

namespace {
tinytorch::Backend* create(tinytorch::Unusable*) noexcept { std::abort(); }
}  // namespace

extern "C" TT_API const tinytorch::BackendPlugin tinytorch_backend_plugin = {
    tinytorch::kSpiNumber, {TT_PLUGIN_BUILD}, create};
