// Bad values (found by kernels), undefined tensors and mixed devices: a typed error that says what
// and where; the device stays usable.
#include <algorithm>
#include <cmath>
#include <functional>

#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

class ValueErrors : public OnDevice {};
TT_ON_EVERY_DEVICE(ValueErrors);

Tensor index(std::initializer_list<int64_t> v) { return tensor(std::vector<int64_t>(v)); }

struct Bad {
  const char* op;
  std::vector<std::string> parts;  // position and value
  std::function<Tensor()> call;
};

TEST_P(ValueErrors, IndexOutOfRange) {
  const Tensor x = ones({3, 2}), logits = ones({3, 4});
  const std::vector<Bad> list = {
      {"index_select",
       {"2", "7"},
       [&] {
         return index_select(x, 0, index({0, 1, 7}));
       }},
      {"index_select",
       {"0", "-1"},
       [&] {
         return index_select(x, 1, index({-1, 1}));
       }},
      {"gather",
       {"1", "3"},
       [&] {
         return gather(x, 0, index({0, 3}).reshape({1, 2}));
       }},
      {"gather",
       {"0", "-9"},
       [&] {
         return gather(x, 0, index({-9, 3}).reshape({1, 2}));
       }},
      {"index_add",
       {"1", "5"},
       [&] {
         return index_add(x, 0, index({0, 5}), ones({2, 2}));
       }},
      {"scatter_add",
       {"3", "4"},
       [&] {
         return scatter_add(x, 0, index({0, 1, 2, 4}).reshape({2, 2}), ones({2, 2}));
       }},
      {"embedding",
       {"1", "3"},
       [&] {
         return embedding(x, index({2, 3}));
       }},
      {"one_hot",
       {"2", "4"},
       [&] {
         return one_hot(index({0, 1, 4}), 4);
       }},
      {"cross_entropy",
       {"1", "4"},
       [&] {
         return cross_entropy(logits, index({0, 4, 1}));
       }},
      {"cross_entropy",
       {"2", "-1"},
       [&] {
         return cross_entropy(logits, index({0, 3, -1}), Reduction::none);
       }},
      {"floor_divide",
       {"1", "0"},
       [&] {
         return floor_divide(index({1, 2}), index({1, 0}));
       }},
      {"remainder",
       {"0", "0"},
       [&] {
         return remainder(index({1, 2}), index({0, 1}));
       }},
      {"floor_divide",
       {"0"},
       [&] {
         return floor_divide(ones({4}, {.dtype = Dtype::u8}), zeros({4}, {.dtype = Dtype::u8}));
       }},
      {"remainder",
       {"0"},
       [&] {
         return remainder(ones({3}, {.dtype = Dtype::i32}), zeros({}, {.dtype = Dtype::i32}));
       }},
  };
  for (bool fused : {true, false})
    for (const Bad& bad : list) {
      SCOPED_TRACE(std::string(bad.op) + (fused ? ", fused" : ", composed"));
      const FusedGuard guard(fused);
      const NothingLeaks leaks(device_, bad.op);
      std::vector<std::string> parts = bad.parts;
      parts.push_back("[" + std::string(bad.op) + "]");
      const auto call = [&] {
        const Tensor r = bad.call();
        device_.synchronize();
      };
      for (int again = 0; again < 2; ++again) expect_error<IndexError>(call, parts, bad.op);
      device_.synchronize();  // the error was taken: it does not come again
      EXPECT_EQ(sum(x).item(), 6);
    }
}

TEST_P(ValueErrors, TheFirstBadPositionIsNamed) {
  std::vector<int64_t> many(5000, 0);
  many[1234] = 99;
  many[4321] = 77;
  const Tensor x = ones({3, 2});
  expect_error<IndexError>(
      [&] {
        embedding(x, tensor(many));
        device_.synchronize();
      },
      {"[embedding]", "1234", "99"});
}

TEST_P(ValueErrors, SelectOutOfRange) {
  expect_error<IndexError>([] { ones({2, 3}).select(1, 3); }, {"[select]", "3", "[2, 3]"});
  expect_error<IndexError>([] { ones({2, 3})[-3]; }, {"[select]", "-3", "[2, 3]"});
}

TEST_P(ValueErrors, FloatingZeroDivisorIsNoError) {
  EXPECT_TRUE(std::isinf(div(ones({1}), zeros({1})).item()));
  EXPECT_TRUE(std::isnan(remainder(ones({1}), zeros({1})).item()));
  device_.synchronize();
}

