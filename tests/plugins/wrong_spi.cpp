// Built for another SPI number. Its create must never be called: what it returns would be misread.
#include <cstdlib>

#include <tinytorch/backend/backend.h>

namespace {
tinytorch::Backend* create(tinytorch::Unusable*) noexcept { std::abort(); }
}  // namespace

extern "C" TT_API const tinytorch::BackendPlugin tinytorch_backend_plugin = {
    tinytorch::kSpiNumber + 1, {}, create};
