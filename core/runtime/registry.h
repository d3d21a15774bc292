// The backends of this process: two linked in, the others opened as plugins when somebody first
// asks for them by name.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/runtime/device_state.h"

namespace tinytorch {

struct BackendEntry {
  std::string name;
  Backend* backend = nullptr;  // null: see unusable
  Unusable unusable;
  std::vector<DeviceState*> devices;
  pid_t opened_by = 0;  // the process
};

// Opens it if that was not tried yet; the entry lives as long as the program.
BackendEntry& backend_entry(std::string_view name);

std::vector<DeviceState*> opened_devices();

// plugin.cpp: looks for libtinytorch_<name>.so and creates its backend; null with the reason.
Backend* load_plugin(const std::string& name, Unusable& why_not);
std::vector<std::string> plugin_names();  // found in the places where load_plugin looks

// backends/builtin.cpp: the backends linked into libtinytorch.so.
struct BuiltinBackend {
  const char* name;
  Backend* (*create)();
};
const std::vector<BuiltinBackend>& builtin_backends();

}  // namespace tinytorch
