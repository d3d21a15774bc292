// Random numbers: the same bits on every device, instruction set and number of threads, against
// hashes from an independent Philox (tests/golden/make_random.py); generators, their state, copies
// and guards; moments. Runs in the root of the source tree.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <numeric>
#include <thread>

#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

class Random : public OnDevice {};
TT_ON_EVERY_DEVICE(Random);

uint64_t fnv1a(const void* data, size_t bytes) {
  uint64_t h = 0xcbf29ce484222325u;
  for (size_t i = 0; i < bytes; ++i)
    h = (h ^ static_cast<const unsigned char*>(data)[i]) * 0x100000001b3u;
  return h;
}

// Of the elements' bytes in memory.
uint64_t hash_of(const Tensor& t) {
  const auto of = [&](auto zero) {
    const auto v = t.to_vector<decltype(zero)>();
    return fnv1a(v.data(), v.size() * sizeof(zero));
  };
  switch (t.dtype()) {
    case Dtype::f32:
      return of(0.f);
    case Dtype::f64:
      return of(0.0);
    case Dtype::i64:
      return of(int64_t{});
    case Dtype::i32:
      return of(int32_t{});
    default:
      return of(uint8_t{});
  }
}

constexpr uint64_t kNormalHash32 = 901301847759370805u;
constexpr uint64_t kNormalHash64 = 18358133684928774112u;
constexpr uint64_t kNormalHashScaled = 3124840876023519549u;

constexpr int64_t kCount = 1003;
using Draw = std::function<Tensor(const Generator&)>;
const std::map<std::string, Draw>& draws() {
  static const std::map<std::string, Draw> all = {
      {"rand_f32", [](const Generator& g) { return rand({kCount}, {.generator = g}); }},
      {"rand_f64",
       [](const Generator& g) {
         return rand({17, 59}, {.dtype = Dtype::f64, .generator = g});
       }},
      {"uniform_f32",
       [](const Generator& g) { return uniform({kCount}, -0.75, 2.5, {.generator = g}); }},
      {"uniform_f64",
       [](const Generator& g) {
         return uniform({kCount}, -0.75, 2.5, {.dtype = Dtype::f64, .generator = g});
       }},
      {"bernoulli_f32",
       [](const Generator& g) { return bernoulli({kCount}, 0.3, {.generator = g}); }},
      {"bernoulli_bool",
       [](const Generator& g) {
         return bernoulli({kCount}, 0.5, {.dtype = Dtype::bool_, .generator = g});
       }},
      {"randint_i64",
       [](const Generator& g) {
         return randint(-5, 17, {59, 17}, {.generator = g});
       }},
      {"randint_i32",
       [](const Generator& g) {
         return randint(0, 1000, {kCount}, {.dtype = Dtype::i32, .generator = g});
       }},
      {"randint_word",
       [](const Generator& g) { return randint(0, int64_t{1} << 32, {kCount}, {.generator = g}); }},
      {"randint_wide",
       [](const Generator& g) {
         return randint(-(int64_t{1} << 40), int64_t{1} << 40, {kCount}, {.generator = g});
       }},
      {"randperm", [](const Generator& g) { return randperm(kCount, {.generator = g}); }},
      {"randn_f32", [](const Generator& g) { return randn({64}, {.generator = g}); }},
      {"randn_f64",
       [](const Generator& g) { return randn({64}, {.dtype = Dtype::f64, .generator = g}); }},
  };
  return all;
}

struct Row {
  std::string name, result;
  Generator::State state;
};
std::vector<Row> rows() {
  std::ifstream file("tests/data/random_hashes.csv");
  EXPECT_TRUE(file) << "run this in the root of the source tree";
  std::vector<Row> out;
  std::string text;
  std::getline(file, text);
  while (std::getline(file, text)) {
    std::istringstream line(text);
    std::string name, seed, offset, result;
    std::getline(line, name, ',');
    std::getline(line, seed, ',');
    std::getline(line, offset, ',');
    std::getline(line, result);
    out.push_back({name, result, {std::stoull(seed), std::stoull(offset)}});
  }
  return out;
}

TEST_P(Random, BitsAreThoseOfAnIndependentPhilox) {
  int seen = 0;
  for (const Row& r : rows()) {
    SCOPED_TRACE(r.name + " seed " + std::to_string(r.state.seed));
    ++seen;
    Generator g(1, device_);
    g.set_state(r.state);
    const Tensor t = draws().at(r.name)(g);
    if (r.name.starts_with("randn")) {
      std::istringstream expected(r.result);
      const double tolerance = t.dtype() == Dtype::f32 ? 2e-6 : 1e-13;
      for (double v : values(t)) {
        double want = 0;
        expected >> want;
        EXPECT_NEAR(v, want, tolerance * std::fmax(1, std::fabs(want)));
      }
    } else {
      EXPECT_EQ(hash_of(t), std::stoull(r.result, nullptr, 16));
    }
  }
  EXPECT_EQ(seen, 35);
}

