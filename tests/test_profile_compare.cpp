// Profiles as data: JSON and back, CSV, comparison with planted differences, budgets, and memory
// that grows with the batch.
#include <tinytorch/profile.h>

#include <cmath>

#include <tinytorch/nn.h>

#include "tests/nn_support.h"
#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

// What `program` leaves alive is alive at the peak.
Profile profile_of(const std::function<std::vector<Tensor>()>& program) {
  Profiler profiler;
  const std::vector<Tensor> kept = program();
  profiler.step();
  return profiler.stop();
}

std::string cause_of(const ProfileDifference& d, const std::string& category) {
  for (const ProfileDifference::Memory& row : d.memory)
    if (row.category == category) return row.cause;
  return "no such row";
}

class ProfileData : public OnDevice {
 protected:
  const DeviceProfile& mine(const Profile& p) const { return p.device(device_.name()); }
  std::string difference(const std::function<std::vector<Tensor>()>& a,
                         const std::function<std::vector<Tensor>()>& b) {
    const ProfileDifference d = compare(mine(profile_of(a)), mine(profile_of(b)));
    return cause_of(d, "activation");
  }
};

TEST_P(ProfileData, ComesBackFromJson) {
  Profile p = profile_of([] {
    Linear layer(8, 4);
    return std::vector<Tensor>{layer(ones({2, 8}))};
  });
  p.settings["batch"] = "2 \"samples\"";
  const std::string text = p.json();
  const Profile back = Profile::from_json(text);
  EXPECT_EQ(back.json(), text);
  EXPECT_EQ(back.settings, p.settings);
  EXPECT_EQ(mine(back).memory.at_peak, mine(p).memory.at_peak);
  EXPECT_EQ(mine(back).ops.size(), mine(p).ops.size());
  EXPECT_NE(p.str().find(device_.name()), std::string::npos);

  EXPECT_THROW(Profile::from_json("{"), IoError);
  EXPECT_THROW(Profile::from_json("{}"), IoError);
  EXPECT_THROW(Profile::from_json(R"({"devices": 3})"), IoError);
  std::string wrong = text;
  wrong.replace(wrong.find("\"forward\""), 9, "\"sideway\"");
  EXPECT_THROW(Profile::from_json(wrong), IoError);
  EXPECT_THROW(p.device("nothing"), ValueError);
}

TEST(Profiles, ANaNComesBack) {
  Profile p;
  p.step_seconds = {1, std::nan("")};
  EXPECT_TRUE(std::isnan(Profile::from_json(p.json()).step_seconds.at(1)));
}

TEST_P(ProfileData, WritesFiles) {
  const Profile p = profile_of([] { return std::vector<Tensor>{ones({100})}; });
  const TemporaryFolder folder;
  p.write_json(folder.file("p.json"));
  EXPECT_EQ(read_text(folder.file("p.json")), p.json());
  p.write_csv(folder.file("ops.csv"), folder.file("timeline.csv"));
  const std::string ops = read_text(folder.file("ops.csv"));
  EXPECT_NE(ops.find("\n" + device_.name() + ",\"ones\",\"\",\"\",forward,1,"), std::string::npos);
  EXPECT_NE(read_text(folder.file("timeline.csv")).find(",400,"), std::string::npos);
  EXPECT_THROW(p.write_json(folder.file("no/such/folder")), IoError);
}

TEST_P(ProfileData, EqualRunsDoNotDiffer) {
  const auto program = [] { return std::vector<Tensor>{ones({64, 3}), exp(ones({64}))}; };
  EXPECT_EQ(difference(program, program), "");
}

