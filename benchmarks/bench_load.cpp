// Training and inference under load: every client is a thread with a model and a stream of its own
// that takes requests one after the other. First one client alone, then all of them; latencies, and
// live bytes and resident memory over time. JSON lines: phases "train" and "infer" have the figures
// (efficiency is throughput(n) / (n throughput(1))), phase "memory" the samples in time of each.
#include <tinytorch/tinytorch.h>

#include <atomic>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <iostream>
#include <mutex>
#include <thread>

#include "benchmarks/arguments.h"
#include "benchmarks/measure.h"
#include "benchmarks/workloads.h"

namespace {

using namespace tinytorch;

struct Client {
  std::shared_ptr<Stream> stream;
  bench::TrainingTask task;
  std::vector<double> latencies;  // seconds
  std::exception_ptr error;

  void request(bool training, const Device& device) {
    const double start = bench::now();
    if (training) {
      task.step();
    } else {
      const NoGrad guard;
      (*task.net)(task.x);
    }
    device.synchronize();
    latencies.push_back(bench::now() - start);
  }
};

struct Sample {
  double seconds;
  MemoryStats memory;
  int64_t resident;
};

// Looks at memory about a hundred times in `seconds`, until it ends, and once more then.
class Sampler {
 public:
  Sampler(const Device& device, double seconds)
      : device_(device), start_(bench::now()), thread_([this, seconds] {
          const std::chrono::duration<double> pause(std::clamp(seconds / 100, 0.001, 1.0));
          std::unique_lock lock(mutex_);
          do samples_.push_back(now());
          while (!wake_.wait_for(lock, pause, [this] { return done_; }));
        }) {}
  std::vector<Sample> finish() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    wake_.notify_one();
    thread_.join();
    samples_.push_back(now());
    return samples_;
  }

 private:
  Sample now() const {
    return {bench::now() - start_, memory_stats(device_), bench::resident_bytes()};
  }

  Device device_;
  double start_;
  std::vector<Sample> samples_;
  bool done_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;
};

struct Load {
  int64_t requests;  // at most, of all clients
  double seconds;    // at most
};
struct Result {
  std::vector<double> latencies;  // sorted
  double seconds = 0;
  int64_t live_before = 0;
  std::vector<Sample> samples;

  double throughput() const { return static_cast<double>(latencies.size()) / seconds; }
};

Result serve(std::vector<Client>& clients, size_t count, bool training, const Load& load,
             const Device& device) {
  Result result;
  result.live_before = memory_stats(device).in_use;
  reset_peak_memory(device);
  std::atomic<int64_t> left{load.requests};
  std::vector<std::thread> threads;
  Sampler sampler(device, load.seconds);
  const double start = bench::now();
  for (size_t i = 0; i < count; ++i)
    threads.emplace_back([&, &client = clients[i]] {
      try {
        client.latencies.clear();
        const DeviceGuard on(device);
        const StreamGuard stream(device, *client.stream);
        while (left.fetch_sub(1) > 0 && bench::now() - start < load.seconds)
          client.request(training, device);
      } catch (...) {
        client.error = std::current_exception();
      }
    });
  for (std::thread& thread : threads) thread.join();
  result.seconds = bench::now() - start;
  result.samples = sampler.finish();
  for (size_t i = 0; i < count; ++i) {
    if (clients[i].error) std::rethrow_exception(clients[i].error);
    result.latencies.insert(result.latencies.end(), clients[i].latencies.begin(),
                            clients[i].latencies.end());
  }
  std::sort(result.latencies.begin(), result.latencies.end());
  return result;
}

std::vector<Client> make_clients(const bench::TrainingWorkload& workload, const Device& device,
                                 int64_t count) {
  std::vector<Client> clients(static_cast<size_t>(count));
  for (Client& client : clients) {
    client.stream = create_stream(device);
    const StreamGuard stream(device, *client.stream);
    client.task = workload.make();
    for (int i = 0; i < 2; ++i) client.request(true, device);  // state and caches
  }
  return clients;
}

