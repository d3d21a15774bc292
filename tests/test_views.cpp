// Views against plain index arithmetic: thousands of random chains of view ops, compared element by
// element with a model that knows only indices; and what shares storage.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>
#include <random>

#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

using Numbers = std::vector<double>;

// A view as a list: shape, and for every element, row-major, its index in the base.
struct Model {
  std::vector<int64_t> shape, index;

  static Model base(const std::vector<int64_t>& shape) {
    Model m{shape, {}};
    m.index.resize(static_cast<size_t>(m.numel()));
    std::iota(m.index.begin(), m.index.end(), 0);
    return m;
  }
  int64_t numel() const {
    return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  }

  // The view of `to` whose element at `position` is this one's at from(position).
  template <class F>
  Model take(const std::vector<int64_t>& to, F&& from) const {
    Model m{to, {}};
    std::vector<int64_t> at(to.size());
    for (int64_t i = 0; i < m.numel(); ++i) {
      int64_t rest = i;
      for (size_t d = to.size(); d-- > 0;) {
        at[d] = rest % to[d];
        rest /= to[d];
      }
      const std::vector<int64_t> source = from(at);
      int64_t offset = 0;
      for (size_t d = 0; d < shape.size(); ++d) offset = offset * shape[d] + source[d];
      m.index.push_back(index[static_cast<size_t>(offset)]);
    }
    return m;
  }
};

class Chain {
 public:
  Chain(Tensor t, Model m, uint64_t seed)
      : tensor_(std::move(t)), model_(std::move(m)), random_(seed) {}

  void step() {
    const int rank = tensor_.rank();
    switch (below(8)) {
      case 0:
        return rank ? transpose() : void();
      case 1:
        return rank ? slice() : void();
      case 2:
        return rank ? select() : void();
      case 3:
        return unsqueeze();
      case 4:
        return reshape();
      case 5:
        return rank ? narrow() : void();
      case 6:
        return expand();
      default:
        return permute();
    }
  }
  void check() const {
    ASSERT_EQ(tensor_.shape().str(), Shape(std::span<const int64_t>(model_.shape)).str());
    ASSERT_EQ(tensor_.to_vector<int64_t>(), model_.index);
    ASSERT_EQ(sum(tensor_).item<int64_t>(),
              std::accumulate(model_.index.begin(), model_.index.end(), int64_t{0}));
  }
  std::string trace;

 private:
  int64_t below(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  int dim() { return static_cast<int>(below(tensor_.rank())); }
  void note(const std::string& s) { trace += " " + s; }

  void transpose() {
    const int a = dim(), b = dim();
    note("transpose " + std::to_string(a) + " " + std::to_string(b));
    std::vector<int64_t> to = model_.shape;
    std::swap(to[static_cast<size_t>(a)], to[static_cast<size_t>(b)]);
    model_ = model_.take(to, [&](std::vector<int64_t> at) {
      std::swap(at[static_cast<size_t>(a)], at[static_cast<size_t>(b)]);
      return at;
    });
    tensor_ = tensor_.transpose(a, b - tensor_.rank());
  }
  void permute() {
    std::vector<int64_t> order(model_.shape.size());
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random_);
    note("permute " + Shape(std::span<const int64_t>(order)).str());
    std::vector<int64_t> to(order.size());
    for (size_t d = 0; d < order.size(); ++d) to[d] = model_.shape[static_cast<size_t>(order[d])];
    model_ = model_.take(to, [&](const std::vector<int64_t>& at) {
      std::vector<int64_t> from(at.size());
      for (size_t d = 0; d < at.size(); ++d) from[static_cast<size_t>(order[d])] = at[d];
      return from;
    });
    tensor_ = tensor_.permute(Shape(std::span<const int64_t>(order)));
  }
  void slice() {
    const int d = dim();
    const int64_t n = tensor_.size(d), start = n ? below(n) : 0, end = start + below(n - start + 1),
                  step = 1 + below(3);
    note("slice " + std::to_string(d) + " " + std::to_string(start) + ":" + std::to_string(end) +
         ":" + std::to_string(step));
    std::vector<int64_t> to = model_.shape;
    to[static_cast<size_t>(d)] = (end - start + step - 1) / step;
    model_ = model_.take(to, [&](std::vector<int64_t> at) {
      at[static_cast<size_t>(d)] = start + at[static_cast<size_t>(d)] * step;
      return at;
    });
    tensor_ = tensor_.slice(d, start - (below(2) && n ? n : 0), end, step);
  }
  void narrow() {
    const int d = dim();
    const int64_t n = tensor_.size(d), start = below(n + 1), length = below(n - start + 1);
    note("narrow " + std::to_string(d) + " " + std::to_string(start) + " " +
         std::to_string(length));
    std::vector<int64_t> to = model_.shape;
    to[static_cast<size_t>(d)] = length;
    model_ = model_.take(to, [&](std::vector<int64_t> at) {
      at[static_cast<size_t>(d)] += start;
      return at;
    });
    tensor_ = tensor_.narrow(d, start, length);
  }
  void select() {
    const int d = dim();
    if (!tensor_.size(d)) return;
    const int64_t i = below(tensor_.size(d));
    note("select " + std::to_string(d) + " " + std::to_string(i));
    std::vector<int64_t> to = model_.shape;
    to.erase(to.begin() + d);
    model_ = model_.take(to, [&](std::vector<int64_t> at) {
      at.insert(at.begin() + d, i);
      return at;
    });
    tensor_ = tensor_.select(d, i);
  }
  void unsqueeze() {
    if (tensor_.rank() == kMaxRank) return;
    const int d = static_cast<int>(below(tensor_.rank() + 1));
    note("unsqueeze " + std::to_string(d));
    model_.shape.insert(model_.shape.begin() + d, 1);
    tensor_ = tensor_.unsqueeze(d);
  }
  void expand() {
    if (tensor_.rank() == kMaxRank || model_.numel() > 500) return;
    const int64_t n = 1 + below(3);
    note("expand " + std::to_string(n));
    std::vector<int64_t> to = model_.shape;
    to.insert(to.begin(), n);
    model_ = model_.take(to, [](std::vector<int64_t> at) {
      at.erase(at.begin());
      return at;
    });
    tensor_ = tensor_.expand(Shape(std::span<const int64_t>(to)));
  }
  void reshape() {  // to two dims, whatever the strides allow
    const int64_t n = model_.numel();
    int64_t rows = 1 + below(6);
    if (n % rows) rows = 1;
    if (!n) return;
    note("reshape " + std::to_string(rows));
    const bool viewable = [&] {
      try {
        return tensor_.view({rows, -1}).shares_storage(tensor_);
      } catch (const ShapeError&) {
        return false;
      }
    }();
    model_.shape = {rows, n / rows};
    const Tensor next = tensor_.reshape({rows, -1});
    EXPECT_EQ(next.shares_storage(tensor_), viewable);
    tensor_ = next;
  }

