// Where a program's time and memory go, as plain data that prints, compares and travels as JSON:
//   tt::Profiler profiler;
//   for (...) { train(); profiler.step(); }
//   std::cout << profiler.stop().str();
// Start the profiler before the model is made: what lives already is counted, but blocks below
// 16 KiB then stand together as category `other`, and no block from before has an op. A loader's
// or your own batches count as `input` under a CategoryGuard(Category::input).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tinytorch/device.h>
#include <tinytorch/memory.h>
#include <tinytorch/profiler.h>

namespace tinytorch {

// Bytes as asked for (before rounding), at index static_cast<size_t>(Category).
using CategoryBytes = std::array<int64_t, kCategoryCount>;
TT_API int64_t total(const CategoryBytes& bytes);

// The ops of one name, phase, module path and forward op. Times are sums over all calls.
struct OpProfile {
  std::string op, module;  // module: of a backward op the forward op's; "" outside of modules
  std::string forward_op;  // of a backward op: the op whose gradient it computes; else ""
  Phase phase = Phase::forward;
  int64_t calls = 0;
  double host_seconds = 0;      // from launch to return
  double device_seconds = 0;    // of asynchronous devices; else 0
  double flops = 0, bytes = 0;  // by the ops' own cost functions; bytes read and written

  // What the op took: on the device where that is known, else on the host.
  double seconds() const { return device_seconds > 0 ? device_seconds : host_seconds; }
};

// Best rates that a device reached in short loops of matmul (FLOP/s) and add (bytes/s), f32.
struct Roofline {
  double flops_per_second = 0, bytes_per_second = 0;  // 0: not measured
};
// Runs for some tenths of a second and takes up to 200 MB of the device, or what it has.
TT_API Roofline measure_roofline(const Device& device);
// Least time that the roofline allows over the time taken, 0 to about 1; 0 where either is unknown.
TT_API double achieved_share(const OpProfile& op, const Roofline& roofline);

// Op indices count the ops of one device from 0 in the order in which they end. What happens
// between two ops (the next one's outputs are allocated then) has the index of the next. An index
// means the same on two devices as long as the same ops ran in the same order: one that has no
// fused kernel for an op runs several in its place, and counts ahead from there.
struct MemoryPoint {
  int64_t op = 0;
  double seconds = 0;  // since the profile began
  CategoryBytes live{};
  int64_t reserved = 0;  // taken from the system
};

// A block that lived at the peak.
struct LiveBlock {
  Category category = Category::unknown;
  Phase phase = Phase::forward;  // of its allocation
  std::string op;                // that wrote it first; "" for a block from before the profile
  std::string module;
  int64_t bytes = 0;
  int64_t born = -1;   // op index of its allocation; -1: before the profile
  int64_t freed = -1;  // op index at which it was freed; -1: alive at the end
};

// Blocks of one op, module path and category of which more bytes were alive at the end of the last
// step than at that of the first.
struct Growth {
  std::string op;  // that wrote them first
  std::string module;
  Category category = Category::unknown;
  int64_t blocks = 0, bytes = 0;  // how many more; blocks is 0 where they grew in size
  double bytes_per_step = 0;
};

struct TT_API MemoryProfile {
  // Every change of live bytes, in order; of long runs at most 4096 points, each the highest of
  // its neighbours, so that peaks stay.
  std::vector<MemoryPoint> timeline;
  int64_t peak_bytes = 0, peak_op = 0;   // most live bytes, asked for, and the op index then
  double peak_seconds = 0;               // since the profile began
  CategoryBytes at_peak{};               // sums to peak_bytes
  std::vector<LiveBlock> alive_at_peak;  // largest first; sums to peak_bytes
  int64_t unknown_bytes = 0;  // at most, of blocks that no category or event accounts for: 0
  // The peak of tensors alone, by their shapes: numel times element size, without workspace of
  // kernels. It may lie at another op than peak_op. predict_memory says both before a run.
  int64_t tensor_peak_bytes = 0;
  CategoryBytes tensors_at_peak{};

  MemoryStats before, after;    // of the allocator, when the profile began and ended
  int64_t peak_reserved = 0;    // most bytes taken from the system while it ran
  double allocate_seconds = 0;  // in the allocator, on the host
  // Over all steps but the first, which makes state and fills caches (or over it, if it is alone).
  double allocs_per_step = 0, system_calls_per_step = 0;
  double leak_bytes_per_step = 0;  // slope of in_use from the end of the first step on
  std::vector<Growth> grown;       // what makes it, largest first; empty below two steps

  double hit_rate() const;         // of allocations served without a call to the system, 0 to 1
  double fragmentation() const;    // share of what is reserved at the end and not in use, 0 to 1
  int64_t rounding_bytes() const;  // given - in_use at the end
};

struct TT_API DeviceProfile {
  std::string device;          // "cpu:0"
  std::vector<OpProfile> ops;  // most time first
  MemoryProfile memory;
  int64_t copies = 0, copy_bytes = 0;  // between host and device
  double copy_seconds = 0;
  Roofline roofline;

