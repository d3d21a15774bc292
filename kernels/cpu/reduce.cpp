// The row `reduce`: dims are merged into kept and reduced axes, then either rows (the unit stride
// is reduced) or columns (it is kept) are summed. Work is cut into blocks by shape alone and the
// results of blocks are merged in order, so the bits do not depend on the number of threads.
#include "kernels/cpu/reduce_impl.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

constexpr int64_t kBlock = 64 << 10;  // elements: about what a task should be at least
constexpr int64_t kTile = 512;        // columns taken at a time

// Moves the axis of unit stride to the end; false if there is none.
bool unit_last(ReduceAxis* axes, int n) {
  for (int i = n - 1; i >= 0; --i) {
    if (axes[i].in != 1) continue;
    const ReduceAxis unit = axes[i];
    for (int j = i; j + 1 < n; ++j) axes[j] = axes[j + 1];
    axes[n - 1] = unit;
    return true;
  }
  return false;
}

// Merges neighbours of one kind where the strides allow it, and picks the innermost axis.
ReducePlan plan_reduce(const View& out, const View& in) {
  ReducePlan plan;
  int last = -1;  // kind of the axis before: 0 kept, 1 reduced
  for (int d = 0; d < in.rank; ++d) {
    const int64_t size = in.shape[d];
    const int kind = out.strides[d] == 0 ? 1 : 0;
    (kind ? plan.count : plan.outputs) *= size;
    if (size == 1) continue;
    ReduceAxis* axes = kind ? plan.r : plan.k;
    int& n = kind ? plan.reduced : plan.kept;
    if (last == kind && axes[n - 1].in == in.strides[d] * size &&
        axes[n - 1].out == out.strides[d] * size) {
      axes[n - 1] = {axes[n - 1].size * size, in.strides[d], out.strides[d]};
    } else {
      axes[n++] = {size, in.strides[d], out.strides[d]};
    }
    last = kind;
  }
  plan.columns = unit_last(plan.k, plan.kept);
  if (plan.reduced == 0) plan.r[plan.reduced++] = {1, 1, 0};
  if (!plan.columns) unit_last(plan.r, plan.reduced);
  return plan;
}

struct Run {
  KernelContext& ctx;
  const ReduceLoops& loops;
  const ReducePlan& plan;
  char* out;
  const char* in;
  double scale;

  char* to(int64_t offset) const { return out + offset * loops.element_bytes; }
  const char* from(int64_t offset) const { return in + offset * loops.element_bytes; }
};

void write_nothing(const Run& run) {
  const double zeros[2] = {0, 0};
  ReduceCursor cursor(run.plan.k, run.plan.kept, 0);
  for (int64_t i = 0; i < run.plan.outputs; ++i, cursor.next()) {
    run.loops.write(run.to(cursor.out), 1, zeros, 1, 1, run.scale);
  }
}

void rows_in_one_block(const Run& run, int64_t begin, int64_t end) {
  const ReducePlan& plan = run.plan;
  if (plan.count <= 8 && plan.reduced == 1)
    return run.loops.few(run.out, run.in, plan, run.scale, begin, end);
  alignas(8) char part[16];
  for (ReduceCursor cursor(plan.k, plan.kept, begin); begin < end; ++begin, cursor.next()) {
    run.loops.range(part, run.from(cursor.in), plan, 0, plan.count);
    run.loops.write(run.to(cursor.out), 1, part, 1, 1, run.scale);
  }
}

