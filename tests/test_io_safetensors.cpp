// The safetensors format: round trips of every dtype, a file by Python's library, and every kind of
// damaged file.
#include <csignal>
#include <sys/resource.h>

#include "tests/nn_support.h"

namespace tinytorch {
namespace {

std::string le64(uint64_t v) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(v >> (8 * i));
  return out;
}

std::vector<uint16_t> half_bits(const Tensor& t) {
  const uint16_t* bits =
      t.dtype() == Dtype::f16 ? &t.data<Float16>()->bits : &t.data<BFloat16>()->bits;
  return {bits, bits + t.numel()};
}

class Safetensors : public testing::Test {
 protected:
  void expect_damaged(const std::string& header, const std::string& data,
                      std::initializer_list<const char*> parts) {
    expect_damaged_file(le64(header.size()) + header + data, parts);
  }
  void expect_damaged_file(const std::string& bytes, std::initializer_list<const char*> parts) {
    SCOPED_TRACE(bytes.size() > 8 ? bytes.substr(8, 200) : "short file");
    write_text(path, bytes);
    expect_error<IoError>([&] { load_safetensors(path); }, {path.c_str(), "at byte"});
    expect_error<IoError>([&] { load_safetensors(path); }, parts);
  }
  TemporaryFolder folder;
  std::string path = folder.file("a.safetensors");
};

TEST_F(Safetensors, EveryDtypeComesBack) {
  StateDict state;
  for (int i = 0; i < kDtypeCount; ++i) {
    const auto dtype = static_cast<Dtype>(i);
    state[name_of(dtype)] = tensor<int64_t>({0, 1, 5, 2, 0, 7}, Shape{2, 3}).to(dtype);
  }
  state["scalar"] = scalar_tensor(2.5);
  state["empty"] = zeros({0, 4});
  state["transposed"] = arange(6).reshape({2, 3}).t();
  state["wants gradient"] = ones({2}, {.requires_grad = true});
  state["rank 8"] = ones({1, 2, 1, 2, 1, 1, 1, 1}, {.dtype = Dtype::u8});
  const Metadata metadata{{"key", "value \"quoted\" \n ü"}, {"", ""}};
  save_safetensors(path, state, metadata);
  const StateDict loaded = load_safetensors(path);
  ASSERT_EQ(loaded.size(), state.size());
  for (const auto& [name, tensor] : state) expect_equal(loaded.at(name), tensor, name);
  EXPECT_EQ(load_safetensors_metadata(path), metadata);
  EXPECT_FALSE(loaded.at("wants gradient").requires_grad());
}

TEST_F(Safetensors, DevicesAndReproducibleBytes) {
  const StateDict state{{"b", ones({3}, {.device = Device("reference")})}, {"a", zeros({1})}};
  save_safetensors(path, state);
  const std::string bytes = read_text(path);
  EXPECT_EQ(load_safetensors(path, Device("reference")).at("a").device().backend(), "reference");
  save_safetensors(path, load_safetensors(path, Device("cpu")));
  EXPECT_EQ(read_text(path), bytes);
}

TEST_F(Safetensors, TheBytesAreTheFormat) {
  save_safetensors(path, {{"b", tensor<uint8_t>({7})}, {"a", tensor<float>({1.5})}});
  std::string header =
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
      "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[4,5]}}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  EXPECT_EQ(read_text(path), le64(header.size()) + header + std::string("\x00\x00\xc0\x3f\x07", 5));
  save_safetensors(path, {});
  EXPECT_EQ(read_text(path), le64(8) + "{}      ");
  EXPECT_TRUE(load_safetensors(path).empty());
}

TEST_F(Safetensors, ReadsAFileOfPython) {
  const StateDict t = load_safetensors(data_path("io_python.safetensors"), Device("cpu"));
  ASSERT_EQ(t.size(), 11u);
  EXPECT_EQ(load_safetensors_metadata(data_path("io_python.safetensors")),
            (Metadata{{"note", "ünïcode\n"}}));
  EXPECT_EQ(t.at("f32").to_vector<float>(),
            (std::vector<float>{0, -1.5, 2.25, 65504, 1e-3f, -0.0f}));
  EXPECT_TRUE(std::signbit(t.at("f32")[1][2].item()));
  EXPECT_EQ(t.at("f64")[0][2].item(), 0.75);
  EXPECT_EQ(t.at("f64")[0][1].item(), -0.5);
  EXPECT_EQ(half_bits(t.at("f16")),
            (std::vector<uint16_t>{0, 0xbe00, 0x4080, 0x7bff, 0x1419, 0x8000}));
  EXPECT_EQ(half_bits(t.at("bf16")),
            (std::vector<uint16_t>{0, 0xbfc0, 0x4010, 0x4780, 0x3a83, 0x8000}));
  EXPECT_EQ(t.at("i64").to_vector<int64_t>(), (std::vector<int64_t>{INT64_MIN, INT64_MAX, 0}));
  EXPECT_EQ(t.at("i32").to_vector<int32_t>(), (std::vector<int32_t>{INT32_MIN, INT32_MAX}));
  EXPECT_EQ(t.at("u8").to_vector<int>(), (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(t.at("bool").to_vector<int>(), (std::vector<int>{1, 0, 1}));
  EXPECT_EQ(t.at("scalar").rank(), 0);
  EXPECT_EQ(t.at("scalar").item(), 3.5);
  EXPECT_EQ(t.at("empty").shape().str(), "[0, 3]");
  EXPECT_TRUE(t.contains("näme \"quoted\""));
}

TEST_F(Safetensors, EveryTruncationIsAnError) {
  save_safetensors(path, {{"a", ones({2})}, {"b", zeros({3}, {.dtype = Dtype::u8})}});
  const std::string whole = read_text(path);
  for (size_t length = 0; length < whole.size(); ++length) {
    write_text(path, whole.substr(0, length));
    EXPECT_THROW(load_safetensors(path), IoError) << length;
  }
  expect_damaged_file("abc", {"byte 3", "truncated"});
  expect_damaged_file(le64(50) + "{}", {"byte 10", "truncated", "50"});
  expect_damaged_file(whole.substr(0, whole.size() - 1), {"truncated", "'b'"});
  expect_damaged_file(whole + "x", {"trailing", "1 bytes more"});
}

// Whatever a changed byte does, it ends in tensors or in an IoError.
TEST_F(Safetensors, EveryChangedByteIsSurvived) {
  save_safetensors(path, {{"a", ones({2, 3})}, {"b", zeros({3}, {.dtype = Dtype::bool_})}},
                   {{"key", "value"}});
  const std::string whole = read_text(path);
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const char change : {'\x01', '\x10', '\x80', '\xff'}) {
      std::string damaged = whole;
      damaged[at] ^= change;
      write_text(path, damaged);
      try {
        load_safetensors(path);
      } catch (const IoError&) {
      }
    }
  }
}

TEST_F(Safetensors, DamagedHeadersAreErrors) {
  const std::string f = R"("dtype":"F32","shape":[1],"data_offsets":)";
  expect_damaged_file(le64(uint64_t{1} << 40) + "{}", {"byte 0", "too large"});
  expect_damaged_file(le64(UINT64_MAX) + "{}", {"byte 0", "too large"});
  expect_damaged("", "", {"byte 8", "'{'"});
  expect_damaged(" {}", "", {"byte 8", "'{'"});
  expect_damaged("{\"a\":", "", {"not JSON"});
  expect_damaged("{} x", "", {"byte 11", "not JSON"});
  expect_damaged("{\"\xff\":{}}", "", {"byte 10", "not JSON", "UTF-8"});
  expect_damaged(std::string(1000, '[').insert(0, "{\"a\":"), "", {"not JSON"});
  expect_damaged(R"({"a":{)" + f + "[0,4]},\"a\":{" + f + "[0,4]}}", "0000",
                 {"'a'", "twice", "byte 62"});
  expect_damaged(R"({"a":{"dtype":"F32",)" + f + "[0,4]}}", "0000", {"'dtype'", "twice"});
  expect_damaged(R"({"a":3})", "", {"'a'", "dtype, shape"});
  expect_damaged(R"({"a":{"dtype":"F32","shape":[1]}})", "", {"'a'"});
  expect_damaged(R"({"a":{"x":1,)" + f + "[0,4]}}", "0000", {"'a'", "nothing else"});
  expect_damaged(R"({"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})", "0",
                 {"'a'", "F8_E4M3", "unknown"});
  expect_damaged(R"({"a":{"dtype":[[1]],"shape":[1],"data_offsets":[0,1]}})", "0", {"unknown"});
  expect_damaged(R"({"__metadata__":{"a":1}})", "", {"metadata"});
  expect_damaged(R"({"__metadata__":[]})", "", {"__metadata__"});
}

