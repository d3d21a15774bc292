// DataLoader: walks over a dataset in batches. The order is a function of seed and epoch, and the
// same on every backend.
#pragma once

#include <concepts>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include <tinytorch/data/dataset.h>

namespace tinytorch {

struct DataLoaderOptions {
  int64_t batch_size = 1;
  bool shuffle = false;
  bool drop_last = false;  // leaves out a last batch that is not full
  uint64_t seed = 0;       // of the shuffling
  // Where batches arrive; unset: where the dataset is. While one batch is worked on, the next is
  // fetched and copied on a stream of the loader's own.
  std::optional<Device> device{};
};

// DataLoader loader(TensorDataset(x, y), {.batch_size = 32, .shuffle = true});
// for (const auto& [x, y] : loader) ...
//
// Each begin() starts the next epoch and, with shuffle, a new order. Unshuffled batches of a
// TensorDataset are views.
class TT_API DataLoader {
 public:
  class TT_API Iterator {
   public:
    using value_type = Batch;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    const Batch& operator*() const { return batch_; }
    const Batch* operator->() const { return &batch_; }
    Iterator& operator++();
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return left_ == 0; }

   private:
    friend class DataLoader;
    Iterator(std::shared_ptr<const Dataset> dataset, const DataLoaderOptions& options, Tensor order,
             int64_t samples);
    Batch load();  // the next samples, where the dataset is; undefined at the end
    void fetch();  // makes them the current batch
    void prefetch();

    std::shared_ptr<const Dataset> dataset_;
    Tensor order_;                  // i64 [size]; undefined: as they come
    int64_t batch_size_, left_;     // left_: samples not yet passed
    int64_t loaded_ = 0, samples_;  // samples taken from the dataset, of all
    std::optional<Device> device_;
    std::shared_ptr<Stream> stream_;  // of the copies to device_
    Batch batch_, next_;
  };

  // ValueError unless batch_size >= 1.
  DataLoader(std::shared_ptr<const Dataset> dataset, const DataLoaderOptions& options);
  template <std::derived_from<Dataset> D>
  explicit DataLoader(D dataset, const DataLoaderOptions& options = {})
      : DataLoader(std::make_shared<const D>(std::move(dataset)), options) {}

  DataLoader(const DataLoader&) = default;  // shares the dataset; a move is a copy
  DataLoader& operator=(const DataLoader&) = default;

  int64_t size() const;  // batches in an epoch
  const Dataset& dataset() const { return *dataset_; }
  uint64_t epoch() const { return epoch_; }           // which begin() starts next, from 0
  void set_epoch(uint64_t epoch) { epoch_ = epoch; }  // to go on where training stopped
  Iterator begin();
  std::default_sentinel_t end() const { return {}; }

 private:
  std::shared_ptr<const Dataset> dataset_;
  DataLoaderOptions options_;
  uint64_t epoch_ = 0;
};

}  // namespace tinytorch
