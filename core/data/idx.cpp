// The IDX format: two zero bytes, element type, rank, one big-endian u32 per dim, big-endian
// elements.
#include <tinytorch/data/idx.h>

#include <bit>
#include <cstring>
#include <vector>

#include <tinytorch/ops/create.h>

#include "core/data/gzip_file.h"

namespace tinytorch {

namespace {

template <class T>
T from_big_endian(const uint8_t* p) {
  T value;
  uint8_t bytes[sizeof(T)];
  for (size_t i = 0; i < sizeof(T); ++i)
    bytes[i] = p[std::endian::native == std::endian::little ? sizeof(T) - 1 - i : i];
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

struct Header {
  uint8_t type;
  size_t element_size;
  Shape shape;
  uint64_t count = 1;
};

size_t element_size_of(uint8_t type) {
  switch (type) {
    case 0x08:  // u8
    case 0x09:  // i8
      return 1;
    case 0x0B:  // i16
      return 2;
    case 0x0C:  // i32
    case 0x0D:  // f32
      return 4;
    case 0x0E:  // f64
      return 8;
    default:
      return 0;
  }
}

Header read_header(GzipFile& file) {
  uint8_t magic[4];
  file.read(magic, sizeof magic, "the magic number");
  if (magic[0] != 0 || magic[1] != 0) {
    file.fail(0, "bad magic number: an IDX file starts with two zero bytes, here are " +
                     std::to_string(magic[0]) + " and " + std::to_string(magic[1]));
  }
  Header header{magic[2], element_size_of(magic[2]), {}};
  if (header.element_size == 0)
    file.fail(2, "element type " + std::to_string(magic[2]) + " is unknown");
  if (magic[3] == 0 || magic[3] > kMaxRank) {
    file.fail(3, std::to_string(magic[3]) + " dims, needed are 1 to " + std::to_string(kMaxRank));
  }
  for (int i = 0; i < magic[3]; ++i) {
    uint8_t bytes[4];
    const uint64_t at = file.position();
    file.read(bytes, sizeof bytes, "a dim");
    const auto dim = from_big_endian<uint32_t>(bytes);
    header.shape.push_back(dim);
    if (__builtin_mul_overflow(header.count, uint64_t{dim}, &header.count) ||
        header.count > INT64_MAX / header.element_size)
      file.fail(at, "dim " + std::to_string(dim) + " makes the size overflow");
  }
  return header;
}

// Reads in pieces of at most 1 MiB, so that the raw bytes are never held beside the converted ones.
template <class Stored, class T>
Tensor read_elements(GzipFile& file, const Header& header) {
  Tensor out = empty(header.shape, {.dtype = dtype_of<T>, .device = Device("cpu")});
  T* to = out.data<T>();
  std::vector<uint8_t> piece;
  for (uint64_t done = 0; done < header.count;) {
    const auto n = std::min<uint64_t>(header.count - done, (1u << 20) / sizeof(Stored));
    piece.resize(n * sizeof(Stored));
    file.read(piece.data(), piece.size(), "a block of elements");
    for (uint64_t i = 0; i < n; ++i)
      to[done + i] = static_cast<T>(from_big_endian<Stored>(&piece[i * sizeof(Stored)]));
    done += n;
  }
  return out;
}

Tensor read_elements(GzipFile& file, const Header& header) {
  switch (header.type) {
    case 0x08: {
      Tensor out = empty(header.shape, {.dtype = Dtype::u8, .device = Device("cpu")});
      file.read(out.data<uint8_t>(), header.count, "the array");
      return out;
    }
    case 0x09:
      return read_elements<int8_t, int32_t>(file, header);
    case 0x0B:
      return read_elements<int16_t, int32_t>(file, header);
    case 0x0C:
      return read_elements<int32_t, int32_t>(file, header);
    case 0x0D:
      return read_elements<float, float>(file, header);
    default:
      return read_elements<double, double>(file, header);
  }
}

}  // namespace

Tensor read_idx(const std::string& path) {
  GzipFile file(path);
  const Header header = read_header(file);
  const uint64_t begin = file.position(), bytes = header.count * header.element_size;
  if (bytes > file.most_bytes()) {
    file.fail(begin, "truncated: shape " + header.shape.str() + " needs " + std::to_string(bytes) +
                         " bytes, the file cannot hold them");
  }
  Tensor out = read_elements(file, header);
  uint8_t extra;  // reading on also checks the checksum at the end of compressed data
  if (file.read_some(&extra, 1) != 0) {
    file.fail(begin + bytes,
              "trailing bytes: shape " + header.shape.str() + " ends here, the file goes on");
  }
  return out;
}

}  // namespace tinytorch