TEST_P(ProfileData, FindsTheCauseOfADifference) {
  const Tensor x = ones({30, 40});
  const auto plain = [&] { return std::vector<Tensor>{exp(x)}; };
  EXPECT_EQ(difference(plain,
                       [&] {
                         return std::vector<Tensor>{exp(x), x.t().clone()};
                       }),
            "copy by clone");
  EXPECT_EQ(difference(plain,
                       [&] {
                         return std::vector<Tensor>{exp(x), tanh(x)};
                       }),
            "tanh runs on " + device_.name() + " (b) only");
  EXPECT_EQ(difference(
                [&] {
                  return std::vector<Tensor>{exp(x), tanh(x)};
                },
                [&] {
                  const Tensor gone = tanh(x);
                  return std::vector<Tensor>{exp(x)};
                }),
            "");  // it was alive at the peak of both
  const auto of_dtype = [&](Dtype dtype) {
    return [dtype] { return std::vector<Tensor>{ones({500}, {.dtype = dtype})}; };
  };
  EXPECT_EQ(difference(of_dtype(Dtype::f32), of_dtype(Dtype::f64)), "size of ones");
  const auto exp_of = [](Dtype dtype, int64_t rows) {
    return [dtype, y = ones({rows, 40}, {.dtype = dtype})] { return std::vector<Tensor>{exp(y)}; };
  };
  EXPECT_EQ(difference(exp_of(Dtype::f32, 30), exp_of(Dtype::f64, 30)), "element size of exp");
  EXPECT_EQ(difference(exp_of(Dtype::f32, 30), exp_of(Dtype::f32, 60)), "size of exp");
  EXPECT_EQ(difference([] { return std::vector<Tensor>{ones({500})}; },
                       [] { return std::vector<Tensor>{ones({700})}; }),
            "size of ones");
}

TEST_P(ProfileData, ComparesOpsAndPrints) {
  const Tensor x = ones({30, 40});
  const Profile a = profile_of([&] { return std::vector<Tensor>{exp(x)}; });
  const Profile b = profile_of([&] { return std::vector<Tensor>{exp(x), exp(x), tanh(x)}; });
  const ProfileDifference d = compare(mine(a), mine(b));
  EXPECT_EQ(d.peak_b - d.peak_a, 2 * 30 * 40 * 4);
  int64_t exps = 0, tanhs = 0;
  for (const ProfileDifference::Op& op : d.ops) {
    if (op.op == "exp") exps += op.calls_b - op.calls_a;
    if (op.op == "tanh") tanhs += op.calls_b - op.calls_a;
  }
  EXPECT_EQ(exps, 1);
  EXPECT_EQ(tanhs, 1);
  EXPECT_NE(d.str().find("tanh"), std::string::npos);
  EXPECT_NE(d.json().find("\"cause\""), std::string::npos);
}

TEST_P(ProfileData, BudgetsPassAndFail) {
  const Profile p = profile_of([] { return std::vector<Tensor>{ones({1000})}; });
  const Metrics m = metrics(p, device_.name(), &p);
  EXPECT_EQ(m.at("peak_bytes"), static_cast<double>(mine(p).memory.peak_bytes));
  EXPECT_EQ(m.at("unknown_bytes"), 0);
  EXPECT_EQ(m.at("step_ratio"), 1);
  EXPECT_TRUE(check_budget(m, {{"peak_bytes", m.at("peak_bytes")}, {"unknown_bytes", 0}}).empty());
  const std::vector<std::string> over = check_budget(m, {{"peak_bytes", 100}, {"step_ratio", 2}});
  ASSERT_EQ(over.size(), 1u);
  EXPECT_NE(over[0].find("peak_bytes"), std::string::npos);
  EXPECT_NE(over[0].find("limit 100"), std::string::npos);
  EXPECT_THROW(check_budget(m, {{"no_such_metric", 1}}), ValueError);
  EXPECT_THROW(check_budget(metrics(p, device_.name()), {{"step_ratio", 1}}), ValueError);
}

TT_ON_EVERY_DEVICE(ProfileData);

// ---- causes, of profiles made by hand

LiveBlock block_of(const std::string& op, int64_t bytes, int64_t born) {
  LiveBlock b;
  b.category = Category::activation;
  b.op = op;
  b.bytes = bytes;
  b.born = born;
  return b;
}