  std::array<double, 3> phase_seconds() const;  // of its ops, by Phase
};

struct TT_API Profile {
  std::vector<DeviceProfile> devices;   // that did anything, or had live bytes
  std::vector<double> step_seconds;     // wall time from step() to step(); ask the device to
                                        // synchronize() before, if it runs behind the host
  double seconds = 0;                   // of the whole profile
  int64_t events = 0, lost_events = 0;  // lost: no memory and no file to keep them in
  double events_per_step = 0;
  // What profiling costs in this process: an event, and without a profiler the look whether there
  // is one, which each op and each block takes.
  double ns_per_event = 0, ns_without = 0;
  int64_t outside_bytes = 0;  // resident at the end and not reserved by a device in host memory:
                              // program, libraries, and what they take behind our back
  std::map<std::string, std::string> settings;  // threads, precision, ...; add your own

  // By name, "cpu" or "cpu:0". ValueError if it is not there.
  const DeviceProfile& device(std::string_view name) const;
  double median_step_seconds() const;  // of all steps but the first; 0 without steps
  double overhead_share() const;       // events_per_step * ns_per_event of a median step

  std::string str() const;  // tables for people
  std::string json() const;
  static Profile from_json(std::string_view text);  // of json(); IoError
  void write_json(const std::string& path) const;   // IoError
  // One row per entry of `ops`, and one per point of `timeline`, of all devices. IoError.
  void write_csv(const std::string& ops_path, const std::string& timeline_path) const;
};

struct ProfilerOptions {
  size_t most_bytes = size_t{64} << 20;  // of events in memory; more go to a temporary file
  bool roofline = false;                 // measure_roofline of every device at the end
};

// Records every event of the process from its construction to stop(). Profilers may nest and
// overlap; each sees everything. ModuleScope names parts of a program.
class TT_API Profiler {
 public:
  explicit Profiler(const ProfilerOptions& options = {});
  ~Profiler();  // without stop(): drops what was recorded
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  void step();     // ends a step; the first began with the profiler
  Profile stop();  // waits for the devices; ValueError the second time
  // After stop(): all events in Chrome's trace format, which https://ui.perfetto.dev opens, with
  // module paths, phases, live bytes by category, and what ran on the device where its times are
  // known (drawn one after the other, each no earlier than its launch). ValueError, IoError.
  void write_chrome_trace(const std::string& path) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// ---- comparing

// Two profiles of one program: of two devices, commits or settings.
struct TT_API ProfileDifference {
  struct Memory {
    // A category at the peak, or "rounding" and "cache" of the allocator at the end.
    std::string category;
    int64_t a = 0, b = 0;
    // Why they differ: "peak at another moment: backward against optimizer" where the side with
    // less has as much at another time; else from its blocks that have no equal on the other side:
    // "workspace of matmul", "copy by contiguous", "saved by max_pool2d", "element size of relu",
    // ... ; of the allocator what its bytes are made of. Up to three, with their bytes; "" if they
    // do not differ.
    std::string cause;
  };
  struct Op {
    std::string op;
    Phase phase = Phase::forward;
    int64_t calls_a = 0, calls_b = 0;
    double seconds_a = 0, seconds_b = 0, bytes_a = 0, bytes_b = 0;
  };
  std::string name_a, name_b;
  int64_t peak_a = 0, peak_b = 0;
  std::vector<Memory> memory;  // rows where a or b is not 0
  std::vector<Op> ops;         // largest difference of seconds first

  std::string str() const;
  std::string json() const;
};
// The names stand in columns and causes; without them those of the devices.
TT_API ProfileDifference compare(const DeviceProfile& a, const DeviceProfile& b,
                                 std::string_view name_a = {}, std::string_view name_b = {});

// ---- budgets

// Numbers of a profile by name: peak_bytes, tensor_peak_bytes, reserved_bytes (peak),
// unknown_bytes; backward_per_forward and optimizer_share (of op seconds) if there were such ops;
// if there were steps, allocs_per_step, system_calls_per_step, leak_bytes_per_step, overhead_share
// and step_seconds (median), and with a baseline that has steps step_ratio (to its median step).
using Metrics = std::map<std::string, double>;
TT_API Metrics metrics(const Profile& profile, std::string_view device,
                       const Profile* baseline = nullptr);

// Upper limits by name of metric.
using Budget = Metrics;
// {"name": {"peak_bytes": 20000000, ...}, ...}. IoError for a file that is not like that.
TT_API std::map<std::string, Budget> read_budgets(const std::string& path);
// One line for each limit that is exceeded. ValueError for a limit without such a metric.
TT_API std::vector<std::string> check_budget(const Metrics& metrics, const Budget& budget);

// ---- growth with the batch

// bytes = a + b * batch, by category.
struct TT_API MemoryFit {
  std::array<double, kCategoryCount> a{}, b{};
  CategoryBytes predict(int64_t batch) const;        // ValueError below 0
  int64_t largest_batch(int64_t limit_bytes) const;  // 0: none fits; INT64_MAX: any
};
// Least squares over (batch, bytes at the peak). ValueError for fewer than two different batches.
TT_API MemoryFit fit_memory(const std::vector<std::pair<int64_t, CategoryBytes>>& samples);

}  // namespace tinytorch
