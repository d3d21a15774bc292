// Needs a function that nobody has: RTLD_NOW finds that out while the plugin is opened, not in the
// middle of a training run.
#include <tinytorch/backend/backend.h>

extern "C" tinytorch::Backend* tinytorch_nobody_has_this();

namespace {
tinytorch::Backend* create(tinytorch::Unusable*) noexcept { return tinytorch_nobody_has_this(); }
}  // namespace

TT_BACKEND_PLUGIN(create);
