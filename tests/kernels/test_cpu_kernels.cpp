// Rows of the CPU kernel tables that move elements or work on them one by one, and reductions, at
// each instruction set against the reference: random layouts, dtypes and values.
#include "tests/kernels/kernel_test.h"

namespace tinytorch {
namespace {

constexpr Dtype kDtypes[] = {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16,
                             Dtype::i64, Dtype::i32, Dtype::u8,   Dtype::bool_};
constexpr Dtype kComputed[] = {Dtype::f32, Dtype::f64, Dtype::i64,
                               Dtype::i32, Dtype::u8,  Dtype::bool_};

bool floating(Dtype d) { return d == Dtype::f32 || d == Dtype::f64; }

// The columns of elementwise.def.
enum class Words { N, F, I, C, P, B };
bool takes(Words words, Dtype d) {
  switch (words) {
    case Words::N:
      return d != Dtype::bool_;
    case Words::F:
      return floating(d);
    case Words::I:
      return !floating(d) && d != Dtype::bool_;
    case Words::B:
      return d == Dtype::bool_;
    default:
      return true;
  }
}
struct Word {
  const char* name;
  Words words;
};
constexpr Word kUnary[] = {
#define TT_UNARY(name, words) {#name, Words::words},
#include <tinytorch/backend/elementwise.def>
#undef TT_UNARY
};
constexpr Word kBinary[] = {
#define TT_BINARY(name, words) {#name, Words::words},
#include <tinytorch/backend/elementwise.def>
#undef TT_BINARY
};

Shape strides_of(const TestTensor& t) {
  return Shape(t.view().strides.d, t.view().strides.d + t.view().rank);
}

class CpuElementwise : public CpuKernels {
 protected:
  TestTensor input(Dtype dtype, const Shape& shape) {
    TestTensor t(dtype, shape, random_strides(random_, shape, true));
    if (random_() % 3) {
      t.fill(random_, -4, 4);
    } else {
      t.fill_bits(random_);
    }
    return t;
  }
  TestTensor output(Dtype dtype, const Shape& shape) {
    return TestTensor(dtype, shape, random_strides(random_, shape, false));
  }
};

TEST_P(CpuElementwise, CopyBetweenAllDtypes) {
  for (int round = 0; round < 12; ++round) {
    for (const Dtype to : kDtypes) {
      for (const Dtype from : kDtypes) {
        const Shape shape = random_shape(random_);
        const TestTensor in = input(from, shape);
        TestTensor out = output(to, shape);
        const Call call = [&](const KernelTable& k, KernelContext& ctx) {
          k.copy(ctx, out.view(), in.view());
        };
        run({&out}, call);
        const Outcome want = reference({&out}, call);
        const bool narrow = to == Dtype::bf16 || to == Dtype::f16;
        if (narrow && !(from == to))
          continue;  // NaN has many bit patterns; test_convert checks these casts
        expect_close(out, want.bytes[0], 0,
                     std::string(name_of(from)) + " to " + name_of(to) + " " + text_of(shape));
      }
    }
  }
}

TEST_P(CpuElementwise, TransposedCopy) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::u8}) {
    for (const Shape& shape :
         {Shape{4, 5}, Shape{64, 64}, Shape{67, 130}, Shape{200, 129}, Shape{3, 70, 5, 66}}) {
      Shape strides(shape.size());
      int64_t step = 1;
      for (size_t d = 0; d < shape.size(); ++d) {  // column-major
        strides[d] = step;
        step *= shape[d];
      }
      TestTensor in(dtype, shape, strides), out(dtype, shape);
      in.fill_bits(random_);
      const Call call = [&](const KernelTable& k, KernelContext& ctx) {
        k.copy(ctx, out.view(), in.view());
      };
      run({&out}, call);
      expect_close(out, reference({&out}, call).bytes[0], 0, text_of(shape));
    }
  }
}