void reduce_rows(const Run& run) {
  const ReducePlan& plan = run.plan;
  const int64_t blocks = ceil_div(plan.count, kBlock);
  if (blocks == 1) {
    const int64_t per_task = larger<int64_t>(1, kBlock / plan.count);
    parallel_for(run.ctx, ceil_div(plan.outputs, per_task), [&](int64_t task) {
      rows_in_one_block(run, task * per_task, smaller((task + 1) * per_task, plan.outputs));
    });
    return;
  }
  const int64_t part_bytes = run.loops.part_bytes * run.loops.parts;
  Workspace memory(run.ctx, static_cast<size_t>(plan.outputs * blocks * part_bytes));
  char* parts = static_cast<char*>(memory.data());
  parallel_for(run.ctx, plan.outputs * blocks, [&](int64_t task) {
    const ReduceCursor cursor(plan.k, plan.kept, task / blocks);
    const int64_t begin = task % blocks * kBlock;
    run.loops.range(parts + task * part_bytes, run.from(cursor.in), plan, begin,
                    smaller(begin + kBlock, plan.count));
  });
  ReduceCursor cursor(plan.k, plan.kept, 0);
  for (int64_t o = 0; o < plan.outputs; ++o, cursor.next()) {
    char* first = parts + o * blocks * part_bytes;
    for (int64_t b = 1; b < blocks; ++b) run.loops.merge(first, 1, b * run.loops.parts, 1);
    run.loops.write(run.to(cursor.out), 1, first, 1, 1, run.scale);
  }
}

// Columns in tiles, their rows in blocks. Parts of a (outer, tile) pair stand together, block after
// block.
void reduce_columns(const Run& run) {
  const ReducePlan& plan = run.plan;
  const ReduceAxis& inner = plan.k[plan.kept - 1];
  const int64_t tile = smaller(inner.size, kTile), tiles = ceil_div(inner.size, tile);
  const int64_t stride = ceil_div(tile, run.loops.lanes) * run.loops.lanes;
  const int64_t block = ceil_div(kBlock, tile * 8) * 8, blocks = ceil_div(plan.count, block);
  const int64_t pairs = plan.outputs / inner.size * tiles,
                part_bytes = stride * run.loops.parts * run.loops.part_bytes;
  const auto sum = [&](int64_t pair, int64_t b, char* parts) {
    const ReduceCursor cursor(plan.k, plan.kept - 1, pair / tiles);
    const int64_t column = pair % tiles * tile;
    run.loops.columns(parts, stride, run.from(cursor.in + column), plan, b * block,
                      smaller((b + 1) * block, plan.count), smaller(tile, inner.size - column));
  };
  const auto write = [&](int64_t pair, const char* parts) {
    const ReduceCursor cursor(plan.k, plan.kept - 1, pair / tiles);
    const int64_t column = pair % tiles * tile;
    run.loops.write(run.to(cursor.out + column * inner.out), inner.out, parts, stride,
                    smaller(tile, inner.size - column), run.scale);
  };
  if (blocks == 1) {
    const int64_t per_task = larger<int64_t>(1, kBlock / (tile * plan.count));
    parallel_for(run.ctx, ceil_div(pairs, per_task), [&](int64_t task) {
      alignas(64) char parts[kTile * 2 * sizeof(double)];
      for (int64_t pair = task * per_task; pair < smaller((task + 1) * per_task, pairs); ++pair) {
        sum(pair, 0, parts);
        write(pair, parts);
      }
    });
    return;
  }
  Workspace memory(run.ctx, static_cast<size_t>(pairs * blocks * part_bytes));
  char* parts = static_cast<char*>(memory.data());
  parallel_for(run.ctx, pairs * blocks,
               [&](int64_t task) { sum(task / blocks, task % blocks, parts + task * part_bytes); });
  for (int64_t pair = 0; pair < pairs; ++pair) {
    char* first = parts + pair * blocks * part_bytes;
    for (int64_t b = 1; b < blocks; ++b)
      run.loops.merge(first, stride, b * stride * run.loops.parts, stride);
    write(pair, first);
  }
}

