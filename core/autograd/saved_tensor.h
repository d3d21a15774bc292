// What formulas keep. Both kinds notice a change made in place after saving, and refuse it: never a
// wrong gradient.
#pragma once

#include "core/autograd/node.h"

namespace tinytorch {

[[noreturn]] TT_COLD void throw_changed(uint32_t saved, uint32_t now);
[[noreturn]] TT_COLD void throw_inference();

// An input (or anything made on the way), with its history.
class Saved {
 public:
  explicit Saved(Tensor t) : t_(std::move(t)) {  // by value and moved: one count, not three
    if (!t_.defined()) return;
    const Storage* s = t_.impl()->storage;
    if (TT_UNLIKELY(s->inference)) throw_inference();
    version_ = s->version;
  }
  const Tensor& operator()() const {
    if (t_.defined() && TT_UNLIKELY(t_.impl()->storage->version != version_))
      throw_changed(version_, t_.impl()->storage->version);
    return t_;
  }

 private:
  Tensor t_;
  uint32_t version_ = 0;
};

// The output: only its storage, so that there is no cycle. The running node knows its shape and
// becomes its history again on unpacking, which keeps double backward through exp, sigmoid or
// softmax right.
class SavedOutput {
 public:
  explicit SavedOutput(const Tensor& t, uint32_t output = 0)
      : s_(t.impl()->storage), version_(s_->version), output_(output) {
    s_->refs.retain();
  }
  SavedOutput(SavedOutput&& o) noexcept
      : s_(std::exchange(o.s_, nullptr)), version_(o.version_), output_(o.output_) {}
  SavedOutput(const SavedOutput& o) noexcept : s_(o.s_), version_(o.version_), output_(o.output_) {
    if (s_) s_->refs.retain();
  }
  SavedOutput& operator=(const SavedOutput&) = delete;
  ~SavedOutput() {
    if (s_) release(s_);
  }
  Tensor operator()() const;

 private:
  Storage* s_;
  uint32_t version_;
  uint32_t output_;
};

}  // namespace tinytorch
