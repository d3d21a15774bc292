// Rows of ops, points of a timeline, blocks at the peak and those that grow in number: what a
// device's profile is made of.
#include <algorithm>

#include "core/profile/analysis.h"

namespace tinytorch::profiling {

// ---- ops

void OpRows::op(const Event& e) {
  Row& found = *rows_.try_emplace({e.name, e.module, e.forward_op, e.phase}).first;
  of_id_[e.id] = &found;
  OpProfile& r = found.second;
  ++r.calls;
  r.host_seconds += static_cast<double>(e.end_ns - e.start_ns) * 1e-9;
  r.flops += e.flops;
  r.bytes += static_cast<double>(e.bytes);
}

void OpRows::timing(const Event& e) {
  const auto it = of_id_.find(e.op);
  if (it == of_id_.end()) return;  // launched before the profile began
  it->second->second.device_seconds += static_cast<double>(e.end_ns) * 1e-9;
}

std::vector<OpProfile> OpRows::sorted() const {
  std::vector<OpProfile> out;
  for (const auto& [key, row] : rows_) {
    OpProfile& r = out.emplace_back(row);
    std::tie(r.op, r.module, r.forward_op, r.phase) = key;
  }
  std::stable_sort(out.begin(), out.end(), [](const OpProfile& a, const OpProfile& b) {
    return a.seconds() > b.seconds();
  });
  return out;
}

// ---- timeline

void Timeline::add(const MemoryPoint& point) {
  if (points_.size() == 2 * kMost) halve();
  points_.push_back(point);
}

void Timeline::halve() {
  size_t kept = 0;
  for (size_t i = 0; i < points_.size(); i += 2) {
    const bool second =
        i + 1 < points_.size() && total(points_[i + 1].live) > total(points_[i].live);
    points_[kept++] = points_[i + (second ? 1 : 0)];
  }
  points_.resize(kept);
}

std::vector<MemoryPoint> Timeline::finish() {
  if (points_.size() > kMost) {
    const MemoryPoint last = points_.back();
    points_.pop_back();
    halve();
    if (points_.size() == kMost) points_.pop_back();
    points_.push_back(last);
  }
  return std::move(points_);
}

// ---- blocks

void Blocks::follow(const Event& e) {
  switch (e.kind) {
    case EventKind::op:
      wrote(e);
      ++ops_;
      break;
    case EventKind::copy:
      wrote(e);
      break;
    case EventKind::alloc: {
      leave(e.pointer, ops_);
      Known& known = live_[e.pointer];
      known.block = {e.category, e.phase, "", e.module, e.bytes, e.id ? ops_ : -1, -1};
      if (e.id) pending_.push_back({e.thread, e.category == Category::workspace, e.pointer});
      break;
    }
    case EventKind::free:
      leave(e.pointer, ops_);
      break;
    case EventKind::retag:
      if (const auto it = live_.find(e.pointer); it != live_.end())
        it->second.block.category = e.category;
      break;
    default:
      break;
  }
  if (events_++ != peak_) return;
  for (auto& [pointer, known] : live_) known.at_peak = true;
}

// An op's outputs are allocated before it, its workspace during it and perhaps on other threads.
void Blocks::wrote(const Event& e) {
  std::erase_if(pending_, [&](const Pending& p) {
    if (p.thread != e.thread && !p.workspace) return false;
    const auto it = live_.find(p.pointer);
    LiveBlock* block = p.found != SIZE_MAX ? &found_[p.found]
                       : it != live_.end() ? &it->second.block
                                           : nullptr;
    if (!block) return true;
    block->op = e.name;
    if (block->module.empty()) block->module = e.module;
    return true;
  });
}

void Blocks::leave(const void* pointer, int64_t op) {
  const auto it = live_.find(pointer);
  if (it == live_.end()) return;
  Known& known = it->second;
  count_growth(known);
  if (known.at_peak) {
    known.block.freed = op;
    for (Pending& p : pending_)
      if (p.pointer == pointer) p.found = found_.size();
    found_.push_back(std::move(known.block));
  }
  live_.erase(it);
}

void Blocks::first_step_ended() {
  for (auto& [pointer, known] : live_) known.after_first = true;
}
void Blocks::last_step_ended() {
  for (auto& [pointer, known] : live_) known.after_last = true;
}

void Blocks::count_growth(const Known& known) {
  const int64_t change = int64_t{known.after_last} - int64_t{known.after_first};
  if (change == 0) return;
  const LiveBlock& block = known.block;
  Growth& growth = growth_[{block.op, block.module, block.category}];
  growth.blocks += change;
  growth.bytes += change * block.bytes;
}

void Blocks::finish() {
  for (auto& [pointer, known] : live_) {
    count_growth(known);
    if (known.at_peak) found_.push_back(std::move(known.block));
  }
  live_.clear();
}

std::vector<Growth> Blocks::grown(size_t steps) const {
  std::vector<Growth> out;
  for (const auto& [key, sum] : growth_) {
    if (sum.bytes <= 0) continue;
    Growth& growth = out.emplace_back(sum);
    std::tie(growth.op, growth.module, growth.category) = key;
    growth.bytes_per_step = static_cast<double>(sum.bytes) / static_cast<double>(steps);
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const Growth& a, const Growth& b) { return a.bytes > b.bytes; });
  return out;
}

std::vector<LiveBlock> Blocks::at_peak(int64_t peak_bytes) {
  int64_t rest = peak_bytes;
  for (const LiveBlock& block : found_) rest -= block.bytes;
  if (rest != 0) {
    LiveBlock& before = found_.emplace_back();
    before.category = Category::other;
    before.bytes = rest;
  }
  std::sort(found_.begin(), found_.end(), [](const LiveBlock& a, const LiveBlock& b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes : a.born < b.born;
  });
  return std::move(found_);
}

}  // namespace tinytorch::profiling
