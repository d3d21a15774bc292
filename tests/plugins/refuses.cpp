// Loads well, and says why there is no device; or, without TT_PLUGIN_WHY, returns null and says
// nothing.
#include <tinytorch/backend/backend.h>

namespace {

tinytorch::Backend* create([[maybe_unused]] tinytorch::Unusable* why_not) noexcept {
#ifdef TT_PLUGIN_WHY
  *why_not = {tinytorch::Why::TT_PLUGIN_WHY, "the device is switched off", "switch it on"};
#endif
  return nullptr;
}

}  // namespace

TT_BACKEND_PLUGIN(create);