TEST_F(Safetensors, DamagedShapesAndPlacesAreErrors) {
  const auto one = [](const std::string& shape, const std::string& places) {
    return R"({"a":{"dtype":"F32","shape":)" + shape + ",\"data_offsets\":" + places + "}}";
  };
  expect_damaged(one("3", "[0,4]"), "0000", {"shape"});
  expect_damaged(one("[-1]", "[0,4]"), "0000", {"shape"});
  expect_damaged(one("[1.5]", "[0,4]"), "0000", {"shape"});
  expect_damaged(one("[1,1,1,1,1,1,1,1,1]", "[0,4]"), "0000", {"rank 9"});
  expect_damaged(one("[9223372036854775807,4]", "[0,4]"), "0000", {"overflow"});
  expect_damaged(one("[18446744073709551615]", "[0,4]"), "0000", {"shape"});
  expect_damaged(one("[1]", "[0]"), "0000", {"data_offsets"});
  expect_damaged(one("[1]", "[-4,0]"), "0000", {"data_offsets"});
  expect_damaged(one("[1]", "[4,0]"), "0000", {"do not fit"});
  expect_damaged(one("[1]", "[0,8]"), "00000000", {"do not fit", "4 bytes"});
  expect_damaged(one("[1]", "[4,8]"), "00000000", {"after a gap"});
  const std::string overlap = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                              R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})";
  expect_damaged(overlap, "000000", {"'b'", "inside another tensor"});
  const std::string gap = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                          R"("b":{"dtype":"U8","shape":[4],"data_offsets":[5,9]}})";
  expect_damaged(gap, "000000000", {"'b'", "after a gap"});
  expect_damaged(R"({"a":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}})",
                 std::string("\x00\x01\x02", 3), {"BOOL", "is 2", "byte 65"});
}

