// Differences of two profiles. A category differs because the peaks lie at different moments, or
// because some blocks that lived at one peak have no equal at the other; the ops that made most of
// them on the side that has more, and what their rows say on both sides, give the causes.
#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include <tinytorch/profile.h>

#include "core/profile/html.h"

namespace tinytorch {

namespace {

using Blocks = std::vector<const LiveBlock*>;

Blocks of_category(const MemoryProfile& memory, Category category) {
  Blocks out;
  for (const LiveBlock& b : memory.alive_at_peak)
    if (b.category == category) out.push_back(&b);
  return out;
}

// Takes away what has an equal on the other side, one for one.
template <class Key>
void drop_equal(Blocks& a, Blocks& b, const Key& key) {
  std::map<std::decay_t<decltype(key(*a[0]))>, int64_t> in_a, in_b;
  for (const LiveBlock* block : a) ++in_a[key(*block)];
  for (const LiveBlock* block : b) ++in_b[key(*block)];
  const auto drop = [&](Blocks& blocks, auto& others) {
    std::erase_if(blocks, [&](const LiveBlock* block) {
      const auto it = others.find(key(*block));
      return it != others.end() && it->second-- > 0;
    });
  };
  drop(a, in_b);
  drop(b, in_a);
}

// All rows of an op in one.
OpProfile sum_of(const DeviceProfile& d, const std::string& op) {
  OpProfile sum;
  for (const OpProfile& row : d.ops) {
    if (row.op != op) continue;
    sum.calls += row.calls;
    sum.flops += row.flops;
    sum.bytes += row.bytes;
  }
  return sum;
}

// Computes nothing, and moves as much as it reads and writes of such a block.
bool only_copies(const OpProfile& op, double block_bytes) {
  if (op.calls == 0 || op.flops != 0) return false;
  return op.bytes / static_cast<double>(op.calls) >= 1.9 * block_bytes;
}

struct Extra {  // one op's unmatched blocks
  int64_t bytes_a = 0, bytes_b = 0, count_a = 0, count_b = 0;
  int64_t most = 0, born = -1;  // of its largest block
  int64_t difference() const { return bytes_b - bytes_a; }
  int64_t size() const { return std::abs(difference()); }
};

bool has_twin(const MemoryProfile& m, const std::string& op, int64_t born, int64_t bytes) {
  return std::any_of(m.alive_at_peak.begin(), m.alive_at_peak.end(), [&](const LiveBlock& b) {
    return b.op == op && b.born == born && b.bytes != bytes;
  });
}

// Of blocks that the other side has not, not even under another op's name.
std::map<std::string, Extra> extras(const MemoryProfile& a, const MemoryProfile& b,
                                    Category category) {
  Blocks of_a = of_category(a, category), of_b = of_category(b, category);
  drop_equal(of_a, of_b, [](const LiveBlock& block) {
    return std::tuple(block.op, block.module, block.phase, block.bytes);
  });
  drop_equal(of_a, of_b, [](const LiveBlock& block) { return block.bytes; });
  std::map<std::string, Extra> by_op;
  const auto take = [&](const Blocks& blocks, int64_t Extra::*bytes, int64_t Extra::*count) {
    for (const LiveBlock* block : blocks) {
      Extra& e = by_op[block->op];
      e.*bytes += block->bytes;
      ++(e.*count);
      if (block->bytes > e.most) e.most = block->bytes, e.born = block->born;
    }
  };
  take(of_a, &Extra::bytes_a, &Extra::count_a);
  take(of_b, &Extra::bytes_b, &Extra::count_b);
  return by_op;
}

// Two sides and what they are called.
struct Sides {
  const DeviceProfile &a, &b;
  const std::string &name_a, &name_b;
};

// As much arithmetic on other bytes, in blocks that differ by a power of two.
bool other_element_size(const OpProfile& a, const OpProfile& b, const Extra& extra) {
  if (a.calls != b.calls || a.flops != b.flops || a.flops == 0 || a.bytes == b.bytes) return false;
  const double power = std::log2(static_cast<double>(extra.bytes_b) /
                                 static_cast<double>(std::max<int64_t>(1, extra.bytes_a)));
  return power == std::round(power) && std::abs(power) <= 3;
}

std::string cause_of(const Sides& sides, Category category, const std::string& op,
                     const Extra& extra) {
  if (op.empty()) return "blocks from before the profile";
  if (category == Category::workspace) return "workspace of " + op;
  const bool more_in_b = extra.difference() > 0;
  const DeviceProfile &more = more_in_b ? sides.b : sides.a, &less = more_in_b ? sides.a : sides.b;
  const std::string& name = more_in_b ? sides.name_b : sides.name_a;
  const OpProfile here = sum_of(more, op), there = sum_of(less, op);
  if (extra.count_a == extra.count_b)
    return (other_element_size(here, there, extra) ? "element size of " : "size of ") + op;
  if (only_copies(here, static_cast<double>(extra.most))) return "copy by " + op;
  if (there.calls == 0) return op + " runs on " + name + " only";
  if (has_twin(more.memory, op, extra.born, extra.most)) return "saved by " + op;
  return "result of " + op + " lives longer on " + name;
}

// The block whose allocation made the peak.
const LiveBlock* youngest(const MemoryProfile& memory) {
  const LiveBlock* found = nullptr;
  for (const LiveBlock& b : memory.alive_at_peak)
    if (!b.op.empty() && (!found || b.born > found->born)) found = &b;
  return found;
}

// Where the side with less has as many bytes of a category too, but not at its peak; else "".
std::string another_moment(const MemoryProfile& a, const MemoryProfile& b, Category category) {
  const auto i = static_cast<size_t>(category);
  const MemoryProfile& less = a.at_peak[i] < b.at_peak[i] ? a : b;
  const int64_t wanted = std::max(a.at_peak[i], b.at_peak[i]);
  const bool reached = std::any_of(less.timeline.begin(), less.timeline.end(),
                                   [&](const MemoryPoint& p) { return p.live[i] >= wanted; });
  const LiveBlock *of_a = youngest(a), *of_b = youngest(b);
  if (!reached || !of_a || !of_b) return "";
  std::string moment_a = name_of(of_a->phase), moment_b = name_of(of_b->phase);
  if (moment_a == moment_b) moment_a = of_a->op, moment_b = of_b->op;
  return moment_a == moment_b ? "" : "peak at another moment: " + moment_a + " against " + moment_b;
}

// Of the ops that have more on the side that has more, those with most: three at most, none below a
// tenth of the largest; with their bytes where there are several.
std::string causes_of(const Sides& sides, Category category, bool more_in_b) {
  using report::signed_text, report::Unit;
  const MemoryProfile &a = sides.a.memory, &b = sides.b.memory;
  if (const std::string moment = another_moment(a, b, category); !moment.empty()) return moment;
  std::vector<std::pair<std::string, Extra>> ops;
  for (const auto& [op, extra] : extras(a, b, category))
    if (extra.difference() != 0 && (extra.difference() > 0) == more_in_b)
      ops.emplace_back(op, extra);
  std::stable_sort(ops.begin(), ops.end(),
                   [](auto& x, auto& y) { return x.second.size() > y.second.size(); });
  constexpr size_t kMost = 3;
  size_t count = 0;
  while (count < std::min(ops.size(), kMost) &&
         ops[count].second.size() * 10 >= ops[0].second.size())
    ++count;
  std::string out;
  for (size_t i = 0; i < count; ++i) {
    const auto& [op, extra] = ops[i];
    out += (i ? ", " : "") + cause_of(sides, category, op, extra);
    if (count > 1) out += " " + signed_text(static_cast<double>(extra.difference()), Unit::bytes);
  }
  return out;
}

// What the allocators add to what is asked of them, at the end.
void add_allocator(const DeviceProfile& a, const DeviceProfile& b, ProfileDifference& out) {
  const auto row = [&](const char* name, int64_t of_a, int64_t of_b, const std::string& why_a,
                       const std::string& why_b) {
    if (of_a == 0 && of_b == 0) return;
    out.memory.push_back(
        {name, of_a, of_b, of_a == of_b || why_a == why_b ? "" : why_a + " against " + why_b});
  };
  const auto bytes = [](int64_t n) {
    return report::text(static_cast<double>(n), report::Unit::bytes);
  };
  const auto rounding = [&](const MemoryProfile& m) {
    const int64_t blocks = m.after.allocs - m.after.frees;
    return bytes(m.rounding_bytes() / std::max<int64_t>(1, blocks)) + " for each of " +
           report::text(static_cast<double>(blocks), report::Unit::count) + " blocks";
  };
  const auto cache = [&](const MemoryProfile& m) {
    return bytes(m.after.given) + " of " + bytes(m.after.reserved) + " in use";
  };
  const MemoryProfile &x = a.memory, &y = b.memory;
  row("rounding", x.rounding_bytes(), y.rounding_bytes(), rounding(x), rounding(y));
  row("cache", x.after.cached, y.after.cached, cache(x), cache(y));
}

void add_ops(const DeviceProfile& a, const DeviceProfile& b, ProfileDifference& out) {
  std::map<std::pair<std::string, Phase>, ProfileDifference::Op> rows;
  const auto row = [&](const OpProfile& op) -> ProfileDifference::Op& {
    ProfileDifference::Op& r = rows[{op.op, op.phase}];
    r.op = op.op;
    r.phase = op.phase;
    return r;
  };
  for (const OpProfile& op : a.ops) {
    ProfileDifference::Op& r = row(op);
    r.calls_a += op.calls;
    r.seconds_a += op.seconds();
    r.bytes_a += op.bytes;
  }
  for (const OpProfile& op : b.ops) {
    ProfileDifference::Op& r = row(op);
    r.calls_b += op.calls;
    r.seconds_b += op.seconds();
    r.bytes_b += op.bytes;
  }
  for (auto& [key, r] : rows) out.ops.push_back(std::move(r));
  const auto difference = [](const ProfileDifference::Op& r) {
    return std::abs(r.seconds_b - r.seconds_a);
  };
  std::stable_sort(out.ops.begin(), out.ops.end(),
                   [&](const auto& x, const auto& y) { return difference(x) > difference(y); });
}

}  // namespace

ProfileDifference compare(const DeviceProfile& a, const DeviceProfile& b, std::string_view name_a,
                          std::string_view name_b) {
  ProfileDifference out;
  out.name_a = name_a.empty() ? a.device : name_a;
  out.name_b = name_b.empty() ? b.device : name_b;
  if (out.name_a == out.name_b) out.name_a += " (a)", out.name_b += " (b)";
  out.peak_a = a.memory.peak_bytes;
  out.peak_b = b.memory.peak_bytes;
  const Sides sides{a, b, out.name_a, out.name_b};
  for (size_t i = 0; i < kCategoryCount; ++i) {
    const int64_t of_a = a.memory.at_peak[i], of_b = b.memory.at_peak[i];
    if (of_a == 0 && of_b == 0) continue;
    const auto category = static_cast<Category>(i);
    out.memory.push_back({name_of(category), of_a, of_b,
                          of_a == of_b ? "" : causes_of(sides, category, of_b > of_a)});
  }
  add_allocator(a, b, out);
  add_ops(a, b, out);
  return out;
}

std::string ProfileDifference::str() const {
  using report::append, report::text, report::Unit;
  const auto bytes = [](int64_t n) { return text(static_cast<double>(n), Unit::bytes); };
  std::string out;
  append(out, "peak: %s %s, %s %s\n", name_a.c_str(), bytes(peak_a).c_str(), name_b.c_str(),
         bytes(peak_b).c_str());
  const int width_a = std::max(12, static_cast<int>(name_a.size()));
  const int width_b = std::max(12, static_cast<int>(name_b.size()));
  append(out, "%-16s %*s %*s %12s  cause\n", "at the peak", width_a, name_a.c_str(), width_b,
         name_b.c_str(), "difference");
  for (const Memory& m : memory) {
    append(out, "%-16s %*s %*s %12s  %s\n", m.category.c_str(), width_a, bytes(m.a).c_str(),
           width_b, bytes(m.b).c_str(),
           report::signed_text(static_cast<double>(m.b - m.a), Unit::bytes).c_str(),
           m.cause.c_str());
  }
  append(out, "%-26s %-9s %8s %8s %*s %*s\n", "op", "phase", "calls", "calls", width_a,
         name_a.c_str(), width_b, name_b.c_str());
  constexpr size_t kShown = 15;
  for (size_t i = 0; i < std::min(ops.size(), kShown); ++i) {
    const Op& op = ops[i];
    append(out, "%-26.26s %-9s %8lld %8lld %*s %*s\n", op.op.c_str(), name_of(op.phase),
           static_cast<long long>(op.calls_a), static_cast<long long>(op.calls_b), width_a,
           text(op.seconds_a, Unit::seconds).c_str(), width_b,
           text(op.seconds_b, Unit::seconds).c_str());
  }
  return out;
}

}  // namespace tinytorch