// Every op has run once on each device, with some arithmetic.
DeviceProfile device_of(const std::string& name, const std::vector<LiveBlock>& blocks) {
  DeviceProfile d;
  d.device = name;
  d.memory.alive_at_peak = blocks;
  for (const LiveBlock& b : blocks) {
    d.memory.at_peak[static_cast<size_t>(b.category)] += b.bytes;
    d.memory.peak_bytes += b.bytes;
  }
  for (const char* op : {"max_pool2d", "relu", "exp", "tanh", "add"}) {
    OpProfile row;
    row.op = op;
    row.calls = 1;
    row.flops = 1;
    d.ops.push_back(row);
  }
  return d;
}

std::string cause_between(const std::vector<LiveBlock>& a, const std::vector<LiveBlock>& b) {
  return cause_of(compare(device_of("a:0", a), device_of("b:0", b)), "activation");
}

TEST(Causes, ABlockBesideTheResultIsSaved) {
  const LiveBlock result = block_of("max_pool2d", 4000, 3), mask = block_of("max_pool2d", 8000, 3);
  EXPECT_EQ(cause_between({result}, {result, mask}), "saved by max_pool2d");
  EXPECT_EQ(cause_between({result, mask}, {result}), "saved by max_pool2d");
}

TEST(Causes, AResultLivesLonger) {
  const LiveBlock kept = block_of("exp", 400, 1), longer = block_of("relu", 4000, 2);
  EXPECT_EQ(cause_between({kept}, {kept, longer}), "result of relu lives longer on b:0");
  EXPECT_EQ(cause_between({kept, longer}, {kept}), "result of relu lives longer on a:0");
}

TEST(Causes, AreTheThreeLargest) {
  const std::vector<LiveBlock> few{block_of("exp", 1024, 1)};
  const std::vector<LiveBlock> more{block_of("exp", 2048, 1),       block_of("relu", 8192, 2),
                                    block_of("relu", 4096, 2),      block_of("tanh", 3072, 3),
                                    block_of("max_pool2d", 512, 4), block_of("", 4096, -1)};
  EXPECT_EQ(cause_between(few, more),
            "saved by relu +12 KiB, blocks from before the profile +4 KiB, "
            "result of tanh lives longer on b:0 +3 KiB");
  EXPECT_EQ(cause_between({block_of("relu", 4096, 2)}, {block_of("exp", 1024, 1)}),
            "result of relu lives longer on a:0");  // the side that has more
  EXPECT_EQ(cause_between({}, {block_of("relu", 8192, 2), block_of("exp", 800, 3)}),
            "result of relu lives longer on b:0");  // below a tenth of it
}

TEST(Causes, ABlockUnderAnotherNameIsNone) {
  EXPECT_EQ(cause_between({block_of("exp", 4096, 1), block_of("add", 64, 2)},
                          {block_of("relu", 4096, 1), block_of("tanh", 96, 2)}),
            "result of tanh lives longer on b:0");
}

TEST(Causes, ThePeaksLieAtDifferentMoments) {
  LiveBlock update = block_of("add", 4096, 9);
  update.phase = Phase::optimizer;
  update.category = Category::other;
  DeviceProfile a = device_of("a:0", {block_of("relu", 1024, 1)});
  DeviceProfile b = device_of("b:0", {update});
  EXPECT_EQ(cause_of(compare(a, b), "activation"), "result of relu lives longer on a:0");
  MemoryPoint earlier;  // b has had as many
  earlier.live[static_cast<size_t>(Category::activation)] = 1024;
  b.memory.timeline.push_back(earlier);
  EXPECT_EQ(cause_of(compare(a, b), "activation"),
            "peak at another moment: forward against optimizer");
}

