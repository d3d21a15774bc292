// The convolution and pooling rows against plain loops in double, for each instruction set, and the
// same bits on any number of threads.
#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "backends/cpu/thread_pool.h"
#include "tests/kernels/cpu_levels.h"

namespace tinytorch {
namespace {

struct ConvCase {
  int64_t images, groups, in_channels, out_channels;  // channels of one group
  int64_t in[2], kernel[2], stride[2], padding[2], dilation[2];

  int64_t out(int axis) const {
    return (in[axis] + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1) / stride[axis] +
           1;
  }
  bool valid() const {
    for (int a = 0; a < 2; ++a) {
      if (in[a] + 2 * padding[a] < dilation[a] * (kernel[a] - 1) + 1) return false;
    }
    return true;
  }
  std::string text() const {
    std::ostringstream s;
    s << "images " << images << " groups " << groups << " channels " << in_channels << "->"
      << out_channels;
    for (int a = 0; a < 2; ++a) {
      s << (a ? "; x" : "; y") << " in " << in[a] << " kernel " << kernel[a] << " stride "
        << stride[a] << " padding " << padding[a] << " dilation " << dilation[a];
    }
    return s.str();
  }
};

template <class T>
struct ConvProblem {
  ConvCase c;
  std::vector<T> x, w, b, g;
  std::vector<Sum> out, gx, gw;

  explicit ConvProblem(const ConvCase& given) : c(given) {
    const int64_t oc = c.groups * c.out_channels, ic = c.groups * c.in_channels;
    x = random_values<T>(static_cast<size_t>(c.images * ic * c.in[0] * c.in[1]), 1);
    w = random_values<T>(static_cast<size_t>(oc * c.in_channels * c.kernel[0] * c.kernel[1]), 2);
    b = random_values<T>(static_cast<size_t>(oc), 3);
    g = random_values<T>(static_cast<size_t>(c.images * oc * c.out(0) * c.out(1)), 4);
    out.resize(g.size());
    gx.resize(x.size());
    gw.resize(w.size());
    for (int64_t n = 0; n < c.images; ++n) {
      for (int64_t o = 0; o < oc; ++o) {
        for (int64_t y = 0; y < c.out(0); ++y) {
          for (int64_t z = 0; z < c.out(1); ++z) pixel(n, o, y, z);
        }
      }
    }
  }

  void pixel(int64_t n, int64_t o, int64_t y, int64_t z) {
    const size_t at =
        static_cast<size_t>(((n * c.groups * c.out_channels + o) * c.out(0) + y) * c.out(1) + z);
    out[at].add(static_cast<double>(b[static_cast<size_t>(o)]));
    const int64_t group = o / c.out_channels;
    for (int64_t ch = 0; ch < c.in_channels; ++ch) {
      for (int64_t i = 0; i < c.kernel[0]; ++i) {
        for (int64_t j = 0; j < c.kernel[1]; ++j) {
          const int64_t sy = y * c.stride[0] + i * c.dilation[0] - c.padding[0],
                        sx = z * c.stride[1] + j * c.dilation[1] - c.padding[1];
          if (sy < 0 || sx < 0 || sy >= c.in[0] || sx >= c.in[1]) continue;
          const size_t xi = static_cast<size_t>(
              (((n * c.groups + group) * c.in_channels + ch) * c.in[0] + sy) * c.in[1] + sx);
          const size_t wi =
              static_cast<size_t>(((o * c.in_channels + ch) * c.kernel[0] + i) * c.kernel[1] + j);
          const double xv = static_cast<double>(x[xi]), wv = static_cast<double>(w[wi]),
                       gv = static_cast<double>(g[at]);
          out[at].add(xv * wv);
          gx[xi].add(gv * wv);
          gw[wi].add(gv * xv);
        }
      }
    }
  }

