// Datasets, the loader's order, and the IDX reader with every kind of damaged file.
#include <algorithm>
#include <numeric>

#include "tests/nn_support.h"

namespace tinytorch {
namespace {

TensorDataset numbers(int64_t n) {
  const Tensor x = arange(n, {.dtype = Dtype::f32}).reshape({n, 1});
  return TensorDataset(x, arange(n));
}

std::vector<int64_t> order(DataLoader& loader) {
  std::vector<int64_t> seen;
  for (const auto& [x, y] : loader) {
    const std::vector<int64_t> labels = y.to_vector<int64_t>();
    EXPECT_EQ(x.to_vector<int64_t>(), labels);
    seen.insert(seen.end(), labels.begin(), labels.end());
  }
  return seen;
}

TEST(Dataset, TensorsMustFit) {
  EXPECT_THROW(TensorDataset{Tensor()}, ValueError);
  expect_error<ShapeError>([] { TensorDataset(ones({3}), ones({2})); }, {"[3]", "[2]"});
  EXPECT_THROW(TensorDataset(ones({})), ShapeError);
  const Tensor on_cpu = ones({2}, {.device = Device("cpu")});
  EXPECT_THROW(TensorDataset(on_cpu, on_cpu.to(Device("reference"))), DeviceError);
  const TensorDataset data = numbers(10);
  EXPECT_THROW(data.range(8, 3), IndexError);
  EXPECT_THROW(data.range(-1, 2), IndexError);
  const TensorDataset part = data.subset(2, 3);
  EXPECT_EQ(part.size(), 3);
  EXPECT_EQ(part.y().to_vector<int64_t>(), (std::vector<int64_t>{2, 3, 4}));
  EXPECT_TRUE(part.x().shares_storage(data.x()));
  const Batch taken = data.take(tensor<int64_t>({7, 1, 1}));
  EXPECT_EQ(taken.y.to_vector<int64_t>(), (std::vector<int64_t>{7, 1, 1}));
  EXPECT_FALSE(TensorDataset(ones({2})).range(0, 1).y.defined());
}

TEST(DataLoader, BatchesInOrder) {
  DataLoader loader(numbers(10), {.batch_size = 4});
  EXPECT_EQ(loader.size(), 3);
  std::vector<int64_t> sizes;
  for (const Batch& batch : loader) sizes.push_back(batch.x.size(0));
  EXPECT_EQ(sizes, (std::vector<int64_t>{4, 4, 2}));
  std::vector<int64_t> all(10);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(order(loader), all);

  DataLoader dropping(numbers(10), {.batch_size = 4, .drop_last = true});
  EXPECT_EQ(dropping.size(), 2);
  EXPECT_EQ(order(dropping).size(), 8u);
  DataLoader single(numbers(3));
  EXPECT_EQ(single.size(), 3);
  DataLoader nothing(numbers(0), {.batch_size = 4, .shuffle = true});
  EXPECT_EQ(nothing.size(), 0);
  EXPECT_TRUE(order(nothing).empty());
  EXPECT_THROW(DataLoader(numbers(3), {.batch_size = 0}), ValueError);
  EXPECT_THROW(DataLoader(std::shared_ptr<const Dataset>(), {}), ValueError);
}

TEST(DataLoader, ShufflesBySeedAndEpoch) {
  const DataLoaderOptions options{.batch_size = 7, .shuffle = true, .seed = 3};
  DataLoader a(numbers(50), options), b(numbers(50), options);
  const std::vector<int64_t> first = order(a), second = order(a);
  EXPECT_NE(first, second);
  EXPECT_EQ(a.epoch(), 2u);
  std::vector<int64_t> sorted = first;
  std::sort(sorted.begin(), sorted.end());
  for (int64_t i = 0; i < 50; ++i) EXPECT_EQ(sorted[static_cast<size_t>(i)], i);
  manual_seed(99);
  randn({10});  // the default generator has no influence
  b.set_epoch(1);
  EXPECT_EQ(order(b), second);
  b.set_epoch(0);
  EXPECT_EQ(order(b), first);
  DataLoader other(numbers(50), {.batch_size = 7, .shuffle = true, .seed = 4});
  EXPECT_NE(order(other), first);
}

TEST(DataLoader, TheOrderIsTheSameOnEveryBackend) {
  std::vector<std::vector<int64_t>> orders;
  for (const char* name : {"cpu", "reference"}) {
    const DeviceGuard guard{Device(name)};
    DataLoader loader(numbers(40), {.batch_size = 8, .shuffle = true, .seed = 5});
    orders.push_back(order(loader));
  }
  EXPECT_EQ(orders[0], orders[1]);
}

// Work on one batch while the next is on its way, also where streams run late.
TEST(DataLoader, BatchesArriveOnADevice) {
  for (const char* name : {"cpu", "reference", "late", "cudatwin"}) {
    SCOPED_TRACE(name);
    const Device device(name);
    const int64_t live = memory_stats(device).in_use;
    const Tensor x = arange(77.0).reshape({11, 7}), y = arange(11.0);
    DataLoader loader(TensorDataset(x, y), {.batch_size = 3, .shuffle = true, .device = device});
    DataLoader here(TensorDataset(x, y), {.batch_size = 3, .shuffle = true});
    for (int epoch = 0; epoch < 2; ++epoch) {
      auto expected = here.begin();
      int batches = 0;
      for (const Batch& batch : loader) {
        EXPECT_EQ(batch.x.device().name(), device.name());
        const Tensor product = batch.x * batch.y.reshape({-1, 1});
        EXPECT_EQ(product.to_vector<float>(),
                  (expected->x * expected->y.reshape({-1, 1})).to_vector<float>());
        ++expected;
        ++batches;
      }
      EXPECT_EQ(batches, 4);
    }
    device.synchronize();
    if (device.name() != x.device().name()) {
      EXPECT_EQ(memory_stats(device).in_use, live);
    }
  }
  EXPECT_THROW(DataLoader(numbers(3), {.device = Device("nowhere")}), DeviceError);
}

TEST(DataLoader, OwnDatasets) {
  struct Squares : Dataset {
    int64_t size() const override { return 5; }
    Device device() const override { return Device("cpu"); }
    Batch take(const Tensor& index) const override { return {index * index, {}}; }
  };
  DataLoader loader(Squares(), {.batch_size = 3});
  std::vector<int64_t> seen;
  for (const Batch& b : loader)
    for (const int64_t v : b.x.to_vector<int64_t>()) seen.push_back(v);
  EXPECT_EQ(seen, (std::vector<int64_t>{0, 1, 4, 9, 16}));
}

// ---- IDX

std::string idx(uint8_t type, std::vector<uint32_t> dims, const std::string& data) {
  std::string out{0, 0, static_cast<char>(type), static_cast<char>(dims.size())};
  for (const uint32_t d : dims)
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(d >> shift);
  return out + data;
}

class Idx : public testing::Test {
 protected:
  Tensor read(const std::string& bytes) {
    write_text(folder.file("a.idx"), bytes);
    return read_idx(folder.file("a.idx"));
  }
  void expect_damaged(const std::string& bytes, std::initializer_list<const char*> parts) {
    expect_error<IoError>([&] { read(bytes); }, parts);
  }
  TemporaryFolder folder;
};

TEST_F(Idx, EveryElementType) {
  using namespace std::string_literals;
  const Tensor bytes = read(idx(8, {2, 2}, "\x00\x01\xfe\xff"s));
  EXPECT_EQ(bytes.dtype(), Dtype::u8);
  EXPECT_EQ(bytes.shape().str(), "[2, 2]");
  EXPECT_EQ(bytes.to_vector<int>(), (std::vector<int>{0, 1, 254, 255}));
  const Tensor small = read(idx(9, {3}, "\x01\xff\x80"s));
  EXPECT_EQ(small.dtype(), Dtype::i32);
  EXPECT_EQ(small.to_vector<int>(), (std::vector<int>{1, -1, -128}));
  const Tensor shorts = read(idx(11, {2}, "\x01\x02\xff\xfe"s));
  EXPECT_EQ(shorts.dtype(), Dtype::i32);
  EXPECT_EQ(shorts.to_vector<int>(), (std::vector<int>{258, -2}));
  EXPECT_EQ(read(idx(12, {1}, "\x80\x00\x00\x01"s)).item<int64_t>(), -2147483647);
  const Tensor floats = read(idx(13, {1}, "\x3f\xc0\x00\x00"s));
  EXPECT_EQ(floats.dtype(), Dtype::f32);
  EXPECT_EQ(floats.item(), 1.5);
  const Tensor doubles = read(idx(14, {1}, "\xc0\x04\x00\x00\x00\x00\x00\x00"s));
  EXPECT_EQ(doubles.dtype(), Dtype::f64);
  EXPECT_EQ(doubles.item(), -2.5);
  EXPECT_EQ(read(idx(13, {0, 5}, "")).shape().str(), "[0, 5]");
}

TEST_F(Idx, LargeArraysAreReadInPieces) {
  std::string data(2 * 3'000'000, '\0');
  data[5'999'999] = 7;
  const Tensor t = read(idx(11, {3000, 1000}, data));
  EXPECT_EQ(t[2999][999].item<int>(), 7);
  EXPECT_EQ(t.sum().item<int>(), 7);
}

TEST_F(Idx, CompressedFiles) {
  const Tensor t = read_idx(data_path("data_idx.gz"));
  EXPECT_EQ(t.shape().str(), "[2, 3, 4]");
  EXPECT_EQ(t.dtype(), Dtype::u8);
  for (int i = 0; i < 24; ++i) EXPECT_EQ(t.flatten()[i].item<int>(), i);

  const std::string whole = read_text(data_path("data_idx.gz"));
  for (size_t length = 1; length < whole.size(); ++length)
    EXPECT_THROW(read(whole.substr(0, length)), IoError) << length;
  std::string damaged = whole;
  damaged[whole.size() - 6] ^= 1;  // the checksum
  expect_damaged(damaged, {"a.idx", "damaged"});
  damaged = whole;
  damaged[14] ^= 0x55;
  EXPECT_THROW(read(damaged), IoError);
}

TEST_F(Idx, DamagedFilesAreNamedWithTheByte) {
  const std::string good = idx(8, {2, 3}, "abcdef");
  EXPECT_EQ(read(good).numel(), 6);
  expect_error<IoError>([&] { read_idx(folder.file("none")); },
                        {"none", "cannot be opened", "No such file"});
  expect_error<IoError>([&] { read_idx(folder.path()); }, {"cannot be opened"});
  expect_damaged("", {"a.idx", "byte 0", "truncated"});
  expect_damaged(good.substr(0, 3), {"byte 3", "truncated", "magic"});
  expect_damaged("\x89PNG....", {"byte 0", "magic", "137"});
  expect_damaged(idx(10, {1}, "a"), {"byte 2", "type 10"});
  expect_damaged(idx(8, {}, "a"), {"byte 3", "0 dims"});
  expect_damaged(idx(8, std::vector<uint32_t>(9, 1), "a"), {"byte 3", "9 dims"});
  expect_damaged(good.substr(0, 9), {"byte 9", "truncated", "dim"});
  expect_damaged(good.substr(0, 15), {"byte 15", "truncated", "6 bytes", "3 are there"});
  expect_damaged(good + "x", {"byte 18", "trailing"});
  expect_damaged(idx(8, {0xffff, 0xffffffff, 0xffffffff}, ""), {"byte 12", "overflow"});
  expect_damaged(idx(14, {0xffffffff, 0x70000000}, ""), {"byte 8", "overflow"});
  expect_damaged(idx(8, {0x7fffffff, 0x7fffffff}, "abc"), {"byte 12", "truncated"});
}

// Whatever a changed byte does, it ends in a tensor or in an IoError.
TEST_F(Idx, EveryChangedByteIsSurvived) {
  for (const std::string& whole :
       {idx(11, {2, 3}, "abcdefghijkl"), read_text(data_path("data_idx.gz"))}) {
    for (size_t at = 0; at < whole.size(); ++at) {
      for (const char change : {'\x01', '\x10', '\x80', '\xff'}) {
        std::string damaged = whole;
        damaged[at] ^= change;
        try {
          read(damaged);
        } catch (const IoError&) {
        }
      }
    }
  }
}

class Mnist : public testing::Test {
 protected:
  void write(const std::string& prefix, const std::string& images, const std::string& labels) {
    write_text(folder.file(prefix + "-images-idx3-ubyte"), images);
    write_text(folder.file(prefix + "-labels-idx1-ubyte"), labels);
  }
  void expect_wrong(const std::string& images, const std::string& labels,
                    std::initializer_list<const char*> parts) {
    write("train", images, labels);
    expect_error<IoError>([&] { load_mnist(folder.path()); }, parts);
  }
  TemporaryFolder folder;
};

TEST_F(Mnist, FoldersAreLoaded) {
  using namespace std::string_literals;
  write("train", idx(8, {2, 2, 1}, "\x00\xff\x33\x66"s), idx(8, {2}, "\x09\x03"s));
  write("t10k", idx(8, {1, 2, 1}, "\x00\x01"s), idx(8, {1}, "\x01"s));
  const TensorDataset train = load_mnist(folder.path());
  EXPECT_EQ(train.x().shape().str(), "[2, 1, 2, 1]");
  expect_close(train.x().flatten(), tensor<float>({0, 1, 0.2, 0.4}), 1e-7, 1e-6);
  EXPECT_EQ(train.y().dtype(), Dtype::i64);
  EXPECT_EQ(train.y().to_vector<int64_t>(), (std::vector<int64_t>{9, 3}));
  EXPECT_EQ(load_mnist(folder.path(), MnistPart::test).size(), 1);
}

TEST_F(Mnist, FilesThatDoNotFitAreErrors) {
  using namespace std::string_literals;
  expect_error<IoError>([&] { load_mnist(folder.path(), MnistPart::test); },
                        {"t10k-images-idx3-ubyte", ".gz"});
  const std::string images = idx(8, {1, 1, 1}, "a");
  expect_wrong(images, idx(8, {2}, "\x01\x02"), {"labels", "2 labels for 1 images"});
  expect_wrong(images, idx(8, {1}, "\x0a"), {"label 0 is 10"});
  expect_wrong(images, idx(8, {1, 1}, "\x01"), {"labels", "rank 1"});
  expect_wrong(idx(8, {1, 1}, "a"), idx(8, {1}, "\x01"), {"images", "rank 3"});
  expect_wrong(idx(9, {1, 1, 1}, "a"), idx(8, {1}, "\x01"), {"images", "i32"});
}

}  // namespace
}  // namespace tinytorch