TEST_P(ValueErrors, BadValueInBackwardLeavesThingsUsable) {
  Tensor w = leaf({1, 2, 3, 4}).reshape({2, 2}).detach();
  w.requires_grad_();
  const Tensor y = sum(embedding(w, index({0, 1})));
  expect_error<IndexError>(
      [&] {
        embedding(w, index({0, 2}));
        device_.synchronize();
      },
      {"[embedding]"});
  y.backward();
  EXPECT_EQ(values(w.grad()), (std::vector<double>{1, 1, 1, 1}));
}

TEST_P(ValueErrors, UndefinedTensors) {
  const Tensor none, x = ones({2, 2});
  const NothingLeaks leaks(device_);
  for (const std::function<void()>& call : std::vector<std::function<void()>>{
           [&] { add(none, x); },       [&] { add(x, none); },
           [&] { exp(none); },          [&] { sum(none); },
           [&] { matmul(x, none); },    [&] { conv2d(none, none); },
           [&] { cat({x, none}); },     [&] { softmax(none, 0); },
           [&] { mse_loss(x, none); },  [&] { none.reshape({1}); },
           [&] { none.shape(); },       [&] { none.item(); },
           [&] { none.backward(); },    [&] { none.to_vector<float>(); },
           [&] { none.clone(); },       [&] { none.device(); },
           [&] { gather(x, 0, none); }, [&] { where(none, x, x); },
           [&] { embedding(none, x); }, [&] { dropout(none); }})
    EXPECT_THROW(call(), Error);
}

TEST(DeviceErrors, MixedDevices) {
  const Tensor a = ones({2, 2}, {.device = Device("cpu")}),
               b = ones({2, 2}, {.device = Device("reference")});
  const Tensor i = zeros({2}, {.dtype = Dtype::i64, .device = Device("reference")});
  struct Call {
    const char* op;
    std::function<void()> f;
  };
  for (const Call& c : std::vector<Call>{
           {"add", [&] { add(a, b); }},
           {"where", [&] { where(eq(a, a), a, b); }},
           {"matmul", [&] { matmul(a, b); }},
           {"linear", [&] { linear(a, b); }},
           {"cat",
            [&] {
              cat({a, b});
            }},
           {"embedding", [&] { embedding(a, i); }},
           {"cross_entropy", [&] { cross_entropy(a, i); }},
           {"mse_loss", [&] { mse_loss(a, b); }},
           {"gather",
            [&] {
              gather(a, 0, zeros({2, 2}, {.dtype = Dtype::i64, .device = b.device()}));
            }},
           {"index_select", [&] { index_select(a, 0, i); }},
           {"conv2d",
            [&] {
              conv2d(a.reshape({1, 1, 2, 2}), b.reshape({1, 1, 2, 2}));
            }},
           {"batch_norm", [&] { batch_norm(a, {}, {}, ones({2}, {.device = b.device()})); }},
           {"layer_norm", [&] { layer_norm(a, {2}, ones({2}, {.device = b.device()})); }}}) {
    SCOPED_TRACE(c.op);
    expect_error<DeviceError>(c.f, {"[" + std::string(c.op) + "]", "cpu:0", "reference:0"}, c.op);
  }
}

TEST(DeviceErrors, UnknownAndUnusable) {
  expect_error<DeviceError>([] { Device("nonsense"); }, {"nonsense"});
  expect_error<DeviceError>([] { Device("cpu:7"); }, {"cpu", "7"});
  for (const char* bad : {"", ":", "cpu:", "cpu:x", "cpu:-1", "cpu:0:0", "CPU ", "../cpu",
                          "cpu:99999999999999999999"})
    EXPECT_THROW(Device{bad}, DeviceError) << bad;
  EXPECT_NE(static_cast<int>(backend_status("nonsense").unusable.why),
            static_cast<int>(Why::usable));
  EXPECT_FALSE(backend_status("nonsense").unusable.reason.empty());
  EXPECT_FALSE(backend_status("nonsense").unusable.fix.empty());
}

TEST(DeviceErrors, BestAndAll) {
  EXPECT_NO_THROW(Device::best());
  for (const Device& d : Device::all()) EXPECT_FALSE(d.info().test_only);
  const std::vector<std::string> known = known_backends();
  for (const char* name : {"cpu", "reference"})
    EXPECT_NE(std::find(known.begin(), known.end(), name), known.end());
}

TEST(DeviceErrors, DefaultDevice) {
  const Device before = default_device();
  {
    const DeviceGuard guard(Device("reference"));
    EXPECT_EQ(zeros({2}).device().name(), "reference:0");
    EXPECT_EQ(Device().backend(), "reference");
  }
  set_default_device(Device("reference"));
  EXPECT_EQ(ones({1}).device().backend(), "reference");
  set_default_device(before);
  EXPECT_EQ(ones({1}).device().name(), before.name());
}

}  // namespace
}  // namespace tinytorch::testing