// Normals have formulas of our own: their bits were written down once, from the CPU backend, whose
// values the test above compares with Box and Muller's formula. They must never change, on any
// device.
TEST_P(Random, BitsOfNormalsAreCommitted) {
  const Generator g(42, device_);
  EXPECT_EQ(hash_of(randn({100000}, {.generator = g})), kNormalHash32);
  EXPECT_EQ(hash_of(randn({100000}, {.dtype = Dtype::f64, .generator = g})), kNormalHash64);
  EXPECT_EQ(hash_of(normal({1001}, -3, 0.7, {.generator = g})), kNormalHashScaled);
}

TEST_P(Random, ThreadsDoNotChangeBits) {
  const auto hashes = [&](int threads) {
    const ThreadsGuard guard(threads);
    const Generator g(9, device_);
    std::vector<uint64_t> h;
    h.push_back(hash_of(rand({300007}, {.generator = g})));
    h.push_back(hash_of(randn({300007}, {.generator = g})));
    h.push_back(hash_of(randint(0, 10, {300007}, {.generator = g})));
    h.push_back(hash_of(bernoulli({300007}, 0.1, {.generator = g})));
    h.push_back(hash_of(randperm(100003, {.generator = g})));
    h.push_back(hash_of(dropout(ones({300007}), 0.3, true, g)));
    return h;
  };
  EXPECT_EQ(hashes(1), hashes(2));
  EXPECT_EQ(hashes(1), hashes(3));
}

TEST_P(Random, OffsetsCountBlocks) {
  Generator g(5, device_);
  const auto used = [&](const Draw& draw) {
    const uint64_t before = g.state().offset;
    draw(g);
    return g.state().offset - before;
  };
  EXPECT_EQ(used([](const Generator& o) { return rand({8}, {.generator = o}); }), 2u);
  EXPECT_EQ(used([](const Generator& o) { return rand({9}, {.generator = o}); }), 3u);
  EXPECT_EQ(
      used([](const Generator& o) { return rand({9}, {.dtype = Dtype::f64, .generator = o}); }),
      5u);
  EXPECT_EQ(used([](const Generator& o) { return randn({9}, {.generator = o}); }), 5u);
  EXPECT_EQ(
      used([](const Generator& o) { return randn({9}, {.dtype = Dtype::f64, .generator = o}); }),
      9u);
  EXPECT_EQ(used([](const Generator& o) { return rand({0}, {.generator = o}); }), 0u);
  EXPECT_EQ(used([](const Generator& o) { return randperm(9, {.generator = o}); }), 5u);
  EXPECT_EQ(g.state().seed, 5u);
}

TEST_P(Random, StateCopiesAndSeeds) {
  Generator g(11, device_);
  EXPECT_EQ(g.device().name(), device_.name());
  const uint64_t first = hash_of(rand({10}, {.generator = g}));
  const Generator::State middle = g.state();
  const uint64_t second = hash_of(rand({10}, {.generator = g}));
  EXPECT_NE(first, second);
  g.set_state(middle);
  EXPECT_EQ(hash_of(rand({10}, {.generator = g})), second);
  g.manual_seed(11);
  EXPECT_EQ(g.state().offset, 0u);
  const Generator shared = g;  // copies share the state
  EXPECT_EQ(hash_of(rand({10}, {.generator = shared})), first);
  EXPECT_EQ(hash_of(rand({10}, {.generator = g})), second);
  EXPECT_NE(hash_of(rand({10}, {.generator = Generator(12, device_)})), first);
  const Generator largest(UINT64_MAX, device_);
  EXPECT_EQ(largest.state().seed, UINT64_MAX);
}

TEST_P(Random, DefaultGeneratorsAndManualSeed) {
  manual_seed(3);
  const uint64_t a = hash_of(rand({100}));
  const uint64_t b = hash_of(rand({100}));
  manual_seed(3);
  EXPECT_EQ(hash_of(rand({100})), a);
  EXPECT_EQ(hash_of(rand({100})), b);
  EXPECT_EQ(hash_of(rand({100}, {.generator = Generator(3, device_)})), a);
  EXPECT_EQ(default_generator(device_).state().seed, 3u);
}

TEST_P(Random, GuardsMakeParallelWorkIndependent) {
  manual_seed(3);
  const Generator mine(77, device_);
  const uint64_t alone = hash_of(rand({100}, {.generator = Generator(77, device_)}));
  {
    const GeneratorGuard guard(mine);
    EXPECT_EQ(hash_of(rand({100})), alone);
    {
      const GeneratorGuard inner(Generator(78, device_));
      EXPECT_NE(hash_of(rand({100})), alone);
    }
    EXPECT_EQ(default_generator(device_).state().offset, mine.state().offset);
    std::thread([&] { EXPECT_NE(hash_of(rand({100})), alone); }).join();  // of this thread alone
  }
  EXPECT_EQ(default_generator(device_).state().seed, 3u);
}

