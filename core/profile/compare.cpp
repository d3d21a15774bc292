// Differences of two profiles. A category differs because some blocks that lived at one peak have
// no equal at the other; the ops that made most of them, and what their rows say on both sides,
// give the causes.
#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include <tinytorch/profile.h>

#include "core/profile/html.h"

namespace tinytorch {

namespace {

// Blocks of one category that one side has at its peak and the other has not.
std::vector<LiveBlock> unmatched(const MemoryProfile& these, const MemoryProfile& others,
                                 Category category) {
  std::map<std::tuple<std::string, std::string, Phase, int64_t>, int64_t> left;
  const auto key = [](const LiveBlock& b) { return std::tie(b.op, b.module, b.phase, b.bytes); };
  for (const LiveBlock& b : others.alive_at_peak)
    if (b.category == category) ++left[key(b)];
  std::vector<LiveBlock> out;
  for (const LiveBlock& b : these.alive_at_peak) {
    if (b.category != category) continue;
    const auto it = left.find(key(b));
    if (it == left.end() || it->second == 0) {
      out.push_back(b);
    } else {
      --it->second;
    }
  }
  return out;
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

std::map<std::string, Extra> extras(const DeviceProfile& a, const DeviceProfile& b,
                                    Category category) {
  std::map<std::string, Extra> by_op;
  for (const LiveBlock& block : unmatched(a.memory, b.memory, category)) {
    Extra& e = by_op[block.op];
    e.bytes_a += block.bytes;
    ++e.count_a;
    if (block.bytes > e.most) e.most = block.bytes, e.born = block.born;
  }
  for (const LiveBlock& block : unmatched(b.memory, a.memory, category)) {
    Extra& e = by_op[block.op];
    e.bytes_b += block.bytes;
    ++e.count_b;
    if (block.bytes > e.most) e.most = block.bytes, e.born = block.born;
  }
  return by_op;
}

std::string cause_of(const DeviceProfile& a, const DeviceProfile& b, Category category,
                     const std::string& op, const Extra& extra) {
  if (op.empty()) return "blocks from before the profile";
  if (category == Category::workspace) return "workspace of " + op;
  if (extra.count_a == extra.count_b) {
    const double ratio = static_cast<double>(extra.bytes_b) /
                         static_cast<double>(std::max<int64_t>(1, extra.bytes_a));
    const double power = std::log2(ratio);
    return (power == std::round(power) && std::abs(power) <= 3 ? "element size of " : "size of ") +
           op;
  }
  const bool more_in_b = extra.difference() > 0;
  const DeviceProfile &more = more_in_b ? b : a, &less = more_in_b ? a : b;
  const OpProfile here = sum_of(more, op), there = sum_of(less, op);
  if (only_copies(here, static_cast<double>(extra.most))) return "copy by " + op;
  if (there.calls == 0) return op + " runs on " + more.device + " only";
  if (has_twin(more.memory, op, extra.born, extra.most)) return "saved by " + op;
  return "result of " + op + " lives longer on " + more.device;
}

// Of the ops with the largest differences: three at most, none below a tenth of the largest; with
// their bytes where there are several.
std::string causes_of(const DeviceProfile& a, const DeviceProfile& b, Category category) {
  using report::signed_text, report::Unit;
  const std::map<std::string, Extra> by_op = extras(a, b, category);
  std::vector<std::pair<std::string, Extra>> ops(by_op.begin(), by_op.end());
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
    out += (i ? ", " : "") + cause_of(a, b, category, op, extra);
    if (count > 1) out += " " + signed_text(static_cast<double>(extra.difference()), Unit::bytes);
  }
  return out;
}

std::string share_of(int64_t part, int64_t whole) {
  return report::text(whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0,
                      report::Unit::share);
}

// What the allocators add to what is asked of them.
void add_allocator(const DeviceProfile& a, const DeviceProfile& b, ProfileDifference& out) {
  const auto row = [&](const char* name, int64_t of_a, int64_t of_b, int64_t whole_a,
                       int64_t whole_b, const char* whole) {
    if (of_a == 0 && of_b == 0) return;
    std::string cause;
    if (of_a != of_b)
      cause =
          share_of(of_a, whole_a) + " of what is " + whole + " against " + share_of(of_b, whole_b);
    out.memory.push_back({name, of_a, of_b, cause});
  };
  const MemoryStats &x = a.memory.after, &y = b.memory.after;
  row("rounding", a.memory.rounding_bytes(), b.memory.rounding_bytes(), x.in_use, y.in_use,
      "in use");
  row("cache", x.cached, y.cached, x.reserved, y.reserved, "reserved");
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

ProfileDifference compare(const DeviceProfile& a, const DeviceProfile& b) {
  ProfileDifference out;
  out.name_a = a.device;
  out.name_b = b.device;
  out.peak_a = a.memory.peak_bytes;
  out.peak_b = b.memory.peak_bytes;
  for (size_t i = 0; i < kCategoryCount; ++i) {
    const int64_t of_a = a.memory.at_peak[i], of_b = b.memory.at_peak[i];
    if (of_a == 0 && of_b == 0) continue;
    const auto category = static_cast<Category>(i);
    out.memory.push_back(
        {name_of(category), of_a, of_b, of_a == of_b ? "" : causes_of(a, b, category)});
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
  append(out, "%-16s %12s %12s %12s  cause\n", "at the peak", name_a.c_str(), name_b.c_str(),
         "difference");
  for (const Memory& m : memory) {
    append(out, "%-16s %12s %12s %12s  %s\n", m.category.c_str(), bytes(m.a).c_str(),
           bytes(m.b).c_str(),
           report::signed_text(static_cast<double>(m.b - m.a), Unit::bytes).c_str(),
           m.cause.c_str());
  }
  append(out, "%-26s %-9s %8s %8s %12s %12s\n", "op", "phase", "calls", "calls", name_a.c_str(),
         name_b.c_str());
  constexpr size_t kShown = 15;
  for (size_t i = 0; i < std::min(ops.size(), kShown); ++i) {
    const Op& op = ops[i];
    append(out, "%-26.26s %-9s %8lld %8lld %12s %12s\n", op.op.c_str(), name_of(op.phase),
           static_cast<long long>(op.calls_a), static_cast<long long>(op.calls_b),
           text(op.seconds_a, Unit::seconds).c_str(), text(op.seconds_b, Unit::seconds).c_str());
  }
  return out;
}

}  // namespace tinytorch