// [rows, width] dense and narrow: read as [rows / fold, fold * width], of which `fold` columns then
// make one result.
void reduce_narrow(const Run& run) {
  const ReduceAxis& inner = run.plan.k[0];
  const int64_t width = inner.size, rows = run.plan.count, fold = kTile / width,
                wide = fold * width;
  const int64_t stride = ceil_div(wide, run.loops.lanes) * run.loops.lanes;
  const int64_t block = ceil_div(kBlock, wide * 8) * 8 * fold, blocks = ceil_div(rows, block);
  const int64_t part_bytes = stride * run.loops.parts * run.loops.part_bytes;
  const auto sum = [&](int64_t b, char* parts) {
    const int64_t first = b * block, n = smaller(block, rows - first), whole = n / fold,
                  rest = n % fold;
    ReducePlan folded;
    folded.reduced = 1;
    folded.r[0] = {whole + 1, wide, 0};
    run.loops.columns(parts, stride, run.from(first * width), folded, 0, whole, wide);
    if (rest)
      run.loops.one_row(parts, stride, run.from((first + whole * fold) * width), rest * width);
    for (int64_t f = 1; f < fold; ++f) run.loops.merge(parts, stride, f * width, width);
  };
  if (blocks == 1) {
    alignas(64) char parts[kTile * 2 * sizeof(double)];
    sum(0, parts);
    run.loops.write(run.out, inner.out, parts, stride, width, run.scale);
    return;
  }
  Workspace memory(run.ctx, static_cast<size_t>(blocks * part_bytes));
  char* parts = static_cast<char*>(memory.data());
  parallel_for(run.ctx, blocks, [&](int64_t b) { sum(b, parts + b * part_bytes); });
  for (int64_t b = 1; b < blocks; ++b)
    run.loops.merge(parts, stride, b * stride * run.loops.parts, width);
  run.loops.write(run.out, inner.out, parts, stride, width, run.scale);
}

bool is_narrow(const ReducePlan& plan) {
  return plan.kept == 1 && plan.reduced == 1 && plan.r[0].in == plan.k[0].size &&
         plan.k[0].size <= 64 && plan.count * plan.k[0].size > 2 * kTile;
}

const ReduceLoops* loops_of(ReduceOp op, Dtype dtype) {
  switch (op) {
    case ReduceOp::sum:
      return reduce_loops_sum(dtype);
    case ReduceOp::max:
      return reduce_loops_max(dtype);
    case ReduceOp::min:
      return reduce_loops_min(dtype);
    case ReduceOp::count:
      break;
  }
  return nullptr;
}

// What a tiny network sums most: a few dense rows of floats into one row. True if it was done.
bool sum_few_rows(const View& out, const View& in, double scale) {
  constexpr int64_t kMost = 64;
  if (in.dtype != Dtype::f32 || in.rank != 2 || !in.contiguous || out.strides[0] != 0) return false;
  const int64_t rows = in.shape[0], width = in.shape[1];
  if (rows > kMost || width > kMost || (width > 1 && out.strides[1] != 1)) return false;
  double sums[kMost];
  for (int64_t c = 0; c < width; ++c) sums[c] = 0;
  const float* x = static_cast<const float*>(in.data);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < width; ++c) sums[c] += static_cast<double>(x[r * width + c]);
  }
  float* o = static_cast<float*>(out.data);
  for (int64_t c = 0; c < width; ++c) o[c] = static_cast<float>(sums[c] * scale);
  return true;
}

}  // namespace

void reduce(KernelContext& ctx, ReduceOp op, const View& out, const View& in,
            const ReduceParams& p) {
  if (op == ReduceOp::sum && sum_few_rows(out, in, p.scale)) return;
  const ReduceLoops* loops = loops_of(op, in.dtype);
  const ReducePlan plan = plan_reduce(out, in);
  if (!loops || plan.outputs == 0) return;
  const Run run{
      ctx, *loops, plan, static_cast<char*>(out.data), static_cast<const char*>(in.data), p.scale};
  if (plan.count == 0) return write_nothing(run);
  if (!plan.columns) return reduce_rows(run);
  if (is_narrow(plan)) return reduce_narrow(run);
  reduce_columns(run);
}

}  // namespace tinytorch::TT_KERNEL_NS
