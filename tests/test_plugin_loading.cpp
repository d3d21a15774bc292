// Every state of a backend that cannot be used: it has its Why, a reason that says what was found
// and a fix that says what to do; Device() quotes both; nothing crashes, and the CPU goes on
// working.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string>
#include <unistd.h>
#include <vector>

#include <tinytorch/device.h>

namespace tinytorch {
namespace {

// TINYTORCH_BACKEND_PATH is the folder of the plugins in tests/plugins; ctest sets it.
std::string plugin_folder() {
  const char* path = std::getenv("TINYTORCH_BACKEND_PATH");
  return path ? path : "";
}

struct State {
  const char* name;
  Why why;
  const char* reason;  // a part of it
  const char* fix;
};

void PrintTo(const State& state, std::ostream* out) { *out << state.name; }

const State kStates[] = {
    {"absent", Why::plugin_not_found, "plugin libtinytorch_absent.so", "TINYTORCH_BACKEND_PATH"},
    {"wrong_spi", Why::wrong_spi, "SPI number", "rebuild"},
    {"wrong_abi", Why::wrong_spi, "gxx-abi-0-cxx11-0", "rebuild"},
    {"wrong_sizes", Why::wrong_spi, "sizes", "rebuild"},
    {"needs_library", Why::missing_library, "libtinytorch_absent.so", "libtinytorch_absent.so"},
    {"refuses", Why::no_device, "the device is switched off", "switch it on"},
    {"silent", Why::failed, "no reason", ""},
    {"no_create", Why::failed, "create", "TT_BACKEND_PLUGIN"},
    {"no_symbol", Why::failed, "tinytorch_backend_plugin", "TT_BACKEND_PLUGIN"},
    {"undefined_symbol", Why::failed, "tinytorch_nobody_has_this", "rebuild"},
    {"misnamed", Why::failed, "'other'", "name"},
    {"no_devices", Why::failed, "0 devices", "device"},
    {"throws", Why::failed, "the device does not answer", ""},
    {"text", Why::failed, "libtinytorch_text.so", ""},
    {"empty", Why::failed, "libtinytorch_empty.so", ""},
    {"folder", Why::failed, "libtinytorch_folder.so", ""},
};

class Unloadable : public testing::TestWithParam<State> {};

TEST_P(Unloadable, IsAValueWithReasonAndFix) {
  const State& expected = GetParam();
  const BackendStatus status = backend_status(expected.name);
  EXPECT_EQ(status.name, expected.name);
  EXPECT_EQ(status.unusable.why, expected.why) << status.unusable.reason;
  EXPECT_NE(status.unusable.reason.find(expected.reason), std::string::npos)
      << status.unusable.reason;
  EXPECT_NE(status.unusable.fix.find(expected.fix), std::string::npos) << status.unusable.fix;
  EXPECT_FALSE(status.unusable.reason.empty());
  EXPECT_FALSE(status.unusable.fix.empty());
  EXPECT_EQ(status.devices, 0);
}

TEST_P(Unloadable, DeviceQuotesBoth) {
  const Unusable unusable = backend_status(GetParam().name).unusable;
  for (const std::string& name :
       {std::string(GetParam().name), std::string(GetParam().name) + ":0"}) {
    try {
      const Device device(name);
      FAIL() << name << " can be used";
    } catch (const DeviceError& error) {
      const std::string message = error.what();
      EXPECT_NE(message.find(unusable.reason), std::string::npos) << message;
      EXPECT_NE(message.find(unusable.fix), std::string::npos) << message;
    }
  }
}

TEST_P(Unloadable, TheCpuGoesOn) {
  (void)backend_status(GetParam().name);
  EXPECT_EQ(Device("cpu").name(), "cpu:0");
  EXPECT_EQ(Device::best().backend(), "cpu");
}

INSTANTIATE_TEST_SUITE_P(States, Unloadable, testing::ValuesIn(kStates),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(PluginLoading, NamesThatAreNoneAreRefused) {
  for (const char* name :
       {"", ":", ":0", "Cpu", "../cpu", "a/b", "cpu:", "cpu:x", "cpu:-1", "cpu:1",
        "cpu:99999999999999999999", "cpu:0:0", "a b", "no_such_backend"})
    EXPECT_THROW(Device{name}, DeviceError) << name;
}

TEST(PluginLoading, FoundPluginsAreListedOnce) {
  const std::vector<std::string> known = known_backends();
  for (const char* name : {"cpu", "reference", "cuda", "wrong_spi", "needs_library", "text"})
    EXPECT_EQ(std::count(known.begin(), known.end(), name), 1) << name;
}

TEST(PluginLoading, OnlyUsableDevicesAreCounted) {
  const std::vector<Device> devices = Device::all();
  EXPECT_FALSE(devices.empty());
  for (const Device& device : devices) {
    EXPECT_EQ(backend_status(device.backend()).unusable.why, Why::usable) << device.name();
    EXPECT_FALSE(device.info().test_only) << device.name();
  }
}

TEST(PluginLoading, TheCurrentDirectoryIsNotSearched) {
  const std::string folder = plugin_folder();
  ASSERT_EQ(chdir(folder.c_str()), 0);
  setenv("TINYTORCH_BACKEND_PATH", ".:relative::", 1);
  const std::vector<std::string> known = known_backends();
  setenv("TINYTORCH_BACKEND_PATH", folder.c_str(), 1);
  EXPECT_EQ(std::count(known.begin(), known.end(), "wrong_spi"), 0);
}

}  // namespace
}  // namespace tinytorch
