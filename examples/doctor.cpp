// doctor: what this machine offers to TinyTorch, and for each backend that cannot be used the
// reason and what to do about it. Exit status 0 while the CPU works; 1 if even that does not.
#include <tinytorch/tinytorch.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <sstream>

namespace {

using namespace tinytorch;

void print_indented(const std::string& lines) {
  std::istringstream stream(lines);
  for (std::string line; std::getline(stream, line);) std::cout << "    " << line << '\n';
}

void print_device(const Device& device) {
  const DeviceInfo info = device.info();
  std::cout << "  " << device.name() << ": " << info.description;
  if (info.total_bytes > 0) {
    char size[32];
    std::snprintf(size, sizeof size, ", %.1f GiB",
                  static_cast<double>(info.total_bytes) / (1 << 30));
    std::cout << size;
  }
  std::cout << '\n';
}

// What is missing, in one word that can be searched for.
const char* missing(Why why) {
  switch (why) {
    case Why::plugin_not_found:
    case Why::wrong_spi:
    case Why::missing_library:
      return "plugin";
    case Why::no_driver:
    case Why::driver_too_old:
      return "driver";
    case Why::usable:
      return "";
    default:
      return "device";
  }
}

void print_backend(const std::string& name) {
  const BackendStatus status = backend_status(name);
  if (status.unusable.why != Why::usable) {
    std::cout << "  " << name << ": not usable (" << missing(status.unusable.why) << ")\n";
    std::cout << "    reason: " << status.unusable.reason << "\n    fix:    " << status.unusable.fix
              << '\n';
    return;
  }
  std::cout << "  " << name << ": usable, " << status.devices
            << (status.devices == 1 ? " device" : " devices");
  std::cout << (status.test_only ? ", for tests only: used when named\n" : "\n");
  print_indented(status.details);
}

// A product, a gradient and a read-back: that the parts work together, not only that they are
// there.
bool works(const Device& device) {
  const Tensor a = full({3, 4}, 2.0, {.device = device, .requires_grad = true});
  const Tensor loss = matmul(a, full({4, 5}, 3.0, {.device = device})).sum();
  loss.backward();
  return loss.item() == 3 * 5 * 4 * 2 * 3 && a.grad().sum().item() == 3 * 4 * 5 * 3;
}

bool check(const std::string& name) {
  try {
    const bool right = works(Device(name));
    std::cout << "  " << name << ": "
              << (right ? "computes and differentiates correctly" : "WRONG RESULTS") << '\n';
    return right;
  } catch (const std::exception& e) {
    std::cout << "  " << name << ": FAILED: " << e.what() << '\n';
    return false;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) {
    const std::string flag = argv[1];
    const bool help = argc == 2 && (flag == "--help" || flag == "-h");
    (help ? std::cout : std::cerr)
        << "usage: doctor    (no arguments): prints devices and backends; 0 while the CPU works\n";
    return help ? 0 : 2;
  }
  try {
    std::cout << "TinyTorch " << version() << "\n\nbackends\n";
    for (const std::string& name : known_backends()) print_backend(name);
    std::cout << "\ndevices\n";
    for (const Device& device : Device::all()) print_device(device);
    std::cout << "  default: " << default_device().name() << ", best: " << Device::best().name()
              << ", CPU threads: " << num_threads() << "\n\nself-test\n";
    bool cpu_works = false;
    for (const Device& device : Device::all()) {
      const bool right = check(device.name());
      if (device.backend() == "cpu") cpu_works = right;
    }
    return cpu_works ? 0 : 1;
  } catch (const std::exception& e) {
    std::cout << "doctor: " << e.what() << '\n';
    return 1;
  }
}
