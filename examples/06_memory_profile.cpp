// Where time and memory go: counters of a device, a table of ops, and a trace to look at in a
// browser.
//   06_memory_profile [trace.json]     open the file with https://ui.perfetto.dev
#include <tinytorch/tt.h>

#include <algorithm>
#include <array>
#include <iomanip>
#include <iostream>

namespace {

double kib(int64_t bytes) { return static_cast<double>(bytes) / 1024; }

// An observer of one's own: live bytes by what they are for. on_event may run on any thread and
// must not call the library.
class ByCategory : public tt::Observer {
 public:
  void on_event(const tt::Event& e) noexcept override {
    const auto category = static_cast<size_t>(e.category);
    if (e.kind == tt::EventKind::alloc)
      taken_[category].fetch_add(e.bytes, std::memory_order_relaxed);
  }
  void print() const {
    for (size_t i = 0; i < taken_.size(); ++i)
      if (const int64_t bytes = taken_[i]; bytes > 0)
        std::cout << "  " << std::setw(16) << std::left << tt::name_of(static_cast<tt::Category>(i))
                  << kib(bytes) << " KiB\n";
  }

 private:
  std::array<std::atomic<int64_t>, tt::kCategoryCount> taken_{};
};

}  // namespace

int main(int argc, char** argv) {
  const tt::Device device = tt::Device::best();
  const tt::DeviceGuard guard(device);
  tt::manual_seed(1);
  tt::Sequential net{tt::Linear(64, 256), tt::ReLU(), tt::Linear(256, 256), tt::ReLU(),
                     tt::Linear(256, 10)};
  tt::Adam optimizer(net.parameters(), 1e-3);
  tt::CrossEntropyLoss loss;
  const tt::Tensor x = tt::randn({128, 64}), y = tt::randint(0, 10, {128});
  const auto step = [&] {
    optimizer.zero_grad();
    loss(net(x), y).backward();
    optimizer.step();
  };

  // 1. Counters. In the first step the optimizer makes its state; later steps reuse what was freed
  // before.
  step();
  device.synchronize();
  const tt::MemoryStats before = tt::memory_stats(device);
  tt::reset_peak_memory(device);
  step();
  device.synchronize();
  const tt::MemoryStats after = tt::memory_stats(device);
  std::cout << std::fixed << std::setprecision(1) << "second step: live " << kib(after.in_use)
            << " KiB, peak " << kib(after.peak) << " KiB, " << after.allocs - before.allocs
            << " allocations, " << after.raw_allocs - before.raw_allocs
            << " of them from the system\n\n";

  // 2. Observers see every op, copy and allocation while a subscription to them lives.
  tt::OpTable table;
  tt::ChromeTrace trace;
  ByCategory categories;
  {
    const tt::Subscription to_table(table), to_trace(trace), to_categories(categories);
    for (int i = 0; i < 10; ++i) step();
    device.synchronize();
  }
  std::cout << table.str() << "\nallocated in ten steps, by purpose:\n";
  categories.print();

  if (argc > 1) {
    trace.write(argv[1]);
    std::cout << "\ntrace written to " << argv[1] << '\n';
  }
  return table.rows().empty() ? 1 : 0;
}
