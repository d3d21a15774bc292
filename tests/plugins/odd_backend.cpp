// A backend whose answers do not fit: another name than its file's (TT_PLUGIN_NAME), no devices
// (TT_PLUGIN_DEVICES), and if both are right, a device that throws when it is asked about.
#include <cstdlib>
#include <memory>

#include <tinytorch/backend/backend.h>

namespace {

using namespace tinytorch;

class OddBackend final : public Backend {
 public:
  std::string_view name() const override { return TT_PLUGIN_NAME; }
  int device_count() const override { return TT_PLUGIN_DEVICES; }
  DeviceInfo info(int) const override { throw DeviceError("[info] the device does not answer"); }
  Allocator& allocator(int) override { std::abort(); }
  Stream& stream(int) override { std::abort(); }
  std::unique_ptr<Stream> create_stream(int) override { return nullptr; }
  const KernelTable& kernels() const override { return table_; }

 private:
  KernelTable table_;
};

Backend* create(Unusable*) noexcept {
  static OddBackend backend;
  return &backend;
}

}  // namespace

TT_BACKEND_PLUGIN(create);