TEST_F(Safetensors, FilesThatCannotBeReadOrWritten) {
  expect_error<IoError>([&] { load_safetensors(folder.file("none")); }, {"none", "No such file"});
  expect_error<IoError>([&] { load_safetensors(folder.path()); }, {"regular file"});
  expect_error<IoError>([&] { save_safetensors(folder.file("no/a"), {}); }, {"no/a", "created"});
  expect_error<IoError>([&] { save_safetensors(folder.path(), {}); }, {folder.path().c_str()});
  expect_error<ValueError>([&] { save_safetensors(path, {{"\xff", ones({1})}}); }, {"UTF-8"});
  expect_error<ValueError>(
      [&] {
        save_safetensors(path, {{"__metadata__", ones({1})}});
      },
      {"__metadata__"});
  expect_error<ValueError>(
      [&] {
        save_safetensors(path, {{"a", Tensor()}});
      },
      {"'a'", "undefined"});
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

// A disk that is full, played by the limit on file sizes.
TEST_F(Safetensors, AFailedSaveLeavesTheOldFile) {
  save_safetensors(path, {{"a", ones({4})}});
  const std::string before = read_text(path);
  rlimit old;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  expect_error<IoError>(
      [&] {
        save_safetensors(path, {{"a", ones({100000})}});
      },
      {path.c_str(), "at byte 4096", "written"});
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(read_text(path), before);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

}  // namespace
}  // namespace tinytorch