  struct Result {
    std::vector<T> out, gx, gw;
  };
  Result run(const CpuLevel& level) const {
    Result r{std::vector<T>(g.size(), T{99}), std::vector<T>(x.size(), T{99}),
             std::vector<T>(w.size(), T{99})};
    const int64_t oc = c.groups * c.out_channels, ic = c.groups * c.in_channels;
    const View vx = dense_view(x, {c.images, ic, c.in[0], c.in[1]}),
               vw = dense_view(w, {oc, c.in_channels, c.kernel[0], c.kernel[1]});
    const View vg = dense_view(g, {c.images, oc, c.out(0), c.out(1)}), vb = dense_view(b, {oc});
    View vo = vg, vgx = vx, vgw = vw;
    vo.data = r.out.data();
    vgx.data = r.gx.data();
    vgw.data = r.gw.data();
    const Conv2dParams p{{c.stride[0], c.stride[1]},
                         {c.padding[0], c.padding[1]},
                         {c.dilation[0], c.dilation[1]},
                         c.groups};
    level.table().conv2d(test_context(), vo, vx, vw, &vb, p);
    level.table().conv2d_grad_input(test_context(), vgx, vg, vw, p);
    level.table().conv2d_grad_weight(test_context(), vgw, vg, vx, p);
    return r;
  }
};

template <class T>
void check(const ConvCase& c) {
  const ConvProblem<T> problem(c);
  for (const CpuLevel& level : cpu_levels()) {
    SCOPED_TRACE(std::string(level.name) + (sizeof(T) == 4 ? " f32 " : " f64 ") + c.text());
    cpu::set_num_threads(1);
    const auto one = problem.run(level);
    EXPECT_LE(worst_error(one.out, problem.out), 8) << "forward";
    EXPECT_LE(worst_error(one.gx, problem.gx), 8) << "gradient of the input";
    EXPECT_LE(worst_error(one.gw, problem.gw), 8) << "gradient of the weights";
    cpu::set_num_threads(2);
    const auto two = problem.run(level);
    EXPECT_TRUE(same_bits(one.out, two.out) && same_bits(one.gx, two.gx) &&
                same_bits(one.gw, two.gw))
        << "two threads give other bits";
    cpu::set_num_threads(0);
  }
}

// Shapes of real networks, one for every way through the code: flat, by rows, packed, with and
// without a copy of the source.
TEST(ConvKernels, NetworkShapes) {
  const ConvCase cases[] = {{32, 1, 1, 8, {8, 8}, {3, 3}, {1, 1}, {0, 0}, {1, 1}},
                            {32, 1, 8, 16, {3, 3}, {2, 2}, {1, 1}, {0, 0}, {1, 1}},
                            {5, 1, 1, 6, {28, 28}, {5, 5}, {1, 1}, {2, 2}, {1, 1}},
                            {3, 1, 6, 16, {14, 14}, {5, 5}, {1, 1}, {0, 0}, {1, 1}},
                            {2, 1, 20, 33, {30, 30}, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
                            {2, 1, 16, 40, {14, 14}, {1, 1}, {1, 1}, {0, 0}, {1, 1}},
                            {9, 1, 40, 30, {4, 4}, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
                            {2, 1, 12, 20, {17, 17}, {3, 3}, {2, 2}, {1, 1}, {1, 1}},
                            {2, 1, 8, 24, {16, 16}, {1, 1}, {2, 2}, {0, 0}, {1, 1}},
                            {1, 1, 3, 16, {40, 40}, {7, 7}, {2, 2}, {3, 3}, {1, 1}},
                            {2, 6, 1, 1, {20, 20}, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
                            {1, 1, 40, 15, {12, 12}, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
                            // gradients of the weights along lines
                            {3, 1, 1, 32, {28, 28}, {3, 3}, {1, 1}, {0, 0}, {1, 1}},
                            {2, 3, 2, 4, {18, 30}, {3, 3}, {1, 1}, {1, 1}, {1, 2}},
                            {2, 1, 4, 7, {9, 16}, {3, 1}, {1, 1}, {0, 0}, {1, 1}},
                            {2, 1, 2, 5, {9, 32}, {3, 3}, {2, 2}, {1, 1}, {1, 1}},
                            {1, 1, 1, 3, {700, 16}, {2, 3}, {1, 1}, {0, 1}, {1, 1}},
                            // enough images that they become lanes
                            {33, 1, 16, 17, {7, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
                            {30, 2, 5, 3, {9, 8}, {3, 2}, {2, 1}, {1, 0}, {1, 2}},
                            {64, 1, 70, 2, {3, 3}, {3, 3}, {1, 1}, {2, 2}, {1, 1}},
                            {25, 1, 2, 30, {6, 7}, {5, 5}, {2, 2}, {3, 4}, {1, 1}},
                            {32, 3, 1, 1, {5, 5}, {2, 2}, {3, 3}, {0, 0}, {2, 2}},
                            {31, 1, 300, 4, {8, 8}, {3, 3}, {1, 1}, {1, 1}, {1, 1}}};
  for (const ConvCase& c : cases) {
    check<float>(c);
    check<double>(c);
  }
}

TEST(ConvKernels, RandomShapes) {
  std::mt19937 generator(7);
  const auto pick = [&](int64_t from, int64_t to) {
    return std::uniform_int_distribution<int64_t>(from, to)(generator);
  };
  for (int i = 0; i < 60; ++i) {
    ConvCase c{pick(1, 5), pick(1, 3), pick(1, 8), pick(1, 20), {}, {}, {}, {}, {}};
    for (int a = 0; a < 2; ++a) {
      c.in[a] = pick(1, pick(0, 1) ? 30 : 8);
      c.kernel[a] = pick(1, 5);
      c.stride[a] = pick(1, 3);
      c.padding[a] = pick(0, 3);
      c.dilation[a] = pick(1, 2);
    }
    if (!c.valid()) continue;
    i % 2 ? check<float>(c) : check<double>(c);
  }
}

// An infinity touches the outputs that see it and no others: padding, tails of vectors and lines
// thrown away must not spread it.
TEST(ConvKernels, InfinityReachesOnlyWhatSeesIt) {
  for (const ConvCase& c : {ConvCase{4, 1, 2, 5, {7, 7}, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
                            ConvCase{3, 1, 3, 20, {18, 18}, {3, 3}, {2, 2}, {1, 1}, {1, 1}}}) {
    ConvProblem<float> problem(c);
    const std::vector<float> x = problem.x;
    for (const CpuLevel& level : cpu_levels()) {
      problem.x = x;
      const auto before = problem.run(level);
      const int64_t line = c.in[1], image = c.in_channels * c.in[0] * line;
      problem.x[static_cast<size_t>(image)] =
          std::numeric_limits<float>::infinity();  // pixel (0, 0) of the second image
      const auto after = problem.run(level);
      for (int64_t n = 0; n < c.images; ++n) {
        for (int64_t o = 0; o < c.out_channels; ++o) {
          for (int64_t y = 0; y < c.out(0); ++y) {
            for (int64_t z = 0; z < c.out(1); ++z) {
              const size_t i =
                  static_cast<size_t>(((n * c.out_channels + o) * c.out(0) + y) * c.out(1) + z);
              const bool sees =
                  n == 1 && y * c.stride[0] <= c.padding[0] && z * c.stride[1] <= c.padding[1];
              if (sees) continue;
              EXPECT_EQ(before.out[i], after.out[i]) << level.name << " output " << i;
            }
          }
        }
      }
      for (const float v : after.gx) EXPECT_TRUE(std::isfinite(v));
    }
  }
}

struct PoolCase {
  int64_t planes, in[2], kernel[2], stride[2], padding[2], dilation[2];
  int64_t out(int a) const {
    return (in[a] + 2 * padding[a] - dilation[a] * (kernel[a] - 1) - 1) / stride[a] + 1;
  }
};
const PoolCase kPools[] = {{6, {56, 56}, {2, 2}, {2, 2}, {0, 0}, {1, 1}},
                           {6, {6, 6}, {2, 2}, {2, 2}, {0, 0}, {1, 1}},
                           {301, {14, 14}, {2, 2}, {2, 2}, {0, 0}, {1, 1}},
                           {100, {4, 5}, {2, 2}, {2, 2}, {0, 0}, {1, 1}},
                           {20, {10, 11}, {3, 2}, {2, 1}, {0, 0}, {1, 3}},
                           {3, {29, 70}, {3, 3}, {2, 2}, {1, 1}, {1, 1}},
                           {4, {7, 7}, {7, 7}, {1, 1}, {0, 0}, {1, 1}},
                           {3, {20, 33}, {3, 2}, {1, 3}, {1, 1}, {2, 2}},
                           {2, {40, 40}, {40, 40}, {40, 40}, {0, 0}, {1, 1}},
                           {5, {1, 9}, {1, 4}, {1, 2}, {0, 2}, {1, 1}},
                           {300, {14, 14}, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
                           {3, {9, 41}, {2, 2}, {2, 2}, {0, 0}, {1, 1}},
                           {2, {10, 38}, {3, 2}, {3, 2}, {0, 0}, {1, 1}},
                           {2, {11, 37}, {3, 3}, {1, 1}, {1, 1}, {2, 2}},
                           {2, {8, 66}, {2, 5}, {2, 2}, {1, 2}, {1, 2}}};

template <class T>
void check_pool(const CpuLevel& level, const PoolCase& c) {
  const auto planes = static_cast<size_t>(c.planes),
             in_plane = static_cast<size_t>(c.in[0] * c.in[1]);
  const auto out_plane = static_cast<size_t>(c.out(0) * c.out(1));
  auto x = random_values<T>(planes * in_plane, 1);
  for (T& v : x) v = std::round(v * 4);  // many equal values
  x[in_plane / 2] = std::numeric_limits<T>::quiet_NaN();
  x[in_plane + 1] = -std::numeric_limits<T>::infinity();
  const auto g = random_values<T>(planes * out_plane, 2);
  std::vector<T> best(g.size()), average(g.size()), gx(x.size());
  std::vector<int64_t> places(g.size());
  for (const bool include : {true, false}) {
    const Pool2dParams p{{c.kernel[0], c.kernel[1]},
                         {c.stride[0], c.stride[1]},
                         {c.padding[0], c.padding[1]},
                         {c.dilation[0], c.dilation[1]},
                         include};
    const View vx = dense_view(x, {c.planes, 1, c.in[0], c.in[1]}),
               vg = dense_view(g, {c.planes, 1, c.out(0), c.out(1)});
    const auto like = [&](auto& values, const View& shape) {
      View v = shape;
      v.data = values.data();
      return v;
    };
    View vp = like(places, vg);
    vp.dtype = Dtype::i64;
    level.table().max_pool2d(test_context(), like(best, vg), vp, vx, p);
    level.table().avg_pool2d(test_context(), like(average, vg), vx, p);
    level.table().avg_pool2d_grad(test_context(), like(gx, vx), vg, p);
    std::vector<Sum> want_gx(x.size());
    for (int64_t o = 0; o < static_cast<int64_t>(g.size()); ++o) {
      const int64_t plane = o / static_cast<int64_t>(out_plane),
                    y = o % static_cast<int64_t>(out_plane) / c.out(1), z = o % c.out(1);
      std::vector<int64_t> seen;
      for (int64_t i = 0; i < c.kernel[0] * c.kernel[1]; ++i) {
        const int64_t sy = y * c.stride[0] + i / c.kernel[1] * c.dilation[0] - c.padding[0];
        const int64_t sx = z * c.stride[1] + i % c.kernel[1] * c.dilation[1] - c.padding[1];
        if (sy >= 0 && sx >= 0 && sy < c.in[0] && sx < c.in[1]) seen.push_back(sy * c.in[1] + sx);
      }
      ASSERT_FALSE(seen.empty());
      const double divisor = static_cast<double>(include ? c.kernel[0] * c.kernel[1]
                                                         : static_cast<int64_t>(seen.size()));
      const T* from = x.data() + plane * static_cast<int64_t>(in_plane);
      int64_t at = seen[0];
      Sum sum;
      for (const int64_t i : seen) {
        if (from[i] > from[at] || (std::isnan(from[i]) && !std::isnan(from[at]))) at = i;
        sum.add(static_cast<double>(from[i]) / divisor);
        want_gx[static_cast<size_t>(plane) * in_plane + static_cast<size_t>(i)].add(
            static_cast<double>(g[static_cast<size_t>(o)]) / divisor);
      }
      const size_t oi = static_cast<size_t>(o);
      ASSERT_EQ(places[oi], at);
      ASSERT_TRUE(best[oi] == from[at] || (std::isnan(best[oi]) && std::isnan(from[at])));
      if (std::isfinite(sum.value)) {
        ASSERT_LE(std::fabs(static_cast<double>(average[oi]) - sum.value),
                  8 * sum.magnitude * static_cast<double>(std::numeric_limits<T>::epsilon()));
      } else {
        ASSERT_EQ(std::isnan(average[oi]), std::isnan(sum.value));
      }
    }
    EXPECT_LE(worst_error(gx, want_gx), 8);
  }
}

TEST(PoolKernels, AgainstPlainLoops) {
  for (const CpuLevel& level : cpu_levels()) {
    for (const PoolCase& c : kPools) {
      SCOPED_TRACE(std::string(level.name) + " in " + std::to_string(c.in[0]) + "x" +
                   std::to_string(c.in[1]) + " kernel " + std::to_string(c.kernel[0]));
      check_pool<float>(level, c);
      check_pool<double>(level, c);
    }
  }
}

}  // namespace
}  // namespace tinytorch