TEST(Causes, NamesAreTheCallers) {
  const DeviceProfile a = device_of("cpu:0", {});
  const DeviceProfile b = device_of("cpu:0", {block_of("relu", 1024, 1)});
  const ProfileDifference d = compare(a, b, "before", "after");
  EXPECT_EQ(d.name_a, "before");
  EXPECT_EQ(cause_of(d, "activation"), "result of relu lives longer on after");
  EXPECT_NE(d.str().find("before"), std::string::npos);
  EXPECT_EQ(compare(a, b).name_b, "cpu:0 (b)");
}

TEST(Causes, OfTheAllocatorAreItsBytes) {
  DeviceProfile a = device_of("a:0", {}), b = a;
  MemoryStats &x = a.memory.after, &y = b.memory.after;
  x.in_use = y.in_use = 1000;
  x.given = 1100;
  y.given = 1500;
  x.allocs = y.allocs = 12;
  x.frees = y.frees = 2;
  x.reserved = 2048;
  y.reserved = 4096;
  x.cached = y.cached = 500;
  ProfileDifference d = compare(a, b);
  EXPECT_EQ(cause_of(d, "rounding"),
            "10 B for each of 10 blocks against 50 B for each of 10 blocks");
  EXPECT_EQ(cause_of(d, "cache"), "");  // as many bytes
  y.cached = 2500;
  EXPECT_EQ(cause_of(compare(a, b), "cache"),
            "1.07 KiB of 2 KiB in use against 1.46 KiB of 4 KiB in use");
  x = y = MemoryStats{};
  d = compare(a, b);
  EXPECT_EQ(cause_of(d, "rounding"), "no such row");
  EXPECT_EQ(cause_of(d, "cache"), "no such row");
}

TEST(Budgets, AreRead) {
  const TemporaryFolder folder;
  write_text(folder.file("b.json"), R"({"mlp": {"peak_bytes": 100, "step_ratio": 1.5}})");
  const auto budgets = read_budgets(folder.file("b.json"));
  EXPECT_EQ(budgets.at("mlp").at("step_ratio"), 1.5);
  write_text(folder.file("wrong.json"), R"({"mlp": {"peak_bytes": "many"}})");
  EXPECT_THROW(read_budgets(folder.file("wrong.json")), IoError);
  for (const char* twice : {R"({"mlp": {"peak_bytes": 1, "peak_bytes": 2}})",
                            R"({"a": {"peak_bytes": 1}, "b": {}, "a": {"peak_bytes": 2}})"}) {
    write_text(folder.file("twice.json"), twice);
    EXPECT_THROW(read_budgets(folder.file("twice.json")), IoError);
  }
  write_text(folder.file("both.json"), R"({"a": {"peak_bytes": 1}, "b": {"peak_bytes": 1}})");
  EXPECT_EQ(read_budgets(folder.file("both.json")).size(), 2u);
  EXPECT_THROW(read_budgets(folder.file("missing.json")), IoError);
}

TEST(MemoryFits, AreLines) {
  const auto bytes = [](int64_t batch) {
    CategoryBytes b{};
    b[static_cast<size_t>(Category::parameter)] = 5000;
    b[static_cast<size_t>(Category::activation)] = 120 * batch + 40;
    return b;
  };
  const MemoryFit fit = fit_memory({{8, bytes(8)}, {16, bytes(16)}, {64, bytes(64)}});
  EXPECT_EQ(fit.predict(1000), bytes(1000));
  EXPECT_EQ(fit.largest_batch(total(bytes(777))), 777);
  EXPECT_EQ(fit.largest_batch(total(bytes(777)) - 1), 776);
  EXPECT_EQ(fit.largest_batch(5000), 0);
  EXPECT_EQ(fit_memory({{1, {}}, {2, {}}}).largest_batch(10), INT64_MAX);
  EXPECT_THROW(fit_memory({{8, bytes(8)}, {8, bytes(8)}}), ValueError);
  EXPECT_THROW(fit_memory({}), ValueError);
}

}  // namespace
}  // namespace tinytorch::testing