TEST_P(CpuElementwise, FillAndWhere) {
  for (int round = 0; round < 60; ++round) {
    for (const Dtype dtype : kDtypes) {
      const Shape shape = random_shape(random_);
      TestTensor out = output(dtype, shape);
      const ScalarValue value = {static_cast<double>(random_() % 200) - 70.5,
                                 static_cast<int64_t>(random_() % 200) - 70};
      const Call fill = [&](const KernelTable& k, KernelContext& ctx) {
        k.fill(ctx, out.view(), value);
      };
      run({&out}, fill);
      expect_close(out, reference({&out}, fill).bytes[0], 0, "fill " + text_of(shape));

      const TestTensor condition = input(Dtype::bool_, shape), a = input(dtype, shape),
                       b = input(dtype, shape);
      const Call where = [&](const KernelTable& k, KernelContext& ctx) {
        k.where(ctx, out.view(), condition.view(), a.view(), b.view());
      };
      run({&out}, where);
      expect_close(out, reference({&out}, where).bytes[0], 0, "where " + text_of(shape));
    }
  }
}

TEST_P(CpuElementwise, UnaryWords) {
  for (int round = 0; round < 6; ++round) {
    for (int op = 0; op < static_cast<int>(UnaryOp::count); ++op) {
      for (const Dtype dtype : kComputed) {
        if (!takes(kUnary[op].words, dtype)) continue;
        const bool predicate = kUnary[op].words == Words::P || kUnary[op].words == Words::B;
        const Shape shape = random_shape(random_);
        const TestTensor in = input(dtype, shape);
        TestTensor out = output(predicate ? Dtype::bool_ : dtype, shape);
        const UnaryParams p = {{-1.25, -1}, {2.5, 2}};
        const Call call = [&](const KernelTable& k, KernelContext& ctx) {
          k.unary(ctx, static_cast<UnaryOp>(op), out.view(), in.view(), p);
        };
        run({&out}, call);
        expect_close(out, reference({&out}, call).bytes[0], 4,
                     std::string(kUnary[op].name) + " " + name_of(dtype) + text_of(shape));
      }
    }
  }
}

TEST_P(CpuElementwise, BinaryWords) {
  for (int round = 0; round < 6; ++round) {
    for (int op = 0; op < static_cast<int>(BinaryOp::count); ++op) {
      for (const Dtype dtype : kComputed) {
        if (!takes(kBinary[op].words, dtype)) continue;
        const bool truth = kBinary[op].words == Words::C || kBinary[op].words == Words::B;
        const Shape shape = random_shape(random_);
        const TestTensor a = input(dtype, shape), b = input(dtype, shape);
        TestTensor out = output(truth ? Dtype::bool_ : dtype, shape);
        const Call call = [&](const KernelTable& k, KernelContext& ctx) {
          k.binary(ctx, static_cast<BinaryOp>(op), out.view(), a.view(), b.view());
        };
        const Outcome got = run({&out}, call), want = reference({&out}, call);
        EXPECT_EQ(got.error.kind, want.error.kind) << kBinary[op].name;
        EXPECT_EQ(got.error.position, want.error.position)
            << kBinary[op].name << " " << text_of(shape);
        const std::string what =
            std::string(kBinary[op].name) + " " + name_of(dtype) + text_of(shape);
        const BinaryOp word = static_cast<BinaryOp>(op);
        if (dtype == Dtype::f64 &&
            (word == BinaryOp::gelu_grad || word == BinaryOp::gelu_tanh_grad)) {
          TestTensor expected(
              dtype, shape,
              strides_of(out));  // the slope has a zero, where only |g| measures the error
          expected.restore(want.bytes[0]);
          expect_within(
              out, [&](int64_t i) { return expected.number(i); },
              [&](int64_t i) {
                return 4 * std::numeric_limits<double>::epsilon() * std::fabs(a.number(i));
              },
              what);
        } else {
          expect_close(out, want.bytes[0], 4, what);
        }
      }
    }
  }
}

