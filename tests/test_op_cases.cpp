// Forward checks made from the op cases, for every op on every device: values against the oracle,
// dtypes, shapes, inputs left alone, nothing leaked, the same bits with one thread and two.
// Gradients are in test_op_gradients.cpp.
#include <cstring>

#include "tests/op_check.h"
#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

using namespace op_cases;
using Param = std::tuple<std::string, std::string>;  // device, op

class OpForward : public ::testing::TestWithParam<Param> {
 protected:
  OpForward()
      : device_(std::get<0>(GetParam())),
        guard_(device_),
        cases_(cases_of(std::get<1>(GetParam()))) {}
  Device device_;
  DeviceGuard guard_;
  std::vector<const OpCase*> cases_;
};

std::string title(const ::testing::TestParamInfo<Param>& info) {
  std::string t = std::get<1>(info.param) + "_" + std::get<0>(info.param);
  for (char& c : t)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return t;
}
INSTANTIATE_TEST_SUITE_P(, OpForward,
                         ::testing::Combine(::testing::ValuesIn(test_devices()),
                                            ::testing::ValuesIn(case_ops())),
                         title);

std::vector<HostArray> host_arrays(const Tensors& in) {
  std::vector<HostArray> out;
  for (const Tensor& t : in) out.push_back({t.shape(), t.to_vector<double>()});
  return out;
}

// Bits, not values: NaN is equal to itself and 0 is not -0.
bool same_bits(const Tensor& a, const Tensor& b) {
  if (!(a.shape() == b.shape()) || a.dtype() != b.dtype()) return false;
  const Tensor x = a.detach().cpu().contiguous(), y = b.detach().cpu().contiguous();
  const auto bytes = [](const Tensor& t) -> const void* {
    switch (t.dtype()) {
      case Dtype::f32:
        return t.data<float>();
      case Dtype::f64:
        return t.data<double>();
      case Dtype::i64:
        return t.data<int64_t>();
      case Dtype::i32:
        return t.data<int32_t>();
      case Dtype::u8:
        return t.data<uint8_t>();
      case Dtype::bool_:
        return t.data<bool>();
      case Dtype::bf16:
        return t.data<BFloat16>();
      default:
        return t.data<Float16>();
    }
  };
  return x.nbytes() == 0 || std::memcmp(bytes(x), bytes(y), static_cast<size_t>(x.nbytes())) == 0;
}

TEST_P(OpForward, AgreesWithOracle) {
  const NoGrad no_grad;
  for (const OpCase* c : cases_) {
    SCOPED_TRACE(c->name());
    const Expected expected = expected_of(*c);
    const Tensors in = make_inputs(*c, device_);
    std::vector<HostArray> loops;
    if (c->oracle && !c->bench) loops = c->oracle(host_arrays(in));
    for (bool fused : {true, false}) {
      const FusedGuard guard(fused);
      const Tensors got = c->run(in);
      EXPECT_EQ(difference(*c, got, expected), "") << (fused ? "fused" : "composed");
      if (loops.empty()) continue;
      EXPECT_EQ(difference(*c, got, expected, &loops), "")
          << "plain loops, " << (fused ? "fused" : "composed");
    }
  }
}

TEST_P(OpForward, DtypesAndDevice) {
  const NoGrad no_grad;
  const Device reference("reference");
  for (const OpCase* c : cases_) {
    SCOPED_TRACE(c->name());
    const Tensors got = c->run(make_inputs(*c, device_));
    Tensors want;
    {
      const DeviceGuard guard(reference);
      want = c->run(make_inputs(*c, reference));
    }
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(name_of(got[i].dtype()), name_of(want[i].dtype()));
      EXPECT_EQ(got[i].shape().str(), want[i].shape().str());
      EXPECT_EQ(got[i].device().name(), device_.name());
    }
  }
}

TEST_P(OpForward, LeavesInputsAlone) {
  const NoGrad no_grad;
  for (const OpCase* c : cases_) {
    if (c->bench) continue;
    SCOPED_TRACE(c->name());
    Tensors bases, in, before;
    std::vector<uint32_t> versions;
    for (size_t i = 0; i < c->inputs.size(); ++i) {
      bases.push_back(make_base(*c, i, device_, false));
      before.push_back(bases[i].clone());
      in.push_back(lay_out(c->inputs[i], bases[i]));
      versions.push_back(bases[i].version());
    }
    c->run(in);
    for (size_t i = 0; i < bases.size(); ++i) {
      EXPECT_TRUE(same_bits(bases[i], before[i])) << "input " << i;
      EXPECT_EQ(bases[i].version(), versions[i]) << "input " << i;
    }
  }
}

TEST_P(OpForward, LeaksNothing) {
  for (const OpCase* c : cases_) {
    if (c->bench) continue;
    with_gradients(*c, device_, false);  // what is made once stays: constants, generators
    const NothingLeaks check(device_, c->name());
    with_gradients(*c, device_, false);
  }
}

TEST_P(OpForward, SameBitsAgainAndWithTwoThreads) {
  for (const OpCase* c : cases_) {
    if (!c->values) continue;
    SCOPED_TRACE(c->name());
    for (bool fused : {true, false}) {
      const FusedGuard guard(fused);
      Tensors one, two;
      {
        const ThreadsGuard threads(1);
        one = with_gradients(*c, device_, false);
      }
      {
        const ThreadsGuard threads(2);
        two = with_gradients(*c, device_, false);
      }
      ASSERT_EQ(one.size(), two.size());
      for (size_t i = 0; i < one.size(); ++i) {
        if (!one[i].defined()) continue;
        EXPECT_TRUE(same_bits(one[i], two[i]))
            << "result or gradient " << i << (fused ? ", fused" : ", composed");
      }
    }
  }
}

}  // namespace
}  // namespace tinytorch::testing
