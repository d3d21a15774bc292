// What profiles write and what follows from them: names of any bytes, numbers that are not there,
// fits that fall, devices without room.
#include <tinytorch/profile.h>

#include <fstream>
#include <iterator>

#include <nlohmann/json.hpp>

#include <tinytorch/autograd.h>
#include <tinytorch/error.h>
#include <tinytorch/nn.h>
#include <tinytorch/ops.h>

#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(ProfileOutput, NamesOfAnyBytes) {
  Profiler profiler;
  {
    const ModuleScope scope("bad \xff\xc3 \"name\"\nof two lines, " + std::string(100, 'x'));
    (void)ones({3}).exp();
  }
  profiler.step();
  const Profile p = profiler.stop();
  const std::string folder = ::testing::TempDir();
  p.write_csv(folder + "names_ops.csv", folder + "names_timeline.csv");
  profiler.write_chrome_trace(folder + "names_trace.json");
  const nlohmann::json trace = nlohmann::json::parse(contents(folder + "names_trace.json"));
  bool named = false, step = false;
  for (const auto& event : trace["traceEvents"]) {
    named = named || (event["name"] == "exp" &&
                      event["args"]["module"].get<std::string>().starts_with("bad \xef\xbf\xbd"));
    step = step || (event["name"] == "end of step 1" && event["ph"] == "i");
  }
  EXPECT_TRUE(named && step);
  EXPECT_EQ(contents(folder + "names_ops.csv").find('\xff'), std::string::npos);
  const std::string text = p.str();
  EXPECT_NE(text.find("\"name\" of two lines"), std::string::npos);
  EXPECT_EQ(text.find(std::string(60, 'x')), std::string::npos) << "a long name is cut";
}

TEST(ProfileOutput, ErrorsSayWhatTheSystemSays) {
  const Profile p = Profiler().stop();
  expect_error<IoError>([&] { p.write_json("/dev/full"); }, {"/dev/full", "No space"});
  expect_error<IoError>([&] { p.write_json("/nowhere/p.json"); }, {"No such file"});
  expect_error<ValueError>([&] { (void)p.device("nope"); }, {"nope"});
  try {
    (void)Profile::from_json("{");
    FAIL();
  } catch (const IoError& e) {
    EXPECT_EQ(std::string(e.what()).find("json.exception"), std::string::npos) << e.what();
  }
}

TEST(ProfileOutput, LimitsNeedNumbers) {
  Profiler profiler;
  (void)ones({3}).exp();
  const Profile without = profiler.stop();
  const Metrics m = metrics(without, "cpu");
  EXPECT_EQ(check_budget(m, {{"peak_bytes", 1}}).size(), 1u);
  for (const char* name : {"step_seconds", "step_ratio", "allocs_per_step", "leak_bytes_per_step"})
    expect_error<ValueError>([&] { (void)check_budget(m, {{name, 1e9}}); }, {name, "step()"});
  Profiler again;
  (void)ones({3}).exp();
  again.step();
  const Profile with = again.stop();
  EXPECT_EQ(metrics(with, "cpu", &without).count("step_ratio"), 0u);
  EXPECT_EQ(metrics(with, "cpu", &with).at("step_ratio"), 1);
}

TEST(ProfileOutput, FitsThatFall) {
  // Workspace that shrinks with the batch beside activations that grow.
  const auto sample = [](int64_t batch) {
    CategoryBytes bytes{};
    bytes[static_cast<size_t>(Category::activation)] = 1000 + 52000 * batch;
    bytes[static_cast<size_t>(Category::workspace)] = 80000 - 30 * batch;
    return std::pair{batch, bytes};
  };
  const MemoryFit fit = fit_memory({sample(8), sample(16), sample(64)});
  const int64_t largest = fit.largest_batch(10'000'000);
  EXPECT_EQ(largest, (10'000'000 - 81000) / (52000 - 30));
  EXPECT_LE(total(fit.predict(largest)), 10'000'000);
  EXPECT_GT(total(fit.predict(largest + 1)), 10'000'000);
  EXPECT_GT(total(fit.predict(INT64_MAX)), int64_t{1} << 55) << "no sum wraps";
  expect_error<ValueError>([&] { (void)fit.predict(-3); }, {"-3"});
  EXPECT_EQ(fit_memory({sample(1), {2, sample(1).second}}).largest_batch(1 << 20), INT64_MAX);
}

TEST(ProfileOutput, RooflineOfADeviceWithoutRoom) {
  const Device cpu("cpu");
  trim_memory(cpu);
  ProfilerOptions options;
  options.roofline = true;
  Profiler profiler(options);
  (void)ones({3}).exp();
  set_memory_limit(cpu, static_cast<size_t>(memory_stats(cpu).reserved) + (1 << 20));
  const Profile p = profiler.stop();
  set_memory_limit(cpu, 0);
  EXPECT_FALSE(p.device("cpu").ops.empty());
}

TEST(ProfileOutput, BuffersAreOther) {
  struct WithBuffer : Module {
    Tensor& buffer = register_buffer("buffer", zeros({1000}));
  };
  Profiler profiler;
  const WithBuffer module;
  Tensor mine = ones({500});
  set_category(mine, Category::input);
  const Tensor last = ones({1});  // the peak is after both
  const MemoryProfile m = profiler.stop().device("cpu").memory;
  const auto at_peak = [&](Category c) { return m.at_peak[static_cast<size_t>(c)]; };
  EXPECT_EQ(at_peak(Category::other), 4000);
  EXPECT_EQ(at_peak(Category::input), 2000);
  EXPECT_EQ(at_peak(Category::activation), 4);
  expect_error<ValueError>([] { set_category(Tensor(), Category::input); }, {"set_category"});
}

}  // namespace
}  // namespace tinytorch::testing