TEST(RandomGuards, OfTwoDevicesHoldAtOnce) {
  const Device cpu("cpu"), reference("reference");
  const Generator on_cpu(5, cpu), on_reference(6, reference);
  const GeneratorGuard first(on_cpu);
  {
    const GeneratorGuard second(on_reference);
    EXPECT_EQ(default_generator(cpu).state().seed, 5u);
    EXPECT_EQ(default_generator(reference).state().seed, 6u);
  }
  EXPECT_EQ(default_generator(cpu).state().seed, 5u);
  EXPECT_THROW(rand({2}, {.device = reference, .generator = on_cpu}), DeviceError);
}

TEST_P(Random, ThreadsWithOwnGeneratorsGetTheBitsTheyGetAlone) {
  std::vector<uint64_t> alone(4), together(4);
  const auto work = [&](int i, std::vector<uint64_t>& out) {
    const DeviceGuard device(device_);
    const GeneratorGuard guard(Generator(static_cast<uint64_t>(i), device_));
    uint64_t h = 0;
    for (int k = 0; k < 20; ++k) h = h * 31 + hash_of(add(randn({257}), dropout(rand({257}), 0.5)));
    out[static_cast<size_t>(i)] = h;
  };
  for (int i = 0; i < 4; ++i) work(i, alone);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(work, i, std::ref(together));
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(alone, together);
}

// ---- what the numbers look like

struct Moments {
  double mean = 0, variance = 0, low = INFINITY, high = -INFINITY;
};
Moments moments(const Tensor& t) {
  const std::vector<double> v = values(t);
  Moments m;
  for (double x : v) {
    m.mean += x / static_cast<double>(v.size());
    m.low = std::min(m.low, x);
    m.high = std::max(m.high, x);
  }
  for (double x : v) m.variance += (x - m.mean) * (x - m.mean) / static_cast<double>(v.size());
  return m;
}

TEST_P(Random, Moments) {
  const Generator g(1, device_);
  const RandomOptions o{.generator = g};
  const Moments u = moments(uniform({100000}, -1, 3, o));
  EXPECT_NEAR(u.mean, 1, 0.02);
  EXPECT_NEAR(u.variance, 16.0 / 12, 0.02);
  EXPECT_GE(u.low, -1);
  EXPECT_LT(u.high, 3);
  for (Dtype d : {Dtype::f32, Dtype::f64}) {
    const Tensor z = normal({100000}, 2, 0.5, {.dtype = d, .generator = g});
    const Moments n = moments(z);
    EXPECT_NEAR(n.mean, 2, 0.01);
    EXPECT_NEAR(n.variance, 0.25, 0.005);
    EXPECT_NEAR(mean(pow(div(sub(z.to(Dtype::f64), 2), 0.5), 4.0)).item(), 3, 0.1);  // kurtosis
    EXPECT_NEAR(mean(pow(div(sub(z.to(Dtype::f64), 2), 0.5), 3.0)).item(), 0, 0.05);
  }
  EXPECT_NEAR(moments(bernoulli({100000}, 0.2, o)).mean, 0.2, 0.01);
  const Moments r = moments(randint(-3, 4, {70000}, o));
  EXPECT_NEAR(r.mean, 0, 0.03);
  EXPECT_EQ(r.low, -3);
  EXPECT_EQ(r.high, 3);
  const Tensor dropped = dropout(ones({100000}), 0.25, true, g);
  EXPECT_NEAR(moments(dropped).mean, 1, 0.02);
  EXPECT_NEAR(moments(dropped).high, 1 / 0.75, 1e-6);
}

TEST_P(Random, RandpermIsAPermutation) {
  const Generator g(1, device_);
  std::vector<int64_t> p = randperm(5000, {.generator = g}).to_vector<int64_t>();
  EXPECT_FALSE(std::is_sorted(p.begin(), p.end()));
  std::sort(p.begin(), p.end());
  std::vector<int64_t> whole(5000);
  std::iota(whole.begin(), whole.end(), 0);
  EXPECT_EQ(p, whole);
}

TEST_P(Random, DropoutMasksAndScalesTheGradient) {
  const Generator g(1, device_);
  Tensor x = ones({1000});
  x.requires_grad_();
  const Tensor y = dropout(x, 0.25, true, g);
  sum(y).backward();
  EXPECT_EQ(values(x.grad()), values(y));  // x is 1: the gradient is mask and scale
  EXPECT_TRUE(dropout(x, 0.25, false).shares_storage(x));
}

}  // namespace
}  // namespace tinytorch::testing
