// DataLoader. An epoch's order comes from a generator of its own, so loading never moves the
// default one.
#include <tinytorch/data/loader.h>

#include <algorithm>

#include <tinytorch/error.h>
#include <tinytorch/ops/random.h>
#include <tinytorch/profiler.h>

namespace tinytorch {

// SplitMix64 (Steele, Lea and Flood 2014): neighbouring seeds and epochs become unrelated keys.
static uint64_t mixed(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

DataLoader::DataLoader(std::shared_ptr<const Dataset> dataset, const DataLoaderOptions& options)
    : dataset_(std::move(dataset)), options_(options) {
  if (!dataset_) throw ValueError("[DataLoader] the dataset is null");
  if (options_.batch_size < 1) {
    throw ValueError("[DataLoader] batch_size is " + std::to_string(options_.batch_size) +
                     ", must be at least 1");
  }
}

int64_t DataLoader::size() const {
  const int64_t samples = dataset_->size(), batch = options_.batch_size;
  return samples / batch + (!options_.drop_last && samples % batch ? 1 : 0);
}

DataLoader::Iterator DataLoader::begin() {
  const CategoryGuard category(Category::input);
  const int64_t samples = dataset_->size();
  Tensor order;
  if (options_.shuffle && samples > 0) {
    const Generator generator(mixed(mixed(options_.seed) + epoch_), dataset_->device());
    order = randperm(samples, {.generator = generator});
  }
  ++epoch_;
  const int64_t left_out = options_.drop_last ? samples % options_.batch_size : 0;
  return Iterator(dataset_, options_, std::move(order), samples - left_out);
}

DataLoader::Iterator::Iterator(std::shared_ptr<const Dataset> dataset,
                               const DataLoaderOptions& options, Tensor order, int64_t samples)
    : dataset_(std::move(dataset)),
      order_(std::move(order)),
      batch_size_(options.batch_size),
      left_(samples),
      samples_(samples),
      device_(options.device) {
  if (device_) {
    stream_ = create_stream(*device_);
    prefetch();
  }
  fetch();
}

DataLoader::Iterator& DataLoader::Iterator::operator++() {
  left_ -= std::min(batch_size_, left_);
  fetch();
  return *this;
}

Batch DataLoader::Iterator::load() {
  const int64_t start = loaded_, count = std::min(batch_size_, samples_ - loaded_);
  if (count == 0) return {};
  loaded_ += count;
  return order_.defined() ? dataset_->take(order_.narrow(0, start, count))
                          : dataset_->range(start, count);
}

void DataLoader::Iterator::fetch() {
  const CategoryGuard category(Category::input);
  batch_ = {};  // first, so that no more than needed are held at once
  if (!device_) {
    batch_ = load();
    return;
  }
  wait_stream(current_stream(*device_), *stream_);
  batch_ = std::move(next_);
  prefetch();
}

void DataLoader::Iterator::prefetch() {
  next_ = load();
  const StreamGuard guard(*device_, *stream_);
  if (next_.x.defined()) next_.x = next_.x.to(*device_);
  if (next_.y.defined()) next_.y = next_.y.to(*device_);
}

}  // namespace tinytorch
