// Memory that runs out at every possible place of a training step: each failing `new`, and each
// refused block of the backend, gives std::bad_alloc or a typed error; nothing leaks, and the next
// step computes what it would have computed.
#include <cstdlib>
#include <functional>
#include <new>

#include <tinytorch/profiler.h>

#include "tests/late/late_control.h"
#include "tests/testing.h"

namespace {

// The k-th allocation of this thread from now on fails; negative: none does.
thread_local int64_t countdown = -1;
thread_local bool fired = false;

bool refuse() {
  if (countdown < 0 || countdown-- > 0) return false;
  fired = true;
  return true;
}
void* take(size_t bytes, size_t alignment) {
  if (refuse()) return nullptr;
  if (alignment <= alignof(std::max_align_t)) return std::malloc(bytes ? bytes : 1);
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}
void* take_or_throw(size_t bytes, size_t alignment) {
  if (void* p = take(bytes, alignment)) return p;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(size_t n) { return take_or_throw(n, 1); }
void* operator new[](size_t n) { return take_or_throw(n, 1); }
void* operator new(size_t n, std::align_val_t a) {
  return take_or_throw(n, static_cast<size_t>(a));
}
void* operator new[](size_t n, std::align_val_t a) {
  return take_or_throw(n, static_cast<size_t>(a));
}
void* operator new(size_t n, const std::nothrow_t&) noexcept { return take(n, 1); }
void* operator new[](size_t n, const std::nothrow_t&) noexcept { return take(n, 1); }
void* operator new(size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return take(n, static_cast<size_t>(a));
}
void* operator new[](size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return take(n, static_cast<size_t>(a));
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t, std::align_val_t) noexcept { std::free(p); }

namespace tinytorch::testing {
namespace {

// A small network with every kind of layer, trained by a plain step.
class Trainer {
 public:
  explicit Trainer(const Device& device) : generator_(3, device) {
    const auto parameter = [&](const Shape& s) {
      Tensor p = mul(randn(s, {.generator = generator_}), 0.3);
      return p.requires_grad_();
    };
    image_ = randn({4, 2, 6, 6}, {.generator = generator_});
    target_ = randint(0, 3, {4}, {.generator = generator_});
    words_ = randint(0, 5, {4, 2}, {.generator = generator_});
    parameters_ = {parameter({3, 2, 3, 3}), parameter({3}),     parameter({3}), parameter({3}),
                   parameter({5, 4}),       parameter({8, 35}), parameter({8}), parameter({8, 3})};
    for (Tensor& p : parameters_) p = p.detach().requires_grad_();
  }

  double loss(bool learn) {
    for (Tensor& p : parameters_) p.zero_grad();
    generator_.set_state({3, 1000});
    const Tensor mean = zeros({3}), var = ones({3});
    Tensor h = conv2d(image_, parameters_[0], parameters_[1], {.padding = {1, 1}});
    h = max_pool2d(relu(batch_norm(h, mean, var, parameters_[2], parameters_[3])), {2, 2});
    h = cat({flatten(h, 1), flatten(embedding(parameters_[4], words_), 1)}, 1);
    h = dropout(linear(h, parameters_[5], parameters_[6], Activation::tanh), 0.25, true,
                generator_);
    const Tensor logits = matmul(softmax(h, 1), parameters_[7]);
    const Tensor total =
        add(cross_entropy(logits, target_), mul(sum(square(logits.slice(1, 0, 3, 2))), 0.01));
    total.backward();
    if (learn) {
      const NoGrad off;
      for (Tensor& p : parameters_) p.add_(p.grad(), -0.05);
    }
    return total.item();
  }
  void forget() {
    for (Tensor& p : parameters_) p.zero_grad();
  }

 private:
  Generator generator_;
  Tensor image_, target_, words_;
  std::vector<Tensor> parameters_;
};

class AllocationFailure : public OnDevice {};
TT_ON_EVERY_DEVICE(AllocationFailure);

enum class Outcome { done, failed };

// Runs f; bad_alloc and the library's errors are expected, anything else is not.
template <class F>
Outcome attempt(F&& f) {
  try {
    f();
    countdown = -1;
    return Outcome::done;
  } catch (const std::bad_alloc&) {
  } catch (const Error&) {
  }
  countdown = -1;
  return Outcome::failed;
}

TEST_P(AllocationFailure, OfEveryNew) {
  for (bool fused : {true, false}) {
    const FusedGuard guard(fused);
    Trainer trainer(device_);
    const double want = trainer.loss(false);
    trainer.forget();
    device_.synchronize();
    const int64_t live = memory_stats(device_).in_use;
    int64_t k = 0;
    for (;; ++k) {
      fired = false;
      countdown = k;
      const Outcome outcome = attempt([&] { trainer.loss(false); });
      trainer.forget();
      device_.synchronize();
      ASSERT_EQ(memory_stats(device_).in_use, live) << "allocation " << k;
      ASSERT_TRUE(grad_enabled()) << "allocation " << k;
      if (!fired) break;
      // A refused allocation may be made good (a cache that could not grow); then the step is done.
      if (outcome == Outcome::failed || k % 16 == 0) {
        ASSERT_EQ(trainer.loss(false), want) << "after allocation " << k;
      }
      trainer.forget();
    }
    RecordProperty(fused ? "fused" : "composed", static_cast<int>(k));
  }
}

TEST_P(AllocationFailure, OfEveryNewWithAnObserver) {
  Trainer trainer(device_);
  trainer.loss(false);
  for (int64_t k = 0; k < 400; k += 3) {
    EventLog log, bounded(0);
    const Subscription a(log), b(bounded);
    const ModuleScope scope("step");
    fired = false;
    countdown = k;
    attempt([&] { trainer.loss(false); });
    if (!fired) break;
  }
}

TEST_P(AllocationFailure, OfEveryNewWhileTensorsAreMade) {
  const Tensor x = ones({2, 3});
  const std::vector<std::function<void()>> calls = {
      [] {
        tensor({1.f, 2.f});
      },
      [] { Generator(4); },
      [&] { x.str(); },
      [] { create_stream(Device()); },
      [] { Device("cpu"); },
      [] { from_blob(nullptr, {0}, Dtype::f32, [] {}); },
      [&] { add(x, ones({4})); },
      [&] { x.to_vector<double>(); },
      [] { Device("no such device"); },
      [] { backend_status("nothing"); }};
  for (const auto& call : calls) {
    attempt(call);
    const int64_t live = memory_stats(device_).in_use;
    for (int64_t k = 0; k < 200; ++k) {
      fired = false;
      countdown = k;
      attempt(call);
      device_.synchronize();
      EXPECT_EQ(memory_stats(device_).in_use, live);
      if (!fired) break;
    }
  }
}

// The device refuses blocks: by a limit that is raised step by step, and, where the test backend
// offers it, one block after the other.
TEST_P(AllocationFailure, OfTheBackendByALimit) {
  Trainer trainer(device_);
  const double want = trainer.loss(false);
  trainer.forget();
  device_.synchronize();
  const int64_t live = memory_stats(device_).in_use;
  int failures = 0;
  for (size_t extra = 0;; extra += 2048) {
    trim_memory(device_);
    set_memory_limit(device_, static_cast<size_t>(memory_stats(device_).reserved) + extra);
    const Outcome outcome = attempt([&] { EXPECT_EQ(trainer.loss(false), want); });
    set_memory_limit(device_, 0);
    trainer.forget();
    device_.synchronize();
    ASSERT_EQ(memory_stats(device_).in_use, live) << "limit of " << extra << " bytes";
    if (outcome == Outcome::done) break;
    ++failures;
    if (failures % 8 == 0) {
      ASSERT_EQ(trainer.loss(false), want);
    }
    trainer.forget();
    ASSERT_LT(extra, size_t{64} << 20);
  }
  EXPECT_GT(failures, 0);
}

TEST_P(AllocationFailure, OutOfMemorySaysWhatWasAsked) {
  trim_memory(device_);
  const Tensor held = ones({1000});
  set_memory_limit(device_, static_cast<size_t>(memory_stats(device_).reserved) + (1 << 20));
  expect_error<OutOfMemoryError>([] { zeros({64 << 20}); }, {"268435456", device_.name()});
  set_memory_limit(device_, 0);
  EXPECT_EQ(sum(zeros({1 << 20})).item(), 0);
  EXPECT_EQ(sum(held).item(), 1000);
}

TEST_P(AllocationFailure, OfEveryBlockOfTheTestBackend) {
  if (device_.backend() != "late")
    GTEST_SKIP() << "only the test backend can refuse a chosen block";
  const TinytorchLateControl* control = late::late_control();
  ASSERT_TRUE(control);
  Trainer trainer(device_);
  const double want = trainer.loss(false);
  trainer.forget();
  device_.synchronize();
  const int64_t live = memory_stats(device_).in_use;
  for (uint64_t k = 1;; ++k) {
    control->reset_counters();
    control->fail_allocation(k);
    const Outcome outcome = attempt([&] { trainer.loss(false); });
    control->fail_allocation(0);
    trainer.forget();
    device_.synchronize();
    ASSERT_EQ(memory_stats(device_).in_use, live) << "block " << k;
    if (outcome == Outcome::done) break;
    ASSERT_EQ(trainer.loss(false), want);
    trainer.forget();
  }
}

}  // namespace
}  // namespace tinytorch::testing