// The output is one of the inputs.
TEST_P(CpuElementwise, InPlace) {
  for (int round = 0; round < 40; ++round) {
    const Shape shape = random_shape(random_);
    TestTensor x(Dtype::f32, shape, random_strides(random_, shape, false));
    const TestTensor y = input(Dtype::f32, shape);
    x.fill(random_, -3, 3);
    const Call tanh = [&](const KernelTable& k, KernelContext& ctx) {
      k.unary(ctx, UnaryOp::tanh, x.view(), x.view(), {});
    };
    run({&x}, tanh);
    expect_close(x, reference({&x}, tanh).bytes[0], 4, "tanh in place " + text_of(shape));
    const Call subtract = [&](const KernelTable& k, KernelContext& ctx) {
      k.binary(ctx, BinaryOp::sub, x.view(), y.view(), x.view());
    };
    run({&x}, subtract);
    expect_close(x, reference({&x}, subtract).bytes[0], 0, "sub in place " + text_of(shape));
    const TestTensor condition = input(Dtype::bool_, shape);
    const Call where = [&](const KernelTable& k, KernelContext& ctx) {
      k.where(ctx, x.view(), condition.view(), x.view(), y.view());
    };
    run({&x}, where);
    expect_close(x, reference({&x}, where).bytes[0], 0, "where in place " + text_of(shape));
  }
}

// Where an element stands, in the array or in memory, does not change its result.
TEST_P(CpuElementwise, SameBitsAtEveryPosition) {
  TestTensor in(Dtype::f32, {200}), out(Dtype::f32, {200}), single(Dtype::f32, {1}),
      one(Dtype::f32, {1});
  in.fill(random_, -6, 6);
  for (int op = 0; op < static_cast<int>(UnaryOp::count); ++op) {
    if (kUnary[op].words != Words::F && kUnary[op].words != Words::N) continue;
    const UnaryParams p = {{1.5, 1}, {2.5, 2}};
    cpu().unary(context(), static_cast<UnaryOp>(op), out.view(), in.view(), p);
    for (int64_t i = 0; i < in.numel(); ++i) {
      one.set(0, in.number(i));
      cpu().unary(context(), static_cast<UnaryOp>(op), single.view(), one.view(), p);
      ASSERT_EQ(std::memcmp(single.view().data, out.view().as<float>() + i, 4), 0)
          << kUnary[op].name << " of " << in.number(i);
    }
  }
}

TT_FOR_EACH_CPU_TABLE(CpuElementwise);

class CpuReduce : public CpuKernels {};

// A view of `out`, whose reduced dims have size 1, with the shape of the input.
View spread(const TestTensor& out, const TestTensor& in) {
  View v = out.view();
  v.numel = in.numel();
  v.contiguous = false;
  for (int d = 0; d < v.rank; ++d) {
    if (v.shape[d] != in.view().shape[d]) v.strides[d] = 0;
    v.shape[d] = in.view().shape[d];
  }
  return v;
}

TEST_P(CpuReduce, AllWords) {
  for (int round = 0; round < 500; ++round) {
    Shape shape = random_shape(random_), kept = shape;
    if (round % 10 == 0)
      shape = kept = {static_cast<int64_t>(1 + random_() % 3), 300,
                      static_cast<int64_t>(1 + random_() % 300)};
    int64_t count = 1;
    for (int64_t& size : kept) {
      if (random_() % 2) continue;
      count *= size;
      size = 1;
    }
    const Dtype dtype = kComputed[random_() % 6];
    ReduceOp op = static_cast<ReduceOp>(random_() % 3);
    if (op == ReduceOp::sum && dtype == Dtype::bool_) op = ReduceOp::max;
    if (op != ReduceOp::sum && count == 0) continue;
    TestTensor in(dtype, shape, random_strides(random_, shape, true)), out(dtype, kept),
        sizes(dtype, kept);
    in.fill(random_, -100, 100);
    if (floating(dtype) && in.numel() > 0 && random_() % 8 == 0)
      in.set(static_cast<int64_t>(random_()) % in.numel() & 1, NAN);
    const View view = spread(out, in);
    const ReduceParams p = {op == ReduceOp::sum && floating(dtype) ? 0.25 : 1};
    const Call call = [&](const KernelTable& k, KernelContext& ctx) {
      k.reduce(ctx, op, view, in.view(), p);
    };
    run({&out}, call);
    TestTensor want(dtype, kept);
    want.restore(reference({&out}, call).bytes[0]);
    // The sum of magnitudes bounds the error: 8 eps sum |x|.
    TestTensor magnitudes(dtype, shape, random_strides(random_, shape, false));
    for (int64_t i = 0; i < in.numel(); ++i) magnitudes.set(i, std::fabs(in.number(i)));
    const View size_view = spread(sizes, magnitudes);
    reference_table().reduce(context(), ReduceOp::sum, size_view, magnitudes.view(), p);
    const double eps = dtype == Dtype::f32 ? std::numeric_limits<float>::epsilon()
                                           : std::numeric_limits<double>::epsilon();
    expect_within(
        out, [&](int64_t i) { return want.number(i); },
        [&](int64_t i) {
          return op == ReduceOp::sum && floating(dtype) ? 8 * eps * sizes.number(i) : 0;
        },
        "op " + std::to_string(static_cast<int>(op)) + " " + name_of(dtype) + text_of(shape) +
            " to " + text_of(kept));
  }
}

