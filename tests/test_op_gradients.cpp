// Gradient checks made from the op cases, for every op on every device: central differences once
// and twice, with fused kernels on and off; gradients in f32 against the oracle's; a node for every
// tracked input.
#include <cmath>

#include "tests/op_check.h"
#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

using namespace op_cases;
using Param = std::tuple<std::string, std::string>;  // device, op

std::vector<std::string> differentiable_ops() {
  std::vector<std::string> out;
  for (const std::string& op : case_ops())
    for (const OpCase* c : cases_of(op))
      if (c->differentiable) {
        out.push_back(op);
        break;
      }
  return out;
}

class OpGradient : public ::testing::TestWithParam<Param> {
 protected:
  OpGradient() : device_(std::get<0>(GetParam())), guard_(device_) {
    for (const OpCase* c : cases_of(std::get<1>(GetParam())))
      if (c->differentiable) cases_.push_back(c);
  }

  // The case as a function of its tracked inputs, in f64; the others are constants.
  struct Problem {
    std::function<Tensors(const Tensors&)> f;
    Tensors inputs;
  };
  Problem problem(const OpCase& c) const {
    Problem p;
    Tensors bases;
    std::vector<size_t> tracked;
    for (size_t i = 0; i < c.inputs.size(); ++i) {
      bases.push_back(make_base(c, i, device_, true));
      if (!c.inputs[i].grad) continue;
      tracked.push_back(i);
      p.inputs.push_back(bases[i].requires_grad_());
    }
    p.f = [&c, bases, tracked](const Tensors& in) {
      const WideGuard wide(true);
      Tensors all = bases;
      for (size_t i = 0; i < tracked.size(); ++i) all[tracked[i]] = in[i];
      for (size_t i = 0; i < all.size(); ++i) all[i] = lay_out(c.inputs[i], all[i]);
      return c.run(all);
    };
    return p;
  }

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
INSTANTIATE_TEST_SUITE_P(, OpGradient,
                         ::testing::Combine(::testing::ValuesIn(test_devices()),
                                            ::testing::ValuesIn(differentiable_ops())),
                         title);

TEST_P(OpGradient, MatchesDifferences) {
  for (const OpCase* c : cases_) {
    for (bool fused : {true, false}) {
      SCOPED_TRACE(c->name() + (fused ? ", fused" : ", composed"));
      const FusedGuard guard(fused);
      const Problem p = problem(*c);
      if (p.inputs.empty()) continue;
      EXPECT_NO_THROW(gradcheck(p.f, p.inputs));
    }
  }
}

TEST_P(OpGradient, SecondMatchesDifferences) {
  for (const OpCase* c : cases_) {
    if (!c->twice) continue;
    for (bool fused : {true, false}) {
      SCOPED_TRACE(c->name() + (fused ? ", fused" : ", composed"));
      const FusedGuard guard(fused);
      const Problem p = problem(*c);
      if (p.inputs.empty()) continue;
      EXPECT_NO_THROW(gradgradcheck(p.f, p.inputs));
    }
  }
}

TEST_P(OpGradient, AgreesWithOracle) {
  const Device reference("reference");
  for (const OpCase* c : cases_) {
    const Tensors want = with_gradients(*c, reference, true);
    for (bool fused : {true, false}) {
      SCOPED_TRACE(c->name() + (fused ? ", fused" : ", composed"));
      const FusedGuard guard(fused);
      const Tensors got = with_gradients(*c, device_, false);
      ASSERT_EQ(got.size(), want.size());
      for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_EQ(got[i].defined(), want[i].defined());
        if (!got[i].defined() || !is_floating(got[i].dtype())) continue;
        const std::vector<double> g = values(got[i]), w = values(want[i]);
        double largest = 0, worst = 0;
        for (size_t j = 0; j < w.size(); ++j) {
          largest = std::fmax(largest, std::fabs(w[j]));
          worst = std::fmax(worst, std::fabs(g[j] - w[j]));
        }
        const double eps = got[i].dtype() == Dtype::f64 ? 0x1p-52 : 0x1p-23;
        EXPECT_LE(worst, 64 * eps * std::fmax(largest, 0.1)) << "result or gradient " << i;
      }
    }
  }
}

TEST_P(OpGradient, EveryTrackedInputHasANode) {
  for (const OpCase* c : cases_) {
    for (bool fused : {true, false}) {
      SCOPED_TRACE(c->name() + (fused ? ", fused" : ", composed"));
      const FusedGuard guard(fused);
      for (size_t alone = 0; alone < c->inputs.size(); ++alone) {
        if (!c->inputs[alone].grad) continue;
        Tensors in = make_inputs(*c, device_);
        in[alone] = in[alone].detach().clone();
        in[alone].requires_grad_();
        bool tracked = false;
        Tensors outputs;
        for (const Tensor& r : c->run(in))
          if (is_floating(r.dtype()) && r.requires_grad()) {
            tracked = true;
            outputs.push_back(sum(r));
          }
        ASSERT_TRUE(tracked) << "input " << alone << " wants a gradient and no result has one";
        const Tensor g = grad(outputs, {in[alone]})[0];
        EXPECT_EQ(g.shape().str(), in[alone].shape().str());
        EXPECT_EQ(name_of(g.dtype()), name_of(in[alone].dtype()));
        // The gradient's own graph, where it depends on something.
        const Tensors again = c->run(in);
        Tensor total;
        for (const Tensor& r : again)
          if (r.requires_grad())
            total = total.defined() ? add(total, sum(square(r))) : sum(square(r));
        if (!c->twice) continue;
        EXPECT_TRUE(grad({total}, {in[alone]}, {}, {.create_graph = true})[0].requires_grad());
      }
    }
  }
}

}  // namespace
}  // namespace tinytorch::testing