  Tensor tensor_;
  Model model_;
  std::mt19937_64 random_;
};

class Views : public OnDevice {};
TT_ON_EVERY_DEVICE(Views);

TEST_P(Views, RandomChainsAgreeWithIndexArithmetic) {
  for (uint64_t seed = 0; seed < 400; ++seed) {
    const Tensor base = arange(120).reshape({4, 5, 6});
    Chain chain(base, Model::base({4, 5, 6}), seed);
    for (int i = 0; i < 8; ++i) {
      chain.step();
      SCOPED_TRACE("seed " + std::to_string(seed) + ":" + chain.trace);
      chain.check();
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(Views, ShareStorage) {
  Tensor t = arange(24, {.dtype = Dtype::f32}).reshape({2, 3, 4});
  for (const Tensor& v : {t.view({6, 4}), t.reshape({-1}), t.flatten(), t.transpose(0, 1),
                          t.permute({2, 0, 1}), t.expand({5, 2, 3, 4}), t.unsqueeze(1),
                          t.narrow(1, 1, 2), t.slice(2, 0, 4, 2), t.select(0, 1), t[0], t.detach(),
                          t.split(1, 1)[2], split(t, std::vector<int64_t>{1, 1}, 0)[1]})
    EXPECT_TRUE(v.shares_storage(t));
  EXPECT_FALSE(t.transpose(0, 2).flatten().shares_storage(t));
  EXPECT_EQ(t[1].storage_offset(), 12);
  EXPECT_EQ(t.expand({5, 2, 3, 4}).strides().str(), "[0, 12, 4, 1]");
  t.select(2, 3).zero_();
  EXPECT_EQ(sum(t).item(), 276 - (3 + 7 + 11 + 15 + 19 + 23));
}

TEST_P(Views, ContiguityIsAboutOrderAlone) {
  const Tensor t = zeros({2, 1, 3});
  EXPECT_TRUE(t.transpose(0, 1).is_contiguous());  // a dim of size 1 may have any stride
  EXPECT_FALSE(t.transpose(0, 2).is_contiguous());
  EXPECT_TRUE(t.narrow(0, 1, 1).is_contiguous());
  EXPECT_TRUE(zeros({3, 0}).t().is_contiguous());
  EXPECT_TRUE(zeros({}).is_contiguous());
}

TEST_P(Views, OfEmptyTensors) {
  const Tensor t = zeros({0, 3});
  EXPECT_EQ(t.t().shape().str(), "[3, 0]");
  EXPECT_EQ(t.reshape({3, 0, 5}).shape().str(), "[3, 0, 5]");
  EXPECT_EQ(t.expand({2, 0, 3}).numel(), 0);
  EXPECT_THROW(t.reshape({-1, 0}), ShapeError);  // the size cannot be inferred
  EXPECT_THROW(t.select(0, 0), IndexError);
  EXPECT_EQ(cat({t, ones({1, 3})}).shape().str(), "[1, 3]");
  EXPECT_EQ(split(t, 2).size(), 1u);
}

}  // namespace
}  // namespace tinytorch::testing