TEST_P(CpuReduce, SumsThatNeedCare) {
  // One large and many small terms: a single chain of floats would lose the small ones.
  TestTensor in(Dtype::f32, {1 << 20}), out(Dtype::f32, {1});
  for (int64_t i = 0; i < in.numel(); ++i) in.set(i, i == 5 ? 1e8 : 0.1);
  const View view = spread(out, in);
  run({&out}, [&](const KernelTable& k, KernelContext& ctx) {
    k.reduce(ctx, ReduceOp::sum, view, in.view(), {1});
  });
  EXPECT_NEAR(out.number(0), 1e8 + 0.1 * (in.numel() - 1), 16);
  in.set(77, HUGE_VAL);
  run({&out}, [&](const KernelTable& k, KernelContext& ctx) {
    k.reduce(ctx, ReduceOp::sum, view, in.view(), {1});
  });
  EXPECT_EQ(out.number(0), HUGE_VAL);
}

TEST_P(CpuReduce, InfinityInDouble) {
  TestTensor in(Dtype::f64, {500}), out(Dtype::f64, {1});
  in.fill(random_, -1, 1);
  in.set(100, HUGE_VAL);
  const View view = spread(out, in);
  run({&out}, [&](const KernelTable& k, KernelContext& ctx) {
    k.reduce(ctx, ReduceOp::sum, view, in.view(), {1});
  });
  EXPECT_EQ(out.number(0), HUGE_VAL);
}

TEST_P(CpuReduce, ArgReduce) {
  for (int round = 0; round < 200; ++round) {
    const int64_t n = static_cast<int64_t>(1 + random_() % 200),
                  inner = random_() % 2 ? 1 : static_cast<int64_t>(1 + random_() % 90);
    const Shape shape = {static_cast<int64_t>(random_() % 20), n, inner},
                reduced = {shape[0], inner};
    const Dtype dtype = kComputed[random_() % 6];
    TestTensor in(dtype, shape), values(dtype, reduced), indices(Dtype::i64, reduced);
    in.fill(random_, -5, 5);
    for (int64_t i = 0; floating(dtype) && i < in.numel(); ++i)
      in.set(i, std::round(in.number(i)));  // many equals
    if (floating(dtype) && in.numel() > 3) {
      in.set(in.numel() / 2, NAN);
      in.set(in.numel() / 2 + 1, NAN);
    }
    const View* const to = random_() % 3 ? &values.view() : nullptr;
    const ReduceOp op = random_() % 2 ? ReduceOp::max : ReduceOp::min;
    const Call call = [&](const KernelTable& k, KernelContext& ctx) {
      k.arg_reduce(ctx, op, to, indices.view(), in.view());
    };
    run({&values, &indices}, call);
    const Outcome want = reference({&values, &indices}, call);
    expect_close(values, want.bytes[0], 0, "values " + text_of(shape));
    expect_close(indices, want.bytes[1], 0, "indices " + text_of(shape));
  }
}

TT_FOR_EACH_CPU_TABLE(CpuReduce);

}  // namespace
}  // namespace tinytorch