struct Setting {
  const bench::TrainingWorkload& workload;
  std::string device;
};

bench::JsonLine line(const Setting& setting, const char* phase) {
  bench::JsonLine out;
  out.text("workload", setting.workload.name).text("phase", phase);
  return out.text("device", setting.device);
}

std::string summary(const Setting& setting, const char* phase, size_t threads, const Result& result,
                    double efficiency) {
  const MemoryStats& memory = result.samples.back().memory;
  bench::JsonLine out = line(setting, phase);
  out.number("threads", static_cast<double>(threads), "%.0f")
      .number("requests", static_cast<double>(result.latencies.size()), "%.0f")
      .number("seconds", result.seconds)
      .number("requests_per_second", result.throughput())
      .number("samples_per_second",
              result.throughput() * static_cast<double>(setting.workload.batch))
      .number("p50_s", bench::quantile(result.latencies, 0.5))
      .number("p95_s", bench::quantile(result.latencies, 0.95))
      .number("p99_s", bench::quantile(result.latencies, 0.99))
      .number("efficiency", efficiency);
  out.bytes("live_bytes", memory.in_use);
  out.bytes("live_growth_bytes", memory.in_use - result.live_before);
  out.bytes("peak_bytes", memory.peak);
  out.bytes("reserved_bytes", memory.peak_reserved);
  out.bytes("resident_bytes", result.samples.back().resident);
  return out.str();
}

std::string memory_line(const Setting& setting, const char* during, size_t threads,
                        const Sample& sample) {
  bench::JsonLine out = line(setting, "memory");
  out.text("during", during).number("threads", static_cast<double>(threads), "%.0f");
  out.number("seconds", sample.seconds);
  out.bytes("live_bytes", sample.memory.in_use);
  out.bytes("reserved_bytes", sample.memory.reserved);
  out.bytes("resident_bytes", sample.resident);
  return out.str();
}

int run(const bench::Arguments& arguments) {
  const Device device(arguments.text("--device"));
  const bench::TrainingWorkload workload = bench::training_workload(arguments.text("--workload"));
  const int64_t count = arguments.number("--threads", 1, 256);
  const Load load{arguments.number("--requests", 1, int64_t{1} << 40),
                  arguments.seconds("--seconds")};
  const std::string path = arguments.text("--json");
  std::ofstream file(path, std::ios::trunc);
  if (!path.empty() && !file) throw ValueError("[--json] cannot write '" + path + "'");

  set_num_threads(1);  // the clients are the load
  const DeviceGuard on(device);
  manual_seed(1);
  std::vector<Client> clients = make_clients(workload, device, count);
  const Setting setting{workload, arguments.text("--device")};
  const auto report = [&](const std::string& text) {
    (path.empty() ? std::cout : file) << text << '\n';
  };
  for (const bool training : {true, false}) {
    const char* phase = training ? "train" : "infer";
    double alone = 0;
    for (const size_t threads : {size_t{1}, clients.size()}) {
      const Result result = serve(clients, threads, training, load, device);
      if (threads == 1) alone = result.throughput();
      report(summary(setting, phase, threads, result,
                     result.throughput() / (static_cast<double>(threads) * alone)));
      for (const Sample& sample : result.samples)
        report(memory_line(setting, phase, threads, sample));
      if (clients.size() == 1) break;
    }
  }
  if (!path.empty() && !file.flush()) throw IoError("[--json] cannot write '" + path + "'");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program(
      argc, argv,
      "training and inference under load from several threads, one model each; JSON lines.\n"
      "Exit status: 0; 1 if a request failed; 2 for bad arguments.",
      {bench::kDeviceFlag,
       {"--workload", "NAME", "mlp_large_b32_sgd", "model and batch of a request"},
       {"--threads", "N", "2", "clients; one alone is measured first"},
       {"--requests", "N", "1000", "at most so many in each measurement"},
       {"--seconds", "S", "5", "at most so long in each measurement"},
       bench::kJsonFlag},
      run);
}
